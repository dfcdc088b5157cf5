"""The ten f-divergences of the f-GAN paper as data: f, its conjugate f*, and the critic's last layer g_f.

D_f(P‖Q) = ∫ q f(p/q) for a convex f. A critic's score v becomes t = g_f(v), a number in the domain of
f*(t) = sup_{u≥0} (ut − f(u)), and E_P[t] − E_Q[f*(t)] ≤ D_f, equal at t = f′(p/q) (Nowozin et al. 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu

from gan_lib.numerics import chi_square, log1mexp, log_lambertw, softplus

LOG2, INF = math.log(2), math.inf
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """One row of the table; functions act on each element of a tensor and are differentiable.

    `f(u)`, `f_prime(u)`: for u ≥ 0. `domain`: (f′(0), f′(∞)), where the supremum in f* is attained.
    `formula(t)`, `formula_prime(t)`: f* and f*′ inside the domain; use `conjugate`. `activation(v)`: g_f.
    `conjugate_of_activation(v)`: f*(g_f(v)) in one formula, because g_f rounds onto the edge of the
    domain, where f* may be infinite, from v ≈ 37 on.
    `optimal_score(r)`: the v with g_f(v) = f′(e^r), r = log p/q. `integrand(log_p, log_q)`: q f(p/q)
    without overflow. `at_zero`, `at_one`, `slope_at_one`: f(0), f(1), f′(1); D_f of equal distributions is
    f(1). `symmetric`: whether D_f(P‖Q) = D_f(Q‖P).
    """

    name: str
    f: Function
    f_prime: Function
    formula: Function
    formula_prime: Function
    domain: tuple[float | Tensor, float | Tensor]
    activation: Function
    conjugate_of_activation: Function
    optimal_score: Function
    integrand: Callable[[Tensor, Tensor], Tensor]
    at_zero: float | Tensor
    symmetric: bool
    at_one: float = 0.0
    slope_at_one: float = 0.0

    def conjugate(self, t: Tensor) -> Tensor:
        """f*(t) for every real t: constant, −f(0), below the domain and +∞ above it."""
        low, high = self._edges(t)
        return torch.where(t > high, INF, self.formula(t.clamp(low, high)))

    def conjugate_prime(self, t: Tensor) -> Tensor:
        """f*′(t), the u ≥ 0 that attains the supremum: 0 below the domain, ∞ above it."""
        low, high = self._edges(t)
        u = torch.where(t > high, INF, self.formula_prime(t.clamp(low, high)))
        return torch.where(t < low, 0.0, u)

    @property
    def slope_at_infinity(self) -> float | Tensor:
        """What a unit of p costs where q has no mass, f′(∞)."""
        return self.domain[1]

    @property
    def disjoint(self) -> float | Tensor:
        """The largest value of D_f, f(0) + f′(∞), that of two distributions that share no support."""
        return self.at_zero + self.slope_at_infinity

    @property
    def bounded(self) -> bool:
        """Whether D_f is finite for all pairs of distributions."""
        return bool(torch.as_tensor(self.disjoint).isfinite().all())

    def _edges(self, t: Tensor) -> list[Tensor]:
        return [torch.as_tensor(edge, dtype=t.dtype, device=t.device) for edge in self.domain]


total_variation = Row(
    "total variation",
    f=lambda u: 0.5 * (u - 1).abs(),
    f_prime=lambda u: 0.5 * (u - 1).sign(),
    formula=lambda t: t,
    formula_prime=torch.ones_like,
    domain=(-0.5, 0.5),
    activation=lambda v: 0.5 * v.tanh(),
    conjugate_of_activation=lambda v: 0.5 * v.tanh(),
    optimal_score=lambda r: torch.where(r == 0, 0.0, r.sign() * INF),
    integrand=lambda log_p, log_q: 0.5 * (log_p.exp() - log_q.exp()).abs(),
    at_zero=0.5,
    symmetric=True,
)

kl = Row(
    "KL",
    f=lambda u: torch.xlogy(u, u),
    f_prime=lambda u: u.log() + 1,
    formula=lambda t: (t - 1).exp(),
    formula_prime=lambda t: (t - 1).exp(),
    domain=(-INF, INF),
    activation=lambda v: v,
    conjugate_of_activation=lambda v: (v - 1).exp(),
    optimal_score=lambda r: r + 1,
    integrand=lambda log_p, log_q: log_p.exp() * (log_p - log_q),
    at_zero=0.0,
    symmetric=False,
    slope_at_one=1.0,
)

reverse_kl = Row(
    "reverse KL",
    f=lambda u: -u.log(),
    f_prime=lambda u: -1 / u,
    formula=lambda t: -1 - (-t).log(),
    formula_prime=lambda t: -1 / t,
    domain=(-INF, 0.0),
    activation=lambda v: -(-v).exp(),
    conjugate_of_activation=lambda v: v - 1,
    optimal_score=lambda r: r,
    integrand=lambda log_p, log_q: log_q.exp() * (log_q - log_p),
    at_zero=INF,
    symmetric=False,
    slope_at_one=-1.0,
)

pearson = Row(
    "Pearson",
    f=lambda u: (u - 1).square(),
    f_prime=lambda u: 2 * (u - 1),
    formula=lambda t: t * (t / 4 + 1),
    formula_prime=lambda t: t / 2 + 1,
    domain=(-2.0, INF),
    activation=lambda v: v,
    # Scores below f′(0) = −2 ask for u < 0: there the true f*, a constant, is used.
    conjugate_of_activation=lambda v: v.clamp(min=-2) * (v.clamp(min=-2) / 4 + 1),
    optimal_score=lambda r: 2 * torch.expm1(r),
    integrand=chi_square,
    at_zero=1.0,
    symmetric=False,
)

neyman = Row(
    "Neyman",
    f=lambda u: (1 - u).square() / u,
    f_prime=lambda u: 1 - u**-2,
    formula=lambda t: 2 - 2 * (1 - t).sqrt(),
    formula_prime=lambda t: (1 - t) ** -0.5,
    domain=(-INF, 1.0),
    activation=lambda v: 1 - (-v).exp(),
    conjugate_of_activation=lambda v: 2 - 2 * (-v / 2).exp(),
    optimal_score=lambda r: 2 * r,
    integrand=lambda log_p, log_q: chi_square(log_q, log_p),
    at_zero=INF,
    symmetric=False,
)

squared_hellinger = Row(
    "squared Hellinger",
    f=lambda u: (u.sqrt() - 1).square(),
    f_prime=lambda u: 1 - u**-0.5,
    formula=lambda t: t / (1 - t),
    formula_prime=lambda t: (1 - t) ** -2,
    domain=(-INF, 1.0),
    activation=lambda v: 1 - (-v).exp(),
    conjugate_of_activation=lambda v: v.exp() - 1,
    optimal_score=lambda r: r / 2,
    integrand=lambda log_p, log_q: ((log_p / 2).exp() - (log_q / 2).exp()).square(),
    at_zero=1.0,
    symmetric=True,
)


def _gan_integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
    r = log_p - log_q
    return log_p.exp() * logsigmoid(r) + log_q.exp() * logsigmoid(-r)


def _jeffrey_conjugate(t: Tensor) -> Tensor:
    # W + 1/W + t − 2 with W + log W = 1 − t: two terms that do not cancel.
    y = log_lambertw(1 - t)
    return (-y).exp() - y - 1


jeffrey = Row(
    "Jeffrey",
    f=lambda u: (u - 1) * u.log(),
    f_prime=lambda u: u.log() + 1 - 1 / u,
    formula=_jeffrey_conjugate,
    formula_prime=lambda t: (-log_lambertw(1 - t)).exp(),
    domain=(-INF, INF),
    activation=lambda v: v,
    conjugate_of_activation=_jeffrey_conjugate,
    optimal_score=lambda r: r - torch.expm1(-r),
    integrand=lambda log_p, log_q: (log_p.exp() - log_q.exp()) * (log_p - log_q),
    at_zero=INF,
    symmetric=True,
)

jensen_shannon = Row(  # as in the paper, twice the usual JSD
    "Jensen-Shannon",
    f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log1p((u - 1) / 2),
    f_prime=lambda u: LOG2 - torch.log1p(1 / u),
    formula=lambda t: -LOG2 - log1mexp(LOG2 - t),
    formula_prime=lambda t: 1 / torch.expm1(LOG2 - t),
    domain=(-INF, LOG2),
    activation=lambda v: LOG2 + logsigmoid(v),
    conjugate_of_activation=lambda v: softplus(v) - LOG2,
    optimal_score=lambda r: r,
    integrand=lambda log_p, log_q: (
        _gan_integrand(log_p, log_q) + LOG2 * (log_p.exp() + log_q.exp())
    ),
    at_zero=LOG2,
    symmetric=True,
)

gan = Row(
    "GAN",
    f=lambda u: -torch.special.xlog1py(u, 1 / u) - torch.log1p(u),
    f_prime=lambda u: -torch.log1p(1 / u),
    formula=lambda t: -log1mexp(-t),
    formula_prime=lambda t: 1 / torch.expm1(-t),
    domain=(-INF, 0.0),
    activation=logsigmoid,
    conjugate_of_activation=softplus,
    optimal_score=lambda r: r,
    integrand=_gan_integrand,
    at_zero=0.0,
    symmetric=True,
    at_one=-2 * LOG2,
    slope_at_one=-LOG2,
)


def weighted_jensen_shannon(pi: float | Tensor = 0.5) -> Row:
    """π KL(P‖M) + (1 − π) KL(Q‖M) with M = πP + (1 − π)Q, for 0 < π < 1; π = ½ gives the JSD.

    `pi` may be a tensor `(*members,)`, one weight a member; the functions then take `(*members, batch)`
    and `domain` and `at_zero` are `(*members, 1)`. Raises ValueError for a weight outside (0, 1).
    """
    pi = torch.as_tensor(pi, dtype=torch.float64)
    if not bool(((pi > 0) & (pi < 1)).all()):
        raise ValueError(f"pi={pi.tolist()}: every weight must lie strictly between 0 and 1.")
    pi = pi.unsqueeze(-1) if pi.ndim else pi
    limits = -pi * pi.log(), -(1 - pi) * torch.log1p(-pi)
    slope_at_infinity, at_zero = limits if pi.ndim else map(float, limits)

    def f(u: Tensor) -> Tensor:
        w = pi.to(u)
        return w * torch.xlogy(u, u) - (1 - w + w * u) * torch.log1p(w * (u - 1))

    def formula(t: Tensor) -> Tensor:
        w = pi.to(t)  # t/π + log π < 0 inside the domain
        return (1 - w) * (torch.log1p(-w) - log1mexp(-w.log() - t / w))

    def fused(v: Tensor) -> Tensor:
        # log(1 − σ(v)^(1/π)) is a line beyond 40, to all digits; there e^(−v) may underflow.
        w, log_d = pi.to(v), logsigmoid(v.clamp(max=40)) / pi.to(v)
        return (1 - w) * (torch.log1p(-w) - log1mexp(-log_d) + relu(v - 40))

    def optimal_score(r: Tensor) -> Tensor:
        w = pi.to(r)
        log_d = w * logsigmoid(r + w.logit())
        return log_d - log1mexp(-log_d)

    def integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
        w = pi.to(log_p)
        log_m = torch.logaddexp(w.log() + log_p, torch.log1p(-w) + log_q)
        return w * log_p.exp() * (log_p - log_m) + (1 - w) * log_q.exp() * (log_q - log_m)

    return Row(
        "weighted JS",
        f,
        f_prime=lambda u: -pi.to(u) * torch.log(pi.to(u) + (1 - pi.to(u)) / u),
        formula=formula,
        formula_prime=lambda t: (1 - pi.to(t)) / ((-t / pi.to(t)).exp() - pi.to(t)),
        domain=(-INF, slope_at_infinity),
        activation=lambda v: logsigmoid(v) - (pi * pi.log()).to(v),
        conjugate_of_activation=fused,
        optimal_score=optimal_score,
        integrand=integrand,
        at_zero=at_zero,
        symmetric=bool((pi == 0.5).all()),
    )


_ROWS = [total_variation, kl, reverse_kl, pearson, neyman, squared_hellinger, jeffrey]
_ROWS += [jensen_shannon, weighted_jensen_shannon(), gan]
ROWS = {row.name: row for row in _ROWS}


def get_row(row: Row | str) -> Row:
    """The row of that name, or the row itself. Raises ValueError listing the known names."""
    if isinstance(row, Row):
        return row
    if row not in ROWS:
        raise ValueError(f"unknown f-divergence {row!r}; known are {', '.join(ROWS)}.")
    return ROWS[row]
