"""Measures of samples on cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity

from gan_lib import data
from gan_lib.metrics import SIGMAS, mode_coverage, parzen
from gan_lib.rng import Streams


def noise(*shape, name="x", dtype=torch.float64):
    return Streams(0, name).normal(*shape, dtype=dtype)


def by_scikit_learn(samples, x, sigma):
    model = KernelDensity(bandwidth=sigma, kernel="gaussian")
    return model.fit(samples).score_samples(x)


def by_direct_sum(samples, x, sigma):
    squared = ((x[:, None] - samples[None]) ** 2).sum(-1)
    log_kernel = norm.logpdf(0, scale=sigma) * x.shape[1] - squared / (2 * sigma**2)
    return logsumexp(log_kernel, axis=1) - math.log(len(samples))


# scikit-learn's trees prune by bounds that fail in many dimensions (off by thousands of nats at 784),
# so it is the oracle in few dimensions only, and the sum written out is the one in many.
ORACLES = [(1, by_scikit_learn), (2, by_scikit_learn), (2, by_direct_sum), (784, by_direct_sum)]


@pytest.mark.parametrize("dim, oracle", ORACLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_parzen_is_the_kernel_density_of_its_oracle(dim, oracle, dtype):
    samples = noise(120, dim, name="s", dtype=dtype)
    test, valid = noise(70, dim, name="t", dtype=dtype), noise(60, dim, name="v", dtype=dtype)
    score = parzen(samples, test, valid, sigmas=[0.2, 0.5, 1.0, 2.0])
    wide = [t.double().numpy() for t in (samples, test, valid)]
    for sigma, mean in score.validation.items():
        assert mean == pytest.approx(oracle(wide[0], wide[2], sigma).mean(), rel=1e-10)
    scores = oracle(wide[0], wide[1], score.sigma)
    assert score.mean == pytest.approx(scores.mean(), rel=1e-10)
    assert score.stderr == pytest.approx(scores.std(ddof=1) / math.sqrt(70), rel=1e-8)


def test_parzen_of_a_single_sample_is_one_gaussian():
    sample, test, s, dim = torch.zeros(1, 5), torch.full((2, 5), 0.3, dtype=torch.float64), 0.7, 5
    exact = -dim * math.log(s * math.sqrt(2 * math.pi)) - dim * 0.3**2 / (2 * s * s)
    score = parzen(sample, test, test, [s])
    assert score.mean == pytest.approx(exact, rel=1e-12)
    assert score.stderr == 0


def test_parzen_picks_the_sigma_that_is_best_on_the_validation_set_not_on_the_test_set():
    samples = noise(300, 1, name="s")
    near, far = (
        samples[:100],
        5 * noise(100, 1, name="t"),
    )  # near likes a narrow kernel, far a wide one
    assert parzen(samples, test=far, valid=near).sigma == SIGMAS[0]
    assert parzen(samples, test=near, valid=far).sigma == SIGMAS[-1]
    between = parzen(noise(2000, 2, name="s"), *(noise(500, 2, name=n) for n in "tv"))
    assert SIGMAS[0] < between.sigma < SIGMAS[-1]
    assert between.sigma == max(between.validation, key=between.validation.get)


def test_default_sigmas_are_ten_from_a_tenth_to_one_evenly_in_the_exponent():
    assert len(SIGMAS) == 10
    np.testing.assert_allclose(SIGMAS, 10 ** np.linspace(-1, 0, 10))


def test_parzen_approaches_the_entropy():
    """Of N(0, I) in the plane: −log 2πe a test point, for many samples."""
    score = parzen(noise(5000, 2, name="s"), noise(2000, 2, name="t"), noise(200, 2, name="v"))
    assert score.mean == pytest.approx(-1 - math.log(2 * math.pi), abs=5 * score.stderr + 0.02)


def test_parzen_far_from_all_samples_is_finite():
    score = parzen(torch.zeros(3, 784), torch.ones(2, 784), torch.ones(2, 784), [0.05])
    assert math.isfinite(score.mean) and score.mean < -1e5


def test_parzen_refuses_other_dimensions():
    with pytest.raises(ValueError, match="same number of dimensions"):
        parzen(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 3))


# ------------------------------------------------------------------------------------ mode coverage


@pytest.mark.parametrize("target", [data.ring(std=0.01), data.grid()], ids=["ring", "grid"])
def test_perfect_sampler_covers_all_modes(target):
    found = mode_coverage(target.sample(20_000, Streams(0, "data")), target)
    assert found.modes == len(target.means)
    # In the plane 1 − exp(−9/2) = 98.9 % lie within three standard deviations.
    exact = 1 - math.exp(-4.5)
    assert abs(found.high_quality.item() - exact) < 5 * math.sqrt(exact * (1 - exact) / 20_000)
    assert 0 <= found.reverse_kl < 0.003


@pytest.mark.parametrize("m", [1, 3, 8])
def test_m_modes_of_k_have_reverse_kl_log_k_over_m(m):
    ring = data.ring(8)
    found = mode_coverage(ring.means[:m].repeat(50, 1), ring)
    assert found.modes == m and found.high_quality == 1
    assert found.reverse_kl.item() == pytest.approx(math.log(8 / m), abs=1e-12)


def test_reverse_kl_with_unequal_weights():
    target = data.mixture([0.1, 0.6, 0.3], [[0, 0], [5, 0], [0, 5]], [0.1] * 3)
    samples = target.means[[0, 1, 1, 1]]
    exact = 0.25 * math.log(0.25 / 0.1) + 0.75 * math.log(0.75 / 0.6)
    assert mode_coverage(samples, target).reverse_kl.item() == pytest.approx(exact)


def test_a_sample_beyond_three_standard_deviations_covers_nothing():
    target = data.mixture([0.5, 0.5], [[0, 0], [10, 0]], [1.0, 0.1])
    inside = torch.tensor([[2.99, 0.0], [10.0, 0.299]], dtype=torch.float64)
    outside = torch.tensor([[3.01, 0.0], [10.0, 0.301]], dtype=torch.float64)
    found = mode_coverage(inside, target)
    assert found.modes == 2 and found.high_quality == 1
    found = mode_coverage(outside, target)
    assert found.modes == 0 and found.high_quality == 0
    assert found.reverse_kl == 0, "they still belong to their nearest mode"


@pytest.mark.parametrize("members", [(3,), (2, 3)])
def test_members_are_measured_one_by_one(members):
    ring = data.ring()
    x = torch.stack([ring.means[: i + 1].repeat(20, 1)[:20] for i in range(math.prod(members))])
    together = mode_coverage(x.reshape(*members, 20, 2), ring)
    for field in ("modes", "high_quality", "reverse_kl"):
        alone = torch.stack([getattr(mode_coverage(one, ring), field) for one in x])
        assert getattr(together, field).shape == members
        torch.testing.assert_close(getattr(together, field).flatten(), alone)
