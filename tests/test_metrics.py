"""Measures of samples on cases whose answer is known."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity

from gan_lib import data, images
from gan_lib.metrics import SIGMAS, high_frequency_share, mode_coverage, parzen, sharpness
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


def test_parzen_gives_each_member_a_sigma_and_a_score_of_its_own():
    samples = torch.stack([noise(60, 2, name="s") * scale for scale in (0.1, 1.0, 3.0)])
    test, valid = noise(40, 2, name="t"), noise(40, 2, name="v")
    together = parzen(samples, test, valid)
    for i, one in enumerate(samples):
        alone = parzen(one, test, valid)
        for name in ("mean", "stderr", "sigma"):
            assert getattr(together, name).shape == (3,)
            assert getattr(together, name)[i].item() == getattr(alone, name)
        assert {s: v[i].item() for s, v in together.validation.items()} == alone.validation
    assert len(set(together.sigma.tolist())) > 1
    nested = parzen(samples.reshape(3, 1, 60, 2), test, valid)
    assert nested.mean.shape == (3, 1) and torch.equal(nested.mean.flatten(), together.mean)


# ---------------------------------------------------------------------------------------- sharpness


def blurred(x, sigma=1.0):
    """Gaussian blur of images `(..., side²)` with borders that wrap around."""
    side = math.isqrt(x.shape[-1])
    pixels = x.reshape(*x.shape[:-1], side, side).numpy()
    soft = ndimage.gaussian_filter(pixels, [0] * (x.ndim - 1) + [sigma] * 2, mode="wrap")
    return torch.from_numpy(soft).reshape(x.shape)


SHARPNESS = {"laplacian": sharpness, "high frequencies": high_frequency_share}
every_sharpness = pytest.mark.parametrize("measure", SHARPNESS.values(), ids=SHARPNESS)
DIGITS = images.digits("test").x


@every_sharpness
def test_the_more_blur_the_less_sharp(measure):
    levels = [measure(DIGITS)] + [measure(blurred(DIGITS, s)) for s in (0.5, 1, 2)]
    for sharp, soft in itertools.pairwise(levels):
        assert (soft < sharp).all()


@every_sharpness
def test_flat_images_are_not_sharp_at_all(measure):
    for level in (0, 0.3, 1):
        assert measure(torch.full((2, 784), float(level))).tolist() == pytest.approx(
            [0, 0], abs=1e-20
        )


@every_sharpness
def test_sharpness_does_not_care_for_sign_level_or_orientation(measure):
    x, exact = DIGITS.double(), measure(DIGITS)
    square = x.reshape(-1, 28, 28)
    for other in (1 - x, x + 3, square.mT.flatten(1), square.flip(-1).flatten(1)):
        torch.testing.assert_close(measure(other), exact)


@every_sharpness
@pytest.mark.parametrize("members", [(), (3,), (2, 3)])
def test_sharpness_of_members(measure, members):
    x = noise(*members, 4, 784, name="images")
    together = measure(x)
    assert together.shape == (*members, 4) and together.dtype == torch.float64
    alone = torch.stack([measure(one[None])[0] for one in x.reshape(-1, 784)])
    torch.testing.assert_close(together.flatten(), alone)


def test_sharpness_in_closed_form():
    row = torch.arange(10.0)
    board = ((row[:, None] + row) % 2).flatten()  # neighbours all differ: Laplacian ±4
    ramp = (row[:, None] * 2 + row).flatten()
    stripes = (row[:, None] * torch.ones(10) % 2).flatten()  # two of four neighbours differ: ±2
    found = sharpness(torch.stack([board, ramp, stripes, 3 * board]))
    assert found.tolist() == pytest.approx([16, 0, 4, 144], abs=1e-12)


def test_sharpness_is_the_variance_of_the_laplacian():
    x = noise(3, 12, 12, name="images")
    for image, found in zip(x, sharpness(x.flatten(1)), strict=True):
        inner = ndimage.laplace(image.numpy())[1:-1, 1:-1]
        assert found.item() == pytest.approx(inner.var(), rel=1e-12)


@pytest.mark.parametrize("f1, f2", [(0, 1), (1, 0), (3, 4), (5, 12), (14, 14), (8, 0), (6, 7)])
@pytest.mark.parametrize("radius", [0.0, 0.1, 0.25, 0.5])
def test_a_single_wave_is_all_above_or_all_below_the_radius(f1, f2, radius):
    row = torch.arange(28, dtype=torch.float64)
    wave = (2 * math.pi * (f1 * row[:, None] + f2 * row) / 28).cos().flatten()
    above = math.hypot(f1, f2) / 28 > radius
    assert high_frequency_share(wave[None], radius).item() == pytest.approx(float(above), abs=1e-12)
    two = wave + 0.5 * (2 * math.pi * row / 28).cos().repeat(28)  # a quarter of the energy at 1/28
    if (f1, f2) not in [(0, 1), (14, 14)]:
        share = (0.8 * above) + 0.2 * (1 / 28 > radius)
        assert high_frequency_share(two[None], radius).item() == pytest.approx(share, abs=1e-12)


def test_high_frequency_share_of_white_noise_is_the_share_of_frequencies():
    f = np.array([[min(i, 28 - i), min(j, 28 - j)] for i in range(28) for j in range(28)]) / 28
    length = np.hypot(*f.T)
    expected = (length > 0.25).sum() / (length > 0).sum()
    found = high_frequency_share(noise(2000, 784, name="white")).mean().item()
    assert found == pytest.approx(expected, abs=0.002)


ERRORS = {
    "not square": (lambda: sharpness(torch.zeros(3, 27)), "27 pixels are no square image"),
    "too small": (lambda: high_frequency_share(torch.zeros(3, 4)), "side ≥ 3"),
    "radius": (lambda: high_frequency_share(torch.zeros(3, 9), 0.8), "radius=0.8 must be in"),
}


@pytest.mark.parametrize("call, says", ERRORS.values(), ids=ERRORS)
def test_wrong_images_are_explained(call, says):
    with pytest.raises(ValueError, match=says):
        call()
