"""Scores of images by the features of a classifier of digits (`gan_lib.features`).

They stand in for those computed with Inception; their numbers are comparable only within this book.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_lib.features import feature_network
from gan_lib.transport import wasserstein2_gaussian

CHUNK = 1000  # images at a time


class _Double(nn.Module):
    """A network's answer in float64 on the CPU (MPS has none), with the size that torchmetrics asks for."""

    def __init__(self, network, num_features: int = 0):
        super().__init__()
        self.network, self.num_features = network, num_features

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).cpu().double()


def embed(images: Tensor, features: nn.Module | None = None) -> Tensor:
    """Features of images `(*members, n, 784)` in [0, 1]: `(*members, n, d)`, in float64 on the CPU.

    `features`: any map of images to numbers; by default our network, with d = 64.
    """
    _check(images)
    network = _Double(features or feature_network(images.device))
    return torch.cat([network(part) for part in images.split(CHUNK, -2)], -2)


def frechet_distance(real: Tensor, fake: Tensor, features: nn.Module | None = None) -> Tensor:
    """The Fréchet distance of real images `(n, 784)` and fakes `(*members, m, 784)`: `(*members,)`.

    Heusel et al. (2017), by torchmetrics: the squared W₂ of two Gaussians with the means and
    covariances of the features. Biased upwards for few images (real digits against other real digits:
    about 50 for 400 and 300 of them, 11 for 2,000 and 2,000), so compare equal numbers only.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    _check(real, fake)
    network = features or feature_network(real.device)
    size = network(real[:1]).shape[-1]
    score = FrechetInceptionDistance(_Double(network, size), reset_real_features=False)
    for part in real.split(CHUNK):
        score.update(part, real=True)

    def one(images: Tensor) -> Tensor:
        score.reset()  # forgets the fakes only
        for part in images.split(CHUNK):
            score.update(part, real=False)
        return score.compute()

    return _per_member(one, fake)


def frechet(features_a: Tensor, features_b: Tensor) -> Tensor:
    """The Fréchet distance of two sets of features `(*members, n, d)`, of any origin: `(*members,)`."""
    return frechet_gaussian(*_moments(features_a), *_moments(features_b))


def frechet_gaussian(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """The *squared* W₂ of two Gaussians, which is what is reported as FID: see `wasserstein2_gaussian`."""
    return wasserstein2_gaussian(mean1, cov1, mean2, cov2).square()


def inception_style_score(images: Tensor, features: nn.Module | None = None) -> Tensor:
    """exp E_x KL(p(digit | x) ‖ p(digit)) of images `(*members, n, 784)`: `(*members,)`, from 1 to 10.

    Salimans et al. (2016), section 4, by torchmetrics, all images in one split. High if each image looks
    like one digit and all digits occur; it never looks at real images. `features`: has `logits(x)`.
    """
    from torchmetrics.image.inception import InceptionScore

    _check(images)
    network = features or feature_network(images.device)

    def one(sample: Tensor) -> Tensor:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # of its memory, and of no spread over a single split
            score = InceptionScore(_Double(network.logits), splits=1)
            for part in sample.split(CHUNK):
                score.update(part)
            return score.compute()[0]

    return _per_member(one, images)


@dataclass(frozen=True)
class PrecisionRecall:
    """Per member `(*members,)`: how real the fakes are, and how much of the real data they reach."""

    precision: Tensor
    recall: Tensor
    density: Tensor
    coverage: Tensor


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
    """Which share of fake features lies among the real ones, and which of the real among the fake?

    real `(n, d)`, fake `(*members, m, d)`. A set's manifold is the union of balls around its points, each
    as wide as the way to the point's k-th nearest neighbour (Kynkäänniemi et al. 2019, eq. 1 and 2).
    Density counts in how many real balls a fake lies, over k; coverage, how many real balls hold a fake
    (Naeem et al. 2020, section 3). Raises ValueError if a set has no k-th neighbour.
    """
    if min(real.shape[-2], fake.shape[-2]) <= k:
        raise ValueError(
            f"k={k} neighbours need more than k points in each set; choose a smaller k."
        )
    real, fake = real.detach().cpu().double(), fake.detach().cpu().double()
    real_radii = _radii(real, k)

    def one(sample: Tensor) -> Tensor:
        gaps = torch.cdist(sample, real, compute_mode="donot_use_mm_for_euclid_dist")  # (m, n)
        in_real = gaps <= real_radii
        in_fake = gaps <= _radii(sample, k).unsqueeze(-1)
        precision, recall = in_real.any(1).double().mean(), in_fake.any(0).double().mean()
        density, coverage = in_real.double().sum(1).mean() / k, in_real.any(0).double().mean()
        return torch.stack([precision, recall, density, coverage])

    return PrecisionRecall(*_per_member(one, fake).unbind(-1))


def _radii(points: Tensor, k: int) -> Tensor:
    """The distance `(n,)` of each point to its k-th nearest neighbour, itself not counted."""
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=k).fit(points.numpy()).kneighbors()
    return torch.from_numpy(distances[:, -1])


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    if features.shape[-2] < 2:
        raise ValueError("a covariance needs at least two samples.")
    mean = features.double().mean(-2)
    centred = features.double() - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / (features.shape[-2] - 1)


def _per_member(score, x: Tensor) -> Tensor:
    """`score` of each sample of x `(*members, n, dim)`, one by one, with the member axes in front."""
    members = x.shape[:-2]
    scores = torch.stack([score(one) for one in x.reshape(-1, *x.shape[-2:])])
    return scores.reshape(members + scores.shape[1:])


def _check(*images: Tensor) -> None:
    for x in images:
        if x.ndim < 2 or not (x.min() >= -1e-6 and x.max() <= 1 + 1e-6):
            raise ValueError(
                "images must be (*members, n, 784) with pixels from 0 to 1; map the output of a "
                "tanh generator by (x + 1) / 2 first."
            )
