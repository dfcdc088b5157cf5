"""How much work moves one sample onto another? Exact optimal transport, with the proof that it is optimal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

METRICS = ("euclidean", "sqeuclidean")


@dataclass(frozen=True)
class Plan:
    """The cheapest plan, and the dual potentials that prove that none is cheaper.

    `matrix` `(*members, n, m)`: the mass that goes from x_i to y_j; its rows sum to the weights of x, its
    columns to those of y. `distance` `(*members,)`: Σ matrix · costs, which is W₁ for the euclidean metric
    and W₂² for its square. `u` `(*members, n)`, `v` `(*members, m)`: u_i + v_j ≤ costs_ij everywhere, with
    equality where mass moves, so that Σ a u + Σ b v = distance; u has the weighted mean 0.
    """

    matrix: Tensor
    distance: Tensor
    u: Tensor
    v: Tensor
    costs: Tensor
    target: Tensor
    metric: str

    def potential(self, z: Tensor) -> Tensor:
        """f(z) = min_j c(z, y_j) − v_j at any points z `(*members, k, dim)`: `(*members, k)`.

        It is u at the x_i. For the euclidean metric f is 1-Lipschitz on the whole space and
        E f(x) − E f(y) = W₁: an optimal critic (Kantorovich–Rubinstein; Villani 2009, chapter 5).
        """
        gaps = z.unsqueeze(-2) - self.target.to(z).unsqueeze(-3)
        cost = gaps.square().sum(-1) if self.metric == "sqeuclidean" else gaps.norm(dim=-1)
        return (cost - self.v.to(z).unsqueeze(-2)).min(-1).values


def plan(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    metric: str = "euclidean",
) -> Plan:
    """The optimal plan from points x `(*members, n, dim)` to y `(*members, m, dim)`, by POT's simplex.

    `a` `(*members, n)`, `b` `(*members, m)`: weights, by default all equal. `metric`: "euclidean", whose
    cost is the earth mover's distance W₁, or "sqeuclidean", whose cost is W₂². The results lie on the CPU
    in float64. Time grows faster than n²: 0.1 s for 1,000 and 1.5 s for 3,000 points in the plane.

    Raises ValueError for shapes that do not fit, points that are not finite, weights that are negative
    or do not sum to one, and an unknown metric.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; choose one of {', '.join(METRICS)}.")
    x, y = _together(x, y)
    members = x.shape[:-2]
    a, b = _weights(a, x, "a"), _weights(b, y, "b")
    flat = [t.flatten(0, -3) if members else t[None] for t in (x, y)]
    flat += [t.flatten(0, -2) if members else t[None] for t in (a, b)]
    solved = [_solve(*(t.numpy() for t in one), metric) for one in zip(*flat, strict=True)]
    fields = [
        torch.from_numpy(np.stack(f)).reshape(members + f[0].shape)
        for f in zip(*solved, strict=True)
    ]
    return Plan(*fields, y, metric)


def wasserstein1(x: Tensor, y: Tensor) -> Tensor:
    """The earth mover's distance W₁ of two samples `(*members, n, dim)`: `(*members,)`, see `plan`."""
    return plan(x, y).distance


def wasserstein2(x: Tensor, y: Tensor) -> Tensor:
    """W₂, the root of the least mean squared way, of two samples `(*members, n, dim)`: `(*members,)`."""
    return plan(x, y, metric="sqeuclidean").distance.sqrt()


