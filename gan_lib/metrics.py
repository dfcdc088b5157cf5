"""How good are the samples? Each measure is tested first on cases whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SIGMAS = tuple(float(s) for s in torch.logspace(-1, 0, 10, dtype=torch.float64))


@dataclass(frozen=True)
class ParzenScore:
    """Mean test log-likelihood in nats, its standard error, the chosen σ and the validation curve.

    Numbers for one sample, tensors `(*members,)` for samples with member axes.
    """

    mean: float | Tensor
    stderr: float | Tensor
    sigma: float | Tensor
    validation: dict[float, float | Tensor]


def parzen(
    samples: Tensor, test: Tensor, valid: Tensor, sigmas: Sequence[float] = SIGMAS
) -> ParzenScore:
    """Log-likelihood of test data under a Gaussian kernel placed on every sample.

    The protocol of Goodfellow et al. (2014) and Breuleux et al. (2011): σ is the one of `sigmas`, by
    default ten from 0.1 to 1, that is best on `valid`. Samples `(*members, n, dim)`, each member with a
    σ of its own; `test` and `valid` `(n, dim)`. The score rises with the number of samples and can
    prefer bad samples to good ones (Theis et al. 2016).
    """
    if not samples.shape[-1] == test.shape[-1] == valid.shape[-1]:
        raise ValueError("samples, test and valid must have the same number of dimensions.")
    if samples.ndim > 2:
        scores = [parzen(one, test, valid, sigmas) for one in samples]

        def stack(of):
            return torch.stack([torch.as_tensor(of(s), dtype=torch.float64) for s in scores])

        mean, stderr, sigma = (
            stack(lambda s: s.mean),
            stack(lambda s: s.stderr),
            stack(lambda s: s.sigma),
        )
        curve = {sigma: stack(lambda s, sigma=sigma: s.validation[sigma]) for sigma in sigmas}
        return ParzenScore(mean, stderr, sigma, curve)
    validation = dict(
        zip(sigmas, _log_density(samples, valid, sigmas).mean(-1).tolist(), strict=True)
    )
    sigma = max(validation, key=validation.get)
    scores = _log_density(samples, test, [sigma])[0]
    stderr = scores.std() / math.sqrt(len(scores))
    return ParzenScore(scores.mean().item(), stderr.item(), sigma, validation)


def _log_density(samples: Tensor, x: Tensor, sigmas: Sequence[float], chunk: int = 500) -> Tensor:
    """log p(x) `(len(sigmas), n)` of the kernel estimate, in float64: differences of large squares."""
    samples, x = samples.double(), x.double()
    n, dim = samples.shape
    rows = []
    for part in x.split(chunk):
        squared = torch.cdist(part, samples, compute_mode="use_mm_for_euclid_dist").square()
        rows.append(torch.stack([(-squared / (2 * s * s)).logsumexp(-1) for s in sigmas]))
    norm = [math.log(n) + dim * math.log(s * math.sqrt(2 * math.pi)) for s in sigmas]
    return torch.cat(rows, -1) - samples.new_tensor(norm).unsqueeze(-1)


@dataclass(frozen=True)
class ModeCoverage:
    """Per member: modes hit, share of samples within 3σ of a mode, and reverse KL over modes in nats."""

    modes: Tensor
    high_quality: Tensor
    reverse_kl: Tensor


def mode_coverage(samples: Tensor, target) -> ModeCoverage:
    """Which modes of a mixture do samples `(*members, n, dim)` reach? (PacGAN protocol, Lin et al. 2018.)

    A sample belongs to its nearest mode and is of high quality within three standard deviations of it;
    a mode counts as covered if it has one such sample. Reverse KL compares the shares of the modes
    among all samples with the mixture's weights: log(K/m) for m equal modes out of K.
    """
    means, stds = target.means.to(samples), target.stds.to(samples)
    distance, nearest = torch.cdist(samples, means.expand(*samples.shape[:-2], -1, -1)).min(-1)
    good = distance <= 3 * stds[nearest]
    one_hot = torch.nn.functional.one_hot(nearest, len(means)).to(samples.dtype)
    modes = ((one_hot * good.unsqueeze(-1)).sum(-2) > 0).sum(-1)
    share = one_hot.mean(-2)
    ratio = torch.where(share > 0, share / target.weights.to(samples), 1.0)
    return ModeCoverage(modes, good.to(samples.dtype).mean(-1), (share * ratio.log()).sum(-1))


def sharpness(images: Tensor) -> Tensor:
    """The variance of the Laplacian over an image's inner pixels, of images `(*members, n, side²)`.

    The Laplacian is the sum of a pixel's four neighbours less four times itself: large at edges and
    noise, 0 where grey values change evenly. In squared grey values; returns `(*members, n)`.
    Pech-Pacheco et al. (2000). Noise counts as sharp, so look at the images as well.
    """
    x = _square(images)
    neighbours = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return (neighbours - 4 * x[..., 1:-1, 1:-1]).flatten(-2).var(-1, correction=0)


def high_frequency_share(images: Tensor, radius: float = 0.25) -> Tensor:
    """The share of an image's energy, its mean taken off, in frequencies above `radius`.

    The energy is `|F|²` of the two-dimensional discrete Fourier transform F; a frequency is the length
    √(f₁² + f₂²) in cycles a pixel, from 0 to √½. Images `(*members, n, side²)`, result `(*members, n)`
    from 0 (blurred or constant) to 1. Raises ValueError for a radius outside [0, √½).
    """
    if not 0 <= radius < math.sqrt(0.5):
        raise ValueError(f"radius={radius} must be in [0, √½) cycles a pixel.")
    x = _square(images)
    energy = torch.fft.fft2(x - x.mean((-2, -1), keepdim=True)).abs().square()
    f = torch.fft.fftfreq(x.shape[-1], dtype=x.dtype, device=x.device)
    high = torch.hypot(f.unsqueeze(-1), f) > radius
    total = energy.sum((-2, -1))
    share = (energy * high).sum((-2, -1)) / total
    # A constant image leaves nothing but rounding errors, which have no frequency to speak of.
    flat = total <= (x.shape[-1] * torch.finfo(x.dtype).eps) ** 2 * x.square().sum((-2, -1))
    return torch.where(flat, 0.0, share)


def _square(images: Tensor) -> Tensor:
    """Images `(..., side²)` as `(..., side, side)`, in float64 where there is one."""
    side = math.isqrt(images.shape[-1])
    if side * side != images.shape[-1] or side < 3:
        raise ValueError(
            f"{images.shape[-1]} pixels are no square image: give (*members, n, side²) with side ≥ 3."
        )
    wide = torch.float32 if images.device.type == "mps" else torch.float64
    return images.to(wide).reshape(*images.shape[:-1], side, side)
