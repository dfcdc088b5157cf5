"""Scores of images on cases whose answer is known, and against their formulas written out."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn

from gan_lib import data, images
from gan_lib.features import feature_network
from gan_lib.image_metrics import (
    embed,
    frechet,
    frechet_distance,
    frechet_gaussian,
    inception_style_score,
    precision_recall,
)
from gan_lib.rng import Streams

DIGITS = images.digits("train").x
REAL, FAKE = DIGITS[:400], DIGITS[1000:1300]


def points(*shape, name="x"):
    return Streams(0, name).normal(*shape)


def noisy(x, level):
    """Digits under uniform noise: worse, the higher the level."""
    return (1 - level) * x + level * Streams(0, "noise").uniform(*x.shape, dtype=x.dtype)


# ------------------------------------------------------------------------------------------ Fréchet


def by_sqrtm(a, b):
    a, b = a.numpy(), b.numpy()
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real)


@pytest.mark.parametrize("n, m, dim", [(50, 50, 3), (200, 90, 8)])
def test_frechet_is_the_formula_with_a_matrix_root(n, m, dim):
    a, b = points(n, dim), points(m, dim, name="y") @ points(dim, dim, name="map") + 1
    assert frechet(a, b).item() == pytest.approx(by_sqrtm(a, b), rel=1e-8)
    assert frechet(b, a).item() == pytest.approx(by_sqrtm(a, b), rel=1e-8)


def test_frechet_of_equal_sets_and_of_a_shift():
    a, step = points(100, 5), torch.tensor([1.0, 0, 0, 2, 0]).double()
    assert frechet(a, a).item() == pytest.approx(0, abs=1e-10)
    assert frechet(a, a + step).item() == pytest.approx(5, rel=1e-9), "|Δ|², not |Δ|"
    few = points(4, 20)  # fewer samples than dimensions: singular covariances
    assert frechet(few, few + 1).item() == pytest.approx(20, rel=1e-9)


def test_frechet_of_large_samples_is_that_of_their_gaussians():
    zero, eye = torch.zeros(3).double(), torch.eye(3).double()
    step = torch.ones(3).double()
    exact = frechet_gaussian(zero, eye, step, 4 * eye)  # |Δm|² + Σ Δs² = 3 + 3
    assert exact.item() == pytest.approx(6, rel=1e-12)
    x, y = points(100_000, 3), 1 + 2 * points(100_000, 3, name="y")
    assert frechet(x, y).item() == pytest.approx(6, abs=0.15)


def test_frechet_distance_of_images_is_frechet_of_their_features():
    features = feature_network("cpu")
    by_torchmetrics = frechet_distance(REAL, FAKE, features)
    by_hand = frechet(features(REAL), features(FAKE))
    assert by_torchmetrics.item() == pytest.approx(by_hand.item(), rel=1e-6)
    assert by_torchmetrics.dtype == torch.float64
    assert features.head[1].weight.dtype == torch.float32, "the network is left as it was"
    assert frechet(embed(REAL), embed(FAKE)).item() == pytest.approx(by_hand.item(), rel=1e-6)
    assert frechet_distance(REAL, FAKE).item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_frechet_distance_grows_with_noise():
    scores = [frechet_distance(REAL, noisy(FAKE, level)).item() for level in (0, 0.2, 0.4)]
    assert scores[0] < 0.5 * scores[1] < 0.5 * scores[2]
    assert frechet_distance(REAL, REAL).item() == pytest.approx(0, abs=1e-4)


def test_features_of_ones_own():
    """With the identity, on tiny images, nothing is left but the Fréchet distance itself."""
    x, y = (Streams(0, n).uniform(60, 4) for n in "xy")
    for network in (nn.Identity(), nn.Linear(4, 2, dtype=torch.float64)):
        with torch.no_grad():
            exact = frechet(network(x), network(y)).item()
        assert frechet_distance(x, y, network).item() == pytest.approx(exact, abs=1e-8)


def test_images_in_chunks_are_images_at_once(monkeypatch):
    whole = frechet_distance(REAL, FAKE), inception_style_score(FAKE), embed(FAKE)
    monkeypatch.setattr("gan_lib.image_metrics.CHUNK", 64)
    parts = frechet_distance(REAL, FAKE), inception_style_score(FAKE), embed(FAKE)
    torch.testing.assert_close(whole, parts, rtol=1e-6, atol=1e-5)


# -------------------------------------------------------------------------------- Inception-style


class Table(nn.Module):
    """Reads its logits off the first ten pixels."""

    def logits(self, x):
        return x[..., :10].double().clamp(min=1e-30).log()


def test_inception_style_score_of_known_answers():
    table = Table()
    uniform = torch.full((30, 784), 0.1)
    assert inception_style_score(uniform, table).item() == pytest.approx(1)
    for k in (1, 2, 5, 10):  # k sure digits, equally often
        sure = torch.eye(10, 784)[torch.arange(60) % k]
        assert inception_style_score(sure, table).item() == pytest.approx(k)
    p = Streams(0, "p").uniform(40, 10)
    p = p / p.sum(1, keepdim=True)
    kl = [sum(q * math.log(q / m) for q, m in zip(r, p.mean(0), strict=True)) for r in p.tolist()]
    score = inception_style_score(torch.cat([p, torch.zeros(40, 774)], 1), table).item()
    assert score == pytest.approx(math.exp(sum(kl) / len(kl)))


def test_inception_style_score_of_digits():
    digits = images.digits("test")
    assert 8.5 < inception_style_score(digits.x).item() < 10
    assert inception_style_score(digits.x[digits.y == 3]).item() < 1.5
    p = feature_network("cpu", torch.float64).probabilities(digits.x)
    exact = (p * (p / p.mean(0)).log()).sum(1).mean().exp().item()
    assert inception_style_score(digits.x).item() == pytest.approx(exact, rel=1e-5)


def test_inception_style_score_leaves_the_random_numbers_alone(recwarn):
    before = torch.get_rng_state()
    first = inception_style_score(FAKE)
    assert torch.equal(before, torch.get_rng_state()) and not recwarn.list
    assert inception_style_score(FAKE).item() == pytest.approx(first.item(), rel=1e-12)


# ------------------------------------------------------------------------------- precision, recall


def by_brute_force(real, fake, k):
    """The definitions, pair by pair."""

    def radii(points):
        gaps = [
            [math.dist(p, q) for j, q in enumerate(points) if j != i] for i, p in enumerate(points)
        ]
        return [sorted(row)[k - 1] for row in gaps]

    real, fake = real.tolist(), fake.tolist()
    r, f = radii(real), radii(fake)
    inside = [[math.dist(y, x) <= s for x, s in zip(real, r, strict=True)] for y in fake]
    precision = sum(map(any, inside)) / len(fake)
    reached = [any(math.dist(x, y) <= s for y, s in zip(fake, f, strict=True)) for x in real]
    density = sum(map(sum, inside)) / (k * len(fake))
    coverage = sum(map(any, zip(*inside, strict=True))) / len(real)
    return precision, sum(reached) / len(real), density, coverage


def values(found):
    return tuple(t.item() for t in (found.precision, found.recall, found.density, found.coverage))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(
    "n, m, dim, shift", [(30, 30, 2, 0.5), (25, 40, 3, 1.5), (40, 12, 20, 0.2)]
)
def test_precision_and_recall_are_their_definitions(n, m, dim, shift, k):
    real, fake = points(n, dim), shift + 0.7 * points(m, dim, name="y")
    found = values(precision_recall(real, fake, k))
    assert found == pytest.approx(by_brute_force(real, fake, k))
    mirrored = precision_recall(fake, real, k)
    assert (mirrored.recall.item(), mirrored.precision.item()) == pytest.approx(found[:2])


def test_precision_and_recall_of_known_answers():
    x = points(300, 2)
    same = precision_recall(x, x)
    assert same.precision == same.recall == same.coverage == 1
    assert same.density.item() == pytest.approx(4 / 3, abs=0.1), "its own ball and about k others"
    assert values(precision_recall(x, x + 1000)) == (0, 0, 0, 0)
    fresh = precision_recall(x, points(300, 2, name="y"))
    assert min(values(fresh)[:2]) > 0.85 and fresh.density.item() == pytest.approx(1, abs=0.15)


def test_dropped_modes_cost_recall_and_invented_ones_precision():
    two = data.mixture([0.5, 0.5], [[-10, 0], [10, 0]], [1, 1])
    both, one = two.sample(400, Streams(0, "d")), two.means[0] + points(400, 2)
    dropped = precision_recall(both, one)
    assert dropped.precision > 0.9 and dropped.recall.item() == pytest.approx(0.5, abs=0.08)
    assert dropped.coverage.item() == pytest.approx(0.5, abs=0.08)
    invented = precision_recall(one, both)
    assert invented.recall > 0.9 and invented.precision.item() == pytest.approx(0.5, abs=0.08)


def test_precision_and_recall_of_digits():
    digits = images.digits("train")
    few = digits.x[digits.y < 5][:300]
    everything, half = (
        precision_recall(embed(REAL), embed(FAKE)),
        precision_recall(embed(REAL), embed(few)),
    )
    assert everything.precision > 0.8 and everything.recall > 0.8
    assert half.precision > 0.8 and half.recall < 0.7 < everything.recall
    assert precision_recall(embed(REAL), embed(noisy(FAKE, 0.5))).precision < 0.3


# ------------------------------------------------------------------------------------------ members


@pytest.mark.parametrize("members", [(3,), (2, 1)])
def test_members_are_scored_one_by_one(members):
    n = math.prod(members)
    flat = torch.stack([noisy(FAKE[40 * i : 40 * i + 80], 0.1 * i) for i in range(n)])
    fake = flat.reshape(*members, 80, 784)
    features = embed(fake)
    assert features.shape == (*members, 80, 64)
    scores = {
        "frechet_distance": (
            frechet_distance(REAL, fake),
            lambda i: frechet_distance(REAL, flat[i]),
        ),
        "inception": (inception_style_score(fake), lambda i: inception_style_score(flat[i])),
        "frechet": (frechet(embed(REAL), features), lambda i: frechet(embed(REAL), embed(flat[i]))),
        "recall": (
            precision_recall(embed(REAL), features).recall,
            lambda i: precision_recall(embed(REAL), embed(flat[i])).recall,
        ),
        "precision": (
            precision_recall(embed(REAL), features).precision,
            lambda i: precision_recall(embed(REAL), embed(flat[i])).precision,
        ),
    }
    for name, (together, alone) in scores.items():
        assert together.shape == members, name
        torch.testing.assert_close(
            together.flatten(), torch.stack([alone(i) for i in range(n)]), rtol=1e-5, atol=1e-5
        )


# ------------------------------------------------------------------------------------------- errors

ok = torch.zeros(5, 784)
ERRORS = {
    "tanh": (lambda: frechet_distance(ok, ok - 1), "from 0 to 1.*tanh"),
    "bytes": (lambda: inception_style_score(255 * torch.ones(5, 784)), "from 0 to 1"),
    "nan": (lambda: embed(ok * torch.nan), "from 0 to 1"),
    "one image": (lambda: embed(ok[0]), r"must be \(\*members, n, 784\)"),
    "k": (lambda: precision_recall(points(10, 2), points(3, 2)), "k=3 neighbours need more than k"),
    "single": (lambda: frechet(points(1, 2), points(9, 2)), "at least two samples"),
}


@pytest.mark.parametrize("call, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(call, says):
    with pytest.raises(ValueError, match=says):
        call()
