"""How a network's output becomes a distribution over x: independent coins or Gaussians, one a pixel.

Outputs `out` and data `x` are `(*members, ..., dim)`; a log-likelihood sums over the last axis, in nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from gan_lib.rng import Streams
from gan_lib.training_checks import first_parameter


@dataclass(frozen=True)
class Bernoulli:
    """x_i = 1 with probability σ(out_i).

    For grey x in (0, 1) the log-likelihood is the mean over images tossed with those probabilities. It
    still ranks models, but it is no density on [0, 1] (Loaiza-Ganem and Cunningham 2019, continuous
    Bernoulli): report likelihoods of binary data only.
    """

    def check(self, x: Tensor) -> None:
        if not ((x >= 0) & (x <= 1)).all():
            raise ValueError(
                f"x lies in [{float(x.min()):.3g}, {float(x.max()):.3g}], pixels of a Bernoulli model "
                "in [0, 1]: rescale the data, or give std= for a Gaussian model."
            )

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        return (x * logsigmoid(out) + (1 - x) * logsigmoid(-out)).sum(-1)

    def mean(self, out: Tensor) -> Tensor:
        return out.sigmoid()

    def sample(self, out: Tensor, rng: Streams) -> Tensor:
        return (uniform_like(out, rng) < out.sigmoid()).to(out.dtype)

    def corrupt(self, x: Tensor, amount: float, rng: Streams) -> Tensor:
        """Salt and pepper: with probability `amount`, a pixel is replaced by a fair coin."""
        hit, coin = uniform_like(x, rng) < amount, uniform_like(x, rng) < 0.5
        return torch.where(hit, coin.to(x.dtype), x)

    def start(self, n: int, dim: int, rng: Streams) -> Tensor:
        """Fair coins `(*members, n, dim)`."""
        return (rng.uniform(n, dim) < 0.5).double()


@dataclass(frozen=True)
class Gaussian:
    """x = out + std · noise."""

    std: float

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"std={self.std}: the noise of a Gaussian model must be positive.")

    def check(self, x: Tensor) -> None:
        if not x.isfinite().all():
            raise ValueError("x holds NaN or infinite values.")

    def log_prob(self, out: Tensor, x: Tensor) -> Tensor:
        return log_normal((x - out) / self.std) - out.shape[-1] * math.log(self.std)

    def mean(self, out: Tensor) -> Tensor:
        return out

    def sample(self, out: Tensor, rng: Streams) -> Tensor:
        return out + self.std * normal_like(out, rng)

    def corrupt(self, x: Tensor, amount: float, rng: Streams) -> Tensor:
        """x + `amount` · noise."""
        return x + amount * normal_like(x, rng)

    def start(self, n: int, dim: int, rng: Streams) -> Tensor:
        """Standard normal numbers `(*members, n, dim)`."""
        return rng.normal(n, dim)


def observation(std: float | None) -> Bernoulli | Gaussian:
    """Coins for std=None, else Gaussians of that standard deviation."""
    return Bernoulli() if std is None else Gaussian(std)


def log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), summed over the last axis."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


def uniform_like(x: Tensor, rng: Streams) -> Tensor:
    """Uniform numbers, one for each of x `(*members, ...)`."""
    return rng.uniform(*x.shape[len(rng.members) :])


def normal_like(x: Tensor, rng: Streams) -> Tensor:
    """Standard normal numbers, one for each of x `(*members, ...)`, in its dtype."""
    return rng.normal(*x.shape[len(rng.members) :], dtype=x.dtype)


def prepared(model: nn.Module, x: Tensor) -> Tensor:
    """Data x `(batch, dim)` or `(*members, batch, dim)` as `model` takes it: `(*members, batch, dim)`.

    Cast to the model's dtype and device; without member axes, all members see the same x. Raises
    ValueError, naming the fix, for another number of pixels, axes or members.
    """
    like = first_parameter(model)
    if x.ndim < 2 or x.shape[-1] != model.dim:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: give (batch, {model.dim}), one row for each sample."
        )
    if x.shape[:-2] not in ((), model.members):
        raise ValueError(
            f"x of shape {tuple(x.shape)} has leading axes {tuple(x.shape[:-2])}, the model has "
            f"members {model.members}: give these, or none to show all members the same data."
        )
    return x.to(like).expand(*model.members, *x.shape[-2:])
