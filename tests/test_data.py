"""Distributions: what is sampled is what the density says, and the density is one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from torch import distributions as dist

from gan_lib import data
from gan_lib.rng import Streams

LINE = {
    "normal": data.normal(1),
    "gaussian": data.gaussian(-2.0, 0.3),
    "mixture": data.mixture([0.2, 0.5, 0.3], [-3.0, 0.0, 2.5], [0.4, 1.0, 0.2]),
    "uniform": data.uniform(1, -0.5, 2.0),
}
PLANE = {
    "normal": data.normal(2),
    "gaussian": data.gaussian([1.0, -2.0], 0.5),
    "mixture": data.mixture([0.25, 0.75], [[-1, 0.5], [2, 1]], [0.3, 0.6]),
    "ring": data.ring(),
    "ring of three": data.ring(modes=3, radius=2.0, std=0.3),
    "grid": data.grid(3),
    "uniform": data.uniform(2, 0.0, 3.0),
}
DENSITIES = {f"line {k}": v for k, v in LINE.items()} | {f"plane {k}": v for k, v in PLANE.items()}
CURVES = {"lines": data.two_lines(0.5)[1], "swiss roll": data.swiss_roll()}
EVERY = DENSITIES | CURVES


def over(cases):
    return pytest.mark.parametrize("p", cases.values(), ids=cases)


def components(p):
    """A mixture again, by torch.distributions."""
    return dist.MixtureSameFamily(
        dist.Categorical(p.weights),
        dist.Independent(dist.Normal(p.means, p.stds[:, None].expand_as(p.means)), 1),
    )


@over(LINE)
def test_density_on_the_line_integrates_to_one(p):
    f = lambda x: p.log_prob(torch.tensor([x], dtype=torch.float64)).exp().item()  # noqa: E731
    total = quad(f, -12, 12, points=[-3, -2, -0.5, 0, 2, 2.5], epsabs=1e-11, limit=200)[0]
    assert total == pytest.approx(1, abs=1e-9)


@over(PLANE)
def test_density_in_the_plane_integrates_to_one(p):
    # The midpoint rule is exact to rounding for Gaussians wider than two steps, and for the box here.
    h = 0.025
    axis = torch.arange(-6 + h / 2, 6, h, dtype=torch.float64)
    total = p.log_prob(torch.cartesian_prod(axis, axis)).exp().sum().item() * h * h
    assert total == pytest.approx(1, abs=1e-8)


@over({k: p for k, p in DENSITIES.items() if isinstance(p, data.Mixture)})
def test_log_prob_is_that_of_torch_distributions(p):
    x = 3 * torch.randn(4, 25, p.dim, dtype=torch.float64, generator=torch.manual_seed(0))
    torch.testing.assert_close(p.log_prob(x), components(p).log_prob(x), rtol=1e-12, atol=1e-12)
    assert p.log_prob(x.float()).dtype == torch.float32


def test_uniform_log_prob():
    x = torch.tensor([[0.0, 0.0], [3.0, 1.0], [3.1, 1.0], [1.0, -1e-9]])
    level = -2 * math.log(3)
    assert data.uniform(2, 0, 3).log_prob(x).tolist() == pytest.approx(
        [level, level, -math.inf, -math.inf]
    )


@over(DENSITIES)
def test_moments_of_samples_are_exact_within_five_standard_errors(p):
    n = 40_000
    x = p.sample(n, Streams(0, "data")).numpy()
    if isinstance(p, data.Mixture):
        w, mu, s = p.weights.numpy(), p.means.numpy(), p.stds.numpy()
        mean = w @ mu
        second = np.einsum("k,ki,kj->ij", w, mu, mu) + (w @ s**2) * np.eye(p.dim)
    else:
        mean = np.full(p.dim, (p.low + p.high) / 2)
        second = np.outer(mean, mean) + (p.high - p.low) ** 2 / 12 * np.eye(p.dim)
    products = np.einsum("ni,nj->nij", x, x)
    for drawn, exact in ((x, mean), (products, second)):
        error = drawn.std(0) / math.sqrt(n)
        assert (np.abs(drawn.mean(0) - exact) <= 5 * error).all()


@over(LINE)
def test_samples_on_the_line_follow_the_density(p):
    def cdf(x):
        if isinstance(p, data.Uniform):
            return stats.uniform(p.low, p.high - p.low).cdf(x)
        parts = stats.norm(p.means[:, 0].numpy(), p.stds.numpy()).cdf(np.asarray(x)[:, None])
        return parts @ p.weights.numpy()

    x = p.sample(20_000, Streams(1, "data"))[:, 0].numpy()
    assert stats.kstest(x, cdf).pvalue > 1e-3


@over(EVERY)
def test_a_member_samples_what_a_lone_run_samples(p):
    x = p.sample(30, Streams([4, 9], "data"))
    assert x.shape == (2, 30, p.dim)
    for i, seed in enumerate([4, 9]):
        assert torch.equal(x[i], p.sample(30, Streams(seed, "data")))
    assert not torch.equal(x[0], x[1])


@over(EVERY)
def test_dtype_is_the_one_asked_for(p):
    assert p.sample(3, Streams(0, "data")).dtype == torch.float64
    assert p.sample(3, Streams(0, "data"), dtype=torch.float32).dtype == torch.float32


@pytest.mark.parametrize("modes", [1, 2, 5, 8, 25])
def test_ring_has_distinct_equal_modes_evenly_on_the_circle(modes):
    p = data.ring(modes, radius=2.0, std=0.01)
    x, y = p.means.T
    torch.testing.assert_close(x.hypot(y), torch.full((modes,), 2.0, dtype=torch.float64))
    angles = torch.atan2(y, x).remainder(2 * math.pi).sort().values
    gaps = torch.diff(angles, append=angles[:1] + 2 * math.pi)
    torch.testing.assert_close(gaps, torch.full_like(gaps, 2 * math.pi / modes))
    assert p.weights.tolist() == pytest.approx([1 / modes] * modes)
    assert p.stds.tolist() == [0.01] * modes


@pytest.mark.parametrize("side", [1, 2, 5])
def test_grid_is_square_and_centred(side):
    p = data.grid(side, spacing=3.0)
    assert len(p.means.unique(dim=0)) == side**2
    assert p.means.mean(0).tolist() == pytest.approx([0, 0], abs=1e-12)
    for axis in p.means.T:
        line = axis.unique()
        assert len(line) == side
        assert line.diff().tolist() == pytest.approx([3.0] * (side - 1))


def test_two_lines_are_parallel_segments():
    near, far = (line.sample(5000, Streams(0, "data")) for line in data.two_lines(0.7))
    assert (near[:, 0] == 0).all() and (far[:, 0] == 0.7).all()
    for x in (near, far):
        assert stats.kstest(x[:, 1].numpy(), "uniform").pvalue > 1e-3


def test_swiss_roll_is_a_spiral_of_one_and_a_half_turns_inside_radius_one():
    x, y = data.swiss_roll(std=1e-9).sample(5000, Streams(0, "data")).T
    radius = x.hypot(y)
    assert 0.33 < radius.min() and 0.99 < radius.max() < 1.001
    angle = 4.5 * math.pi * radius  # a spiral of Archimedes: the radius tells the angle
    torch.testing.assert_close(angle.cos() * radius, x, atol=1e-6, rtol=0)
    torch.testing.assert_close(angle.sin() * radius, y, atol=1e-6, rtol=0)
    blurred = data.swiss_roll(std=0.1).sample(5000, Streams(0, "data"))
    sharp = data.swiss_roll(std=0.0).sample(5000, Streams(0, "data"))
    assert (blurred - sharp).std().item() == pytest.approx(0.1, rel=0.05)


@over(CURVES)
def test_no_density_is_said_so(p):
    with pytest.raises(NotImplementedError, match="samples"):
        p.log_prob(torch.zeros(1, 2))


mixtures = st.integers(1, 4).flatmap(
    lambda k: st.integers(1, 3).flatmap(
        lambda dim: st.tuples(
            st.lists(st.floats(0.01, 1), min_size=k, max_size=k),
            st.lists(
                st.lists(st.floats(-5, 5), min_size=dim, max_size=dim), min_size=k, max_size=k
            ),
            st.lists(st.floats(0.05, 3), min_size=k, max_size=k),
        )
    )
)
quick = settings(max_examples=40, deadline=None, derandomize=True)


@quick
@given(mixtures, st.integers(0, 2**31))
def test_any_mixture_agrees_with_torch_distributions_where_it_samples(parts, seed):
    weights, means, stds = parts
    p = data.mixture([w / sum(weights) for w in weights], means, stds)
    x = p.sample(20, Streams(seed, "data"))
    assert x.shape == (20, len(means[0])) and x.isfinite().all()
    torch.testing.assert_close(p.log_prob(x), components(p).log_prob(x), rtol=1e-9, atol=1e-9)


@quick
@given(mixtures, st.floats(-3, 3), st.floats(0.2, 4))
def test_any_mixture_moves_and_scales_as_a_density_must(parts, shift, scale):
    weights, means, stds = parts
    weights = [w / sum(weights) for w in weights]
    p = data.mixture(weights, means, stds)
    moved = data.mixture(
        weights, [[scale * m + shift for m in mean] for mean in means], [scale * s for s in stds]
    )
    x = torch.randn(10, p.dim, dtype=torch.float64, generator=torch.manual_seed(0))
    expected = p.log_prob(x) - p.dim * math.log(scale)
    torch.testing.assert_close(moved.log_prob(scale * x + shift), expected, rtol=1e-7, atol=1e-7)


ERRORS = {
    "lengths": (lambda: data.mixture([1.0], [0.0, 1.0], [1.0, 1.0]), "one of each per component"),
    "weights": (lambda: data.mixture([0.5, 0.6], [0.0, 1.0], [1.0, 1.0]), "sum to 1"),
    "negative weight": (lambda: data.mixture([1.5, -0.5], [0.0, 1.0], [1.0, 1.0]), "≥ 0"),
    "std": (lambda: data.mixture([1.0], [0.0], [0.0]), "positive"),
    "gaussian std": (lambda: data.gaussian(0.0, -1.0), "positive"),
    "uniform": (lambda: data.uniform(2, 1.0, 1.0), "low < high"),
    "ring": (lambda: data.ring(0), "at least one mode"),
    "grid": (lambda: data.grid(0), "at least one mode"),
}


@pytest.mark.parametrize("make, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()