def wasserstein_1d(x: Tensor, y: Tensor, p: float = 1) -> Tensor:
    """W_p of two samples on the line, x `(*members, n)` and y `(*members, m)`: `(*members,)`.

    On the line the order is kept, so `W_p^p = ∫₀¹ |F⁻¹(t) − G⁻¹(t)|^p dt` with the two quantile functions
    (Villani 2003, Theorem 2.18 and Remarks 2.19). Differentiable. Raises ValueError for p < 1.
    """
    if p < 1:
        raise ValueError(f"W_p is a distance for p ≥ 1 only, not for p={p}.")
    n, m = x.shape[-1], y.shape[-1]
    x, y = x.sort(-1).values, y.sort(-1).values
    # Where a quantile function jumps, in units of 1/(n m), in which all such places are whole numbers.
    ends = [
        m * torch.arange(1, n + 1, device=x.device),
        n * torch.arange(1, m + 1, device=x.device),
    ]
    jumps = torch.cat(ends).unique()
    widths = jumps.diff(prepend=jumps.new_zeros(1)).to(x.dtype) / (n * m)
    gaps = (x[..., (jumps - 1) // m] - y[..., (jumps - 1) // n]).abs()
    return (widths * gaps**p).sum(-1) ** (1 / p)


def wasserstein1_normal(mean1: float, std1: float, mean2: float, std2: float) -> float:
    """W₁ of N(mean1, std1²) and N(mean2, std2²) on the line: E|Δm + Δs Z| with Z standard normal."""
    _check_stds(std1, std2)
    shift, spread = mean2 - mean1, abs(std2 - std1)
    if spread == 0:
        return abs(shift)
    ratio = shift / spread
    folded = spread * math.sqrt(2 / math.pi) * math.exp(-ratio * ratio / 2)
    return folded + shift * math.erf(ratio / math.sqrt(2))


def wasserstein2_normal(mean1: float, std1: float, mean2: float, std2: float) -> float:
    """W₂ of N(mean1, std1²) and N(mean2, std2²) on the line: √(Δm² + Δs²)."""
    _check_stds(std1, std2)
    return math.hypot(mean2 - mean1, std2 - std1)


def wasserstein2_gaussian(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> Tensor:
    """W₂ of two Gaussians: means `(*members, dim)`, covariances `(*members, dim, dim)`, to `(*members,)`.

    `W₂² = |m₁ − m₂|² + tr(C₁ + C₂ − 2(C₁^½ C₂ C₁^½)^½)` (Dowson and Landau 1982; Givens and Shortt 1984).
    Covariances may be singular. The last trace is the sum of the singular values of C₁^½ C₂^½.
    """
    if not mean1.shape[-1] == mean2.shape[-1] == cov1.shape[-1] == cov2.shape[-1]:
        raise ValueError("means and covariances must have the same number of dimensions.")
    trace = lambda c: c.diagonal(dim1=-2, dim2=-1).sum(-1)  # noqa: E731
    common = torch.linalg.matrix_norm(_root(cov1) @ _root(cov2), ord="nuc")
    squared = (mean1 - mean2).square().sum(-1) + trace(cov1) + trace(cov2) - 2 * common
    return squared.clamp(min=0).sqrt()


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=0).sqrt().unsqueeze(-2) @ vectors.mT


def _solve(x, y, a, b, metric: str) -> tuple[np.ndarray, ...]:
    import ot
    from scipy.spatial.distance import cdist

    costs = cdist(x, y, metric)
    matrix, log = ot.emd(a, b, costs, numItermax=10_000_000, log=True)
    if log["warning"]:
        raise ArithmeticError(f"the network simplex stopped before the optimum: {log['warning']}")
    # Each potential is set as high as the other allows: that keeps the optimum, and holds for points
    # without weight, too, about which the solver says nothing.
    v = (costs[a > 0] - log["u"][a > 0, None]).min(0)
    u = (costs - v).min(1)
    level = a @ u
    return matrix, np.asarray((matrix * costs).sum()), u - level, v + level, costs


def _together(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """x and y in float64 on the CPU with the same member axes."""
    if x.ndim < 2 or y.ndim < 2:
        raise ValueError("points must be (*members, n, dim); for (n,) on the line: wasserstein_1d.")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} dimensions and y {y.shape[-1]}: they must agree.")
    if 0 in x.shape or 0 in y.shape:
        raise ValueError("a sample without points cannot be transported.")
    try:
        members = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except RuntimeError:
        raise ValueError(
            f"x has members {tuple(x.shape[:-2])} and y {tuple(y.shape[:-2])}: give both the same, or "
            "one of them none."
        ) from None
    x, y = (t.detach().cpu().double().expand(*members, *t.shape[-2:]) for t in (x, y))
    if not (x.isfinite().all() and y.isfinite().all()):
        raise ValueError("points to transport must be finite; look for NaN in the samples.")
    return x, y


def _weights(weights: Tensor | None, points: Tensor, name: str) -> Tensor:
    shape = points.shape[:-1]
    if weights is None:
        return torch.full(shape, 1 / shape[-1], dtype=torch.float64)
    weights = torch.as_tensor(weights).detach().cpu().double()
    if weights.shape[-1:] != shape[-1:]:
        raise ValueError(f"{name} has {weights.shape[-1]} weights for {shape[-1]} points.")
    total = weights.sum(-1, keepdim=True)
    if (weights < 0).any() or not torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-6):
        raise ValueError(
            f"the weights {name} must be ≥ 0 and sum to one (they sum to {total.flatten().tolist()}): "
            "divide them by their sum."
        )
    return (weights / total).expand(shape)


def _check_stds(*stds: float) -> None:
    if min(stds) < 0:
        raise ValueError("a standard deviation must not be negative.")
