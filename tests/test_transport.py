"""Optimal transport: every plan comes with a proof, and every closed form meets an integral."""

import itertools
import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from gan_lib import data
from gan_lib.rng import Streams
from gan_lib.transport import (
    METRICS,
    plan,
    wasserstein1,
    wasserstein1_normal,
    wasserstein2,
    wasserstein2_gaussian,
    wasserstein2_normal,
    wasserstein_1d,
)

every_metric = pytest.mark.parametrize("metric", METRICS)


def points(*shape, name="x", seed=0):
    return Streams(seed, name).normal(*shape)


def weights(n, name="w"):
    w = Streams(0, name).uniform(n)
    return w / w.sum()


def mass(given, x):
    return torch.ones(len(x), dtype=torch.float64) / len(x) if given is None else given


CASES = {  # x, y, a, b
    "equal sizes": (points(30, 2), points(30, 2, name="y") + 1, None, None),
    "unequal sizes": (points(13, 3), 2 * points(40, 3, name="y"), None, None),
    "weights": (points(17, 2), points(23, 2, name="y"), weights(17), weights(23, "b")),
    "points without weight": (
        points(6, 2),
        points(5, 2, name="y"),
        torch.tensor([0.5, 0, 0.25, 0, 0.25, 0]).double(),
        torch.tensor([0, 0, 0.625, 0.375, 0]).double(),
    ),
    "repeated points": (points(4, 2).repeat(3, 1), points(4, 2).repeat(2, 1), None, None),
    "a single point": (points(1, 2), points(9, 2, name="y"), None, None),
    "far away": (points(20, 2), points(20, 2, name="y") + 1e4, None, None),
    "float32": (points(20, 2).float(), points(20, 2, name="y").float(), None, None),
}
every_case = pytest.mark.parametrize("x, y, a, b", CASES.values(), ids=CASES)


# ----------------------------------------------------------------------------------- plan and proof


@every_case
@every_metric
def test_plan_moves_the_weights_and_the_potentials_prove_it_optimal(x, y, a, b, metric):
    """Weak duality: a feasible plan and feasible potentials of the same value are both optimal."""
    found = plan(x, y, a, b, metric)
    a, b = mass(a, x), mass(b, y)
    scale = found.costs.max().item()
    np.testing.assert_allclose(found.costs, cdist(x.double(), y.double(), metric), atol=1e-13)
    assert (found.matrix >= 0).all()
    torch.testing.assert_close(found.matrix.sum(1), a, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.matrix.sum(0), b, rtol=0, atol=1e-12)
    slack = found.costs - found.u[:, None] - found.v
    assert slack.min() >= -1e-12 * scale, "u_i + v_j ≤ c_ij for all pairs, with and without weight"
    primal = (found.matrix * found.costs).sum()
    assert primal.item() == pytest.approx(found.distance.item(), abs=1e-12 * scale)
    assert (a @ found.u + b @ found.v).item() == pytest.approx(primal.item(), abs=1e-9 * scale)
    assert slack[found.matrix > 1e-12].abs().max() <= 1e-9 * scale, "mass moves only where tight"
    assert abs(a @ found.u) <= 1e-10 * scale, "the gauge: u has mean zero"


@every_case
def test_potential_is_an_optimal_critic(x, y, a, b):
    found = plan(x, y, a, b)
    x, y = x.double(), y.double()
    scale = found.costs.max().item()
    torch.testing.assert_close(found.potential(x), found.u, rtol=0, atol=1e-9 * scale)
    a, b = mass(a, x), mass(b, y)
    gap = a @ found.potential(x) - b @ found.potential(y)
    assert gap.item() == pytest.approx(found.distance.item(), abs=1e-9 * scale)
    z, w = 5 * points(200, x.shape[1], name="z"), 5 * points(200, x.shape[1], name="w")
    slope = (found.potential(z) - found.potential(w)).abs() / (z - w).norm(dim=-1)
    assert slope.max() <= 1 + 1e-9


def test_potential_has_gradient_of_length_one_and_of_the_square_is_its_own_envelope():
    x, y = points(20, 2), points(25, 2, name="y")
    z = points(50, 2, name="z").requires_grad_()
    (slope,) = torch.autograd.grad(plan(x, y).potential(z).sum(), z)
    torch.testing.assert_close(slope.norm(dim=-1), torch.ones(50, dtype=torch.float64))
    square = plan(x, y, metric="sqeuclidean")
    by_hand = [min(((p - q) ** 2).sum() - v for q, v in zip(y, square.v, strict=True)) for p in z]
    torch.testing.assert_close(square.potential(z), torch.stack(by_hand))


