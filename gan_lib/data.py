"""Distributions one can sample *and*, where a density exists, evaluate: noise priors and toy data.

Every distribution has `dim`, `sample(m, rng) -> (*members, m, dim)` and, unless it lives on a set of
measure zero, `log_prob(x: (..., dim)) -> (...)` in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_lib.rng import Streams


@dataclass(frozen=True)
class Mixture:
    """A mixture of K isotropic Gaussians: weights `(K,)`, means `(K, dim)`, stds `(K,)`."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float64) -> Tensor:
        z = rng.normal(m, self.dim)
        means, stds = self.means.to(z), self.stds.to(z)
        if len(means) == 1:  # no component to choose: spend no random number on it
            return (means + stds * z).to(dtype)
        edges = self.weights.cumsum(0)[:-1].to(z)
        component = torch.bucketize(rng.uniform(m), edges)
        return (means[component] + stds[component].unsqueeze(-1) * z).to(dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) for x `(..., dim)`, in nats; exact."""
        means, stds, weights = (t.to(x) for t in (self.means, self.stds, self.weights))
        squared = (x.unsqueeze(-2) - means).square().sum(-1)  # (..., K)
        log_normal = -squared / (2 * stds**2) - self.dim * (
            stds.log() + 0.5 * math.log(2 * math.pi)
        )
        return (weights.log() + log_normal).logsumexp(-1)


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution on the box [low, high]^dim."""

    dim: int
    low: float
    high: float

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float64) -> Tensor:
        return (self.low + (self.high - self.low) * rng.uniform(m, self.dim)).to(dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """−dim · log(high − low) inside the box, −∞ outside."""
        inside = ((x >= self.low) & (x <= self.high)).all(-1)
        level = x.new_full(x.shape[:-1], -self.dim * math.log(self.high - self.low))
        return torch.where(inside, level, -torch.inf)


@dataclass(frozen=True)
class TwoLines:
    """A vertical segment x₁ = offset, x₂ uniform on [0, 1]: the example of Arjovsky et al. (2017).

    Two of them at different offsets never overlap, and neither has a density in the plane.
    """

    offset: float
    dim: int = 2

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float64) -> Tensor:
        height = rng.uniform(m, 1)
        return torch.cat([torch.full_like(height, self.offset), height], -1).to(dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        raise NotImplementedError("a line has no density in the plane; compare samples instead.")


@dataclass(frozen=True)
class SwissRoll:
    """A spiral in the plane, blurred by Gaussian noise of standard deviation `std`, about 1 wide."""

    std: float
    dim: int = 2

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float64) -> Tensor:
        angle = 1.5 * math.pi * (1 + 2 * rng.uniform(m, 1))
        curve = angle * torch.cat([angle.cos(), angle.sin()], -1) / (4.5 * math.pi)
        return (curve + self.std * rng.normal(m, 2)).to(dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        raise NotImplementedError("the swiss roll's density has no closed form; use samples.")


def mixture(weights: Sequence[float], means: Sequence, stds: Sequence[float]) -> Mixture:
    """A mixture of Gaussians. `means` holds K numbers (one dimension) or K points.

    Raises ValueError when the lengths differ, the weights do not sum to one or a std is not positive.
    """
    w, mu, s = (torch.as_tensor(v, dtype=torch.float64) for v in (weights, means, stds))
    mu = mu.unsqueeze(-1) if mu.ndim == 1 else mu
    if not len(w) == len(mu) == len(s):
        raise ValueError(
            f"{len(w)} weights, {len(mu)} means and {len(s)} stds: give one of each per component."
        )
    if abs(w.sum() - 1) > 1e-9 or (w < 0).any():
        raise ValueError(f"mixture weights must be ≥ 0 and sum to 1; they sum to {w.sum():.6g}.")
    if (s <= 0).any():
        raise ValueError("every std of a mixture must be positive.")
    return Mixture(w, mu, s)


def gaussian(mean: float | Sequence[float] = 0.0, std: float = 1.0) -> Mixture:
    """N(mean, std² I), in as many dimensions as `mean` has numbers."""
    return mixture([1.0], [mean], [std])


def normal(dim: int) -> Mixture:
    """The standard normal noise prior N(0, I) in `dim` dimensions."""
    return gaussian([0.0] * dim, 1.0)


def uniform(dim: int, low: float = -1.0, high: float = 1.0) -> Uniform:
    """The uniform noise prior on [low, high]^dim."""
    if not high > low:
        raise ValueError(f"uniform needs low < high, got low={low}, high={high}.")
    return Uniform(dim, low, high)


def ring(modes: int = 8, radius: float = 1.0, std: float = 0.05) -> Mixture:
    """`modes` equal Gaussians on a circle (PacGAN uses 8 modes, radius 1 and std 0.01)."""
    _at_least_one(modes)
    angles = [2 * math.pi * i / modes for i in range(modes)]  # the end point is not repeated
    centres = [(radius * math.cos(a), radius * math.sin(a)) for a in angles]
    return mixture([1 / modes] * modes, centres, [std] * modes)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> Mixture:
    """side × side equal Gaussians centred on the origin (PacGAN: 5 × 5, spacing 2, std 0.05)."""
    _at_least_one(side)
    line = [spacing * (i - (side - 1) / 2) for i in range(side)]
    return mixture([1 / side**2] * side**2, [(a, b) for a in line for b in line], [std] * side**2)


def _at_least_one(modes: int) -> None:
    if modes < 1:
        raise ValueError(f"a mixture needs at least one mode, not {modes}.")


def two_lines(distance: float) -> tuple[TwoLines, TwoLines]:
    """Two parallel segments of length 1 a `distance` apart: (data, generator)."""
    return TwoLines(0.0), TwoLines(distance)


def swiss_roll(std: float = 0.02) -> SwissRoll:
    """The swiss roll of the WGAN-GP toy experiments, scaled to radius 1."""
    return SwissRoll(std)