@every_metric
@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_no_permutation_is_cheaper(metric, n):
    """For equal weights an optimal plan is a permutation (Birkhoff), so trying all of them is enough."""
    x, y = points(n, 2, seed=n), points(n, 2, name="y", seed=n)
    costs = cdist(x, y, metric)
    best = min(costs[range(n), p].mean() for p in itertools.permutations(range(n)))
    assert plan(x, y, metric=metric).distance.item() == pytest.approx(best, rel=1e-12)


@every_metric
def test_agrees_with_scipy_on_assignments(metric):
    x, y = points(60, 4), points(60, 4, name="y")
    costs = cdist(x, y, metric)
    rows, columns = linear_sum_assignment(costs)
    found = plan(x, y, metric=metric)
    assert found.distance.item() == pytest.approx(costs[rows, columns].mean(), rel=1e-12)
    assert (found.matrix.argmax(1).numpy() == columns).all()


@pytest.mark.parametrize("distance", [wasserstein1, wasserstein2], ids=["W1", "W2"])
def test_is_a_metric_and_moves_with_the_points(distance):
    x, y, z = points(25, 2), points(31, 2, name="y") * 2, points(20, 2, name="z") + 3
    assert distance(x, x[torch.randperm(25)]).item() == pytest.approx(0, abs=1e-12)
    assert distance(x, y).item() == pytest.approx(distance(y, x).item(), rel=1e-12)
    assert distance(x, z) <= distance(x, y) + distance(y, z)
    step = torch.tensor([3.0, -4.0], dtype=torch.float64)
    assert distance(x, x + step).item() == pytest.approx(5, rel=1e-12)
    assert distance(2 * x + step, 2 * y + step).item() == pytest.approx(2 * distance(x, y).item())
    assert wasserstein1(x, y) <= wasserstein2(x, y)


@pytest.mark.parametrize("theta", [0.0, 0.3, 1.0])
def test_parallel_lines_are_as_far_apart_as_they_look(theta):
    """Arjovsky et al. (2017), Example 1: W₁ = |θ|, where every f-divergence is constant."""
    real, fake = data.two_lines(theta)
    rng = Streams(0, "lines")
    x = real.sample(200, rng)
    moved = x + torch.tensor([theta, 0.0], dtype=torch.float64)
    assert wasserstein1(x, moved).item() == pytest.approx(theta, abs=1e-9)
    # Two samples differ also along the line, by at most W₁ of their heights.
    y = fake.sample(200, rng)
    heights = stats.wasserstein_distance(x[:, 1], y[:, 1])
    assert theta - 1e-12 <= wasserstein1(x, y).item() <= theta + heights + 1e-12


@pytest.mark.parametrize("members", [(3,), (2, 2), (1,)])
@pytest.mark.parametrize("shared", [False, True])
def test_members_are_transported_one_by_one(members, shared):
    x = points(*members, 8, 2)
    y = points(9, 2, name="y") if shared else points(*members, 9, 2, name="y")
    together = plan(x, y, b=weights(9))
    z = points(4, 2, name="z")
    assert together.distance.shape == members and together.matrix.shape == (*members, 8, 9)
    for i in np.ndindex(*members):
        lone = plan(x[i], y if shared else y[i], b=weights(9))
        for field in ("matrix", "distance", "u", "v", "costs"):
            torch.testing.assert_close(getattr(together, field)[i], getattr(lone, field))
        torch.testing.assert_close(together.potential(z)[i], lone.potential(z))
    w2 = wasserstein2(x, y)
    assert w2.shape == members
    i = (0,) * len(members)
    torch.testing.assert_close(w2[i], wasserstein2(x[i], y if shared else y[i]))


def test_weights_of_members_and_gradients():
    x, y = points(2, 5, 2).requires_grad_(), points(2, 5, 2, name="y")
    a = torch.stack([weights(5), weights(5, "other")])
    together = plan(x, y, a)
    for i in range(2):
        torch.testing.assert_close(together.distance[i], plan(x[i], y[i], a[i]).distance)
    assert not together.distance.requires_grad


# ---------------------------------------------------------------------------------------- the line

samples = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(samples, samples)
def test_on_the_line_agrees_with_scipy(x, y):
    found = wasserstein_1d(torch.tensor(x).double(), torch.tensor(y).double()).item()
    exact = stats.wasserstein_distance(torch.tensor(x).double(), torch.tensor(y).double())
    assert found == pytest.approx(exact, rel=1e-9, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(samples, samples, st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_on_the_line_agrees_with_the_plan_for_every_exponent(x, y, p):
    x, y = np.array(x), np.array(y)
    costs = np.abs(x[:, None] - y) ** p
    exact = ot.emd2(np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y)), costs)
    found = wasserstein_1d(torch.tensor(x), torch.tensor(y), p).item()
    assert found**p == pytest.approx(float(exact), rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("n, m", [(40, 40), (40, 28), (7, 13)])
def test_on_the_line_agrees_with_wasserstein_of_points(n, m):
    x, y = points(3, n), 2 * points(3, m, name="y") + 1
    torch.testing.assert_close(wasserstein_1d(x, y), wasserstein1(x[..., None], y[..., None]))
    torch.testing.assert_close(wasserstein_1d(x, y, 2), wasserstein2(x[..., None], y[..., None]))
    for i in range(3):
        torch.testing.assert_close(wasserstein_1d(x, y)[i], wasserstein_1d(x[i], y[i]))
    assert wasserstein_1d(x.float(), y.float()).dtype == torch.float32


def test_on_the_line_has_the_gradient_that_pulls_points_together():
    x = points(2, 6).requires_grad_()
    y = points(2, 9, name="y")
    assert torch.autograd.gradcheck(lambda t: wasserstein_1d(t, y, 2), x)


# ---------------------------------------------------------------------------------------- Gaussians

NORMALS = [(0, 1, 1, 2), (0, 1, 3, 1), (0, 1, 0, 3), (-2, 0.5, 1, 0), (1, 2, -4, 0.1), (1, 0, 3, 0)]


def by_quantiles(p, mean1, std1, mean2, std2):
    def gap(t):
        z = stats.norm.ppf(t)
        return abs(mean1 + std1 * z - mean2 - std2 * z) ** p

    # The integrand has a kink where the quantile functions cross; give quad the place.
    cross = stats.norm.cdf((mean2 - mean1) / (std1 - std2)) if std1 != std2 else 0.5
    cuts = [0, cross, 1] if 0 < cross < 1 else [0, 1]
    parts = [
        integrate.quad(gap, *ab, epsabs=1e-12, limit=500)[0] for ab in itertools.pairwise(cuts)
    ]
    return sum(parts) ** (1 / p)


@pytest.mark.parametrize("normals", NORMALS)
def test_normal_distances_are_the_integral_over_quantiles(normals):
    assert wasserstein1_normal(*normals) == pytest.approx(by_quantiles(1, *normals), abs=1e-8)
    assert wasserstein2_normal(*normals) == pytest.approx(by_quantiles(2, *normals), abs=1e-7)


def test_known_value_and_symmetry():
    assert wasserstein1_normal(0, 1, 1, 2) == pytest.approx(1.166631, abs=5e-7)
    for a, b, c, d in NORMALS:
        assert wasserstein1_normal(a, b, c, d) == pytest.approx(wasserstein1_normal(c, d, a, b))
        assert wasserstein1_normal(a, b, c, d) <= wasserstein2_normal(a, b, c, d) + 1e-15
    assert wasserstein1_normal(0, 1, 1, 1 + 1e-200) == 1
    assert wasserstein1_normal(0, 1, 1e-200, 3) == pytest.approx(2 * math.sqrt(2 / math.pi))


@pytest.mark.parametrize("normals", NORMALS)
def test_normal_distances_meet_large_samples(normals):
    mean1, std1, mean2, std2 = normals
    n = 100_000
    x, y = (m + s * points(n, name=name) for m, s, name in ((mean1, std1, "x"), (mean2, std2, "y")))
    tolerance = 5 * (std1 + std2 + 1e-9) / math.sqrt(n)  # of the means; tails add to W₂ only
    for p, exact in ((1, wasserstein1_normal(*normals)), (2, wasserstein2_normal(*normals))):
        assert wasserstein_1d(x, y, p).item() == pytest.approx(exact, abs=2 * tolerance)


def covariance(dim, rank, name):
    factor = points(dim, rank, name=name)
    return factor @ factor.T


GAUSSIANS = [(1, 1, 1), (2, 2, 2), (5, 5, 5), (5, 5, 2), (4, 2, 1), (3, 3, 0)]


@pytest.mark.parametrize("dim, rank1, rank2", GAUSSIANS)
def test_gaussian_distance_agrees_with_eigenvalues_with_pot_and_with_a_matrix_root(
    dim, rank1, rank2
):
    m1, m2 = points(dim, name="m1"), points(dim, name="m2")
    c1, c2 = covariance(dim, rank1, "c1"), covariance(dim, rank2, "c2")
    found = wasserstein2_gaussian(m1, c1, m2, c2).item()
    apart = ((m1 - m2) ** 2).sum() + c1.trace() + c2.trace()
    eigenvalues = np.linalg.eigvals((c1 @ c2).numpy()).real.clip(0)
    assert found == pytest.approx(math.sqrt(apart - 2 * np.sqrt(eigenvalues).sum()), abs=1e-6)
    if dim == rank1 == rank2:  # POT and sqrtm need full rank
        pot = ot.gaussian.bures_wasserstein_distance(*(t.numpy() for t in (m1, m2, c1, c2)))
        assert found == pytest.approx(float(pot), abs=1e-6)
        cross = np.trace(sqrtm((c1 @ c2).numpy()).real)
        assert found == pytest.approx(math.sqrt(apart - 2 * cross), rel=1e-10)
    if dim == 1:
        on_the_line = wasserstein2_normal(m1.item(), c1.item() ** 0.5, m2.item(), c2.item() ** 0.5)
        assert found == pytest.approx(on_the_line, rel=1e-12)


def test_gaussian_distance_of_special_cases():
    c = covariance(4, 4, "c")
    zero, step = torch.zeros(4, dtype=torch.float64), torch.tensor([2.0, 0, 0, 1]).double()
    assert wasserstein2_gaussian(zero, c, zero, c).item() == pytest.approx(0, abs=1e-6)
    assert wasserstein2_gaussian(zero, c, step, c).item() == pytest.approx(math.sqrt(5), rel=1e-12)
    d1, d2 = (Streams(0, n).uniform(4) + 0.1 for n in "ab")  # commuting: the roots' distance
    found = wasserstein2_gaussian(zero, torch.diag(d1**2), zero, torch.diag(d2**2))
    torch.testing.assert_close(found, (d1 - d2).norm())
    # Pure scaling x → A x of a centred Gaussian by a positive matrix is optimal: tr C(A − 1)².
    a = covariance(4, 4, "a")
    expected = ((a - torch.eye(4)) @ c @ (a - torch.eye(4))).trace().sqrt()
    torch.testing.assert_close(wasserstein2_gaussian(zero, c, zero, a @ c @ a), expected)


def test_gaussian_distance_of_members():
    m1, m2 = points(3, 4, name="m1"), points(4, name="m2")
    c1 = torch.stack([covariance(4, 4, f"c{i}") for i in range(3)])
    c2 = covariance(4, 4, "c")
    together = wasserstein2_gaussian(m1, c1, m2, c2)
    lone = torch.stack([wasserstein2_gaussian(m1[i], c1[i], m2, c2) for i in range(3)])
    torch.testing.assert_close(together, lone)


# ------------------------------------------------------------------------------------------- errors

ok = torch.zeros(3, 2)
ERRORS = {
    "metric": (lambda: plan(ok, ok, metric="manhattan"), "unknown metric 'manhattan'.*sqeuclidean"),
    "dimensions": (lambda: plan(ok, torch.zeros(3, 1)), "x has 2 dimensions and y 1"),
    "flat": (lambda: wasserstein1(torch.zeros(3), torch.zeros(3)), "wasserstein_1d"),
    "members": (lambda: plan(torch.zeros(3, 4, 2), torch.zeros(2, 4, 2)), r"members \(3,\) and"),
    "empty": (lambda: plan(torch.zeros(0, 2), ok), "without points"),
    "nan": (lambda: wasserstein2(ok * torch.nan, ok), "finite"),
    "sum": (lambda: plan(ok, ok, a=torch.ones(3)), "weights a must.*sum to one.*3.0"),
    "negative": (lambda: plan(ok, ok, b=torch.tensor([2.0, -1.0, 0.0])), "weights b must be ≥ 0"),
    "length": (lambda: plan(ok, ok, a=torch.ones(1)), "a has 1 weights for 3 points"),
    "exponent": (lambda: wasserstein_1d(ok, ok, 0.5), "p ≥ 1"),
    "std": (lambda: wasserstein1_normal(0, -1, 0, 1), "negative"),
    "std of W2": (lambda: wasserstein2_normal(0, 1, 0, -1), "negative"),
    "covariance": (
        lambda: wasserstein2_gaussian(torch.zeros(2), torch.eye(2), torch.zeros(3), torch.eye(3)),
        "same number of dimensions",
    ),
}


@pytest.mark.parametrize("call, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_solver_that_stops_early_is_an_error(monkeypatch):
    solve = ot.emd
    monkeypatch.setattr(ot, "emd", lambda *a, numItermax, **k: solve(*a, numItermax=1, **k))
    with pytest.raises(ArithmeticError, match="before the optimum"), pytest.warns(UserWarning):
        plan(points(20, 2), points(20, 2, name="y"))
