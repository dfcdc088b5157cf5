"""Distances between two densities, computed to many digits: the oracles that estimates are held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.integrate import cubature
from torch import Tensor
from torch.nn.functional import logsigmoid

from gan_lib.f_divergences import Row, get_row

Density = object  # anything with log_prob(x: (..., dim)) -> (...)


def integrate(
    f: Callable[[Tensor], Tensor],
    low: Sequence[float],
    high: Sequence[float],
    rtol: float = 1e-10,
    densities: Sequence[Density] = (),
) -> float:
    """∫ f(x) dx over the box low ≤ x ≤ high, by SciPy's adaptive Gauss–Kronrod cubature.

    `f` maps `(n, dim)` to `(n,)`; the `densities` that it is made of tell where it jumps. Raises
    ArithmeticError if the error estimate stays above `rtol`, for NaN, and for a mixture so narrow
    in this box that a first look could miss it.
    """
    low, high = (np.atleast_1d(np.asarray(v, dtype=float)) for v in (low, high))
    # Start from halves around the middle: a single rule can miss two narrow bumps far from it.
    cuts = [(low + high) / 2 + 1e-3 * (high - low)]
    for p in densities:
        if hasattr(p, "stds") and float(p.stds.min()) < 0.003 * (high - low).max():
            raise ArithmeticError(
                f"a bump of width {float(p.stds.min()):.2g} could be missed in a box of width "
                f"{(high - low).max():.3g}: choose a smaller box, or integrate it in pieces."
            )
        if hasattr(p, "low"):  # a uniform density jumps at its edges
            cuts += [np.full(low.shape, float(edge)) for edge in (p.low, p.high)]
    result = cubature(
        lambda x: f(torch.from_numpy(x)).numpy(), low, high, rtol=rtol, atol=1e-13, points=cuts
    )
    if result.status != "converged" or np.isnan(result.estimate):
        raise ArithmeticError(f"the integral did not converge (error {float(result.error):.1e}).")
    return float(result.estimate)


def kl(p: Density, q: Density, low, high) -> float:
    """KL(p‖q) = ∫ p log(p/q) over the box, in nats. Infinite where q = 0 < p is not detected: choose a
    box on which both densities are positive and outside which p has no mass worth counting."""
    integrand = lambda x: _xlogy(p.log_prob(x), p.log_prob(x) - q.log_prob(x))  # noqa: E731
    return integrate(integrand, low, high, densities=[p])


def jsd(p: Density, q: Density, low, high) -> float:
    """Jensen–Shannon divergence ½KL(p‖m) + ½KL(q‖m), m = (p + q)/2, in nats: from 0 to log 2."""

    def integrand(x: Tensor) -> Tensor:
        log_p, log_q = p.log_prob(x), q.log_prob(x)
        log_m = torch.logaddexp(log_p, log_q) - np.log(2)
        return 0.5 * _xlogy(log_p, log_p - log_m) + 0.5 * _xlogy(log_q, log_q - log_m)

    return integrate(integrand, low, high, densities=(p, q))


def tv(p: Density, q: Density, low, high) -> float:
    """Total variation ½∫|p − q|: from 0 to 1."""
    integrand = lambda x: 0.5 * (p.log_prob(x).exp() - q.log_prob(x).exp()).abs()  # noqa: E731
    return integrate(integrand, low, high, rtol=1e-8, densities=(p, q))


def optimal_logit(p: Density, q: Density) -> Callable[[Tensor], Tensor]:
    """The logit of D* = p/(p + q), which is log p(x) − log q(x) (Goodfellow et al. 2014, Prop. 1)."""
    return lambda x: p.log_prob(x) - q.log_prob(x)


def value_of(logit: Callable[[Tensor], Tensor], p: Density, q: Density, low, high) -> float:
    """V(D, G) = ∫ p log D + q log(1 − D) for D = σ(logit(x)), by quadrature, in nats."""

    def integrand(x: Tensor) -> Tensor:
        score = logit(x)
        return _xlogy(p.log_prob(x), logsigmoid(score)) + _xlogy(q.log_prob(x), logsigmoid(-score))

    return integrate(integrand, low, high, densities=(p, q))


def f_divergence(row: Row | str, p: Density, q: Density, low, high, rtol: float = 1e-8) -> float:
    """D_f(p‖q) = ∫ q f(p/q) over the box, from the logarithms of the densities.

    Where q = 0 < p the integrand is p f′(∞), where p = 0 < q it is q f(0). Raises ArithmeticError where
    D_f is infinite: for disjoint supports under an unbounded f, and for Gaussian mixtures where one is
    too wide for a χ²; and, on the line, where mixtures have mass outside the box: for a χ², what counts is
    the width of p²/q, not of p.
    """
    row = get_row(row)
    _refuse_wide(row, p, q)

    def integrand(x: Tensor) -> Tensor:
        log_p, log_q = p.log_prob(x), q.log_prob(x)
        no_p, no_q = log_p == -torch.inf, log_q == -torch.inf
        inside = row.integrand(log_p.masked_fill(no_p, 0), log_q.masked_fill(no_q, 0))
        values = inside.masked_fill(no_p & no_q, 0)
        values = torch.where(no_p & ~no_q, log_q.exp() * row.at_zero, values)
        values = torch.where(no_q & ~no_p, log_p.exp() * row.slope_at_infinity, values)
        if values.isinf().any():
            raise ArithmeticError(
                f"the {row.name} divergence of these densities is infinite: one has mass where the "
                "other has none. Choose a bounded divergence (row.bounded)."
            )
        return values

    total = integrate(integrand, low, high, rtol=rtol, densities=(p, q))
    if (
        p.dim == 1 and hasattr(p, "stds") and hasattr(q, "stds")
    ):  # else a density may end at the box
        ends = torch.tensor([low, high], dtype=torch.float64).reshape(2, 1)
        if integrand(ends).abs().max() * (ends[1] - ends[0]) > 1e-6 * abs(total) + 1e-12:
            raise ArithmeticError(
                f"the box [{low}, {high}] cuts off a part of D_f: choose a wider one."
            )
    return total


def _refuse_wide(row: Row, p: Density, q: Density) -> None:
    # The tails of a mixture are those of its widest component, and p²/q falls iff 1/s² > 1/(2t²).
    top, bottom = {"Pearson": (p, q), "Neyman": (q, p)}.get(row.name, (None, None))
    if hasattr(top, "stds") and hasattr(bottom, "stds"):
        _check_width(row, float(top.stds.max()), float(bottom.stds.max()))


def _check_width(row: Row, s: float, t: float) -> None:
    if s >= math.sqrt(2) * t:
        raise ArithmeticError(
            f"the {row.name} divergence is infinite: a standard deviation of {s:.4g} must be less than "
            f"√2 times the other's, {t:.4g}. Bring the two widths closer, or choose another divergence."
        )


def gaussian_f_divergence(row: Row | str, p: tuple[float, float], q: tuple[float, float]) -> float:
    """D_f of two normal distributions on the line, each (mean, standard deviation), in closed form.

    For KL, reverse KL, Jeffrey, squared Hellinger, Pearson, Neyman, and total variation if the two
    deviations are equal (Gil, Alajaji and Linder 2013). Raises ValueError where no closed form is known
    here, ArithmeticError where D_f is infinite.
    """
    row, (m, s), (n, t) = get_row(row), p, q
    gap, widths = (m - n) ** 2, s**2 + t**2
    if row.name == "KL":
        return math.log(t / s) + (s**2 + gap) / (2 * t**2) - 0.5
    if row.name == "squared Hellinger":
        return 2 - 2 * math.sqrt(2 * s * t / widths) * math.exp(-gap / (4 * widths))
    if row.name == "Pearson":
        _check_width(row, s, t)
        rest = 2 * t**2 - s**2
        return t**2 / (s * math.sqrt(rest)) * math.exp(gap / rest) - 1
    if row.name == "total variation" and s == t:
        return math.erf(abs(m - n) / (2 * math.sqrt(2) * s))
    if row.name == "reverse KL":
        return gaussian_f_divergence("KL", q, p)
    if row.name == "Neyman":
        _check_width(row, t, s)
        return gaussian_f_divergence("Pearson", q, p)
    if row.name == "Jeffrey":
        return gaussian_f_divergence("KL", p, q) + gaussian_f_divergence("KL", q, p)
    raise ValueError(
        f"no closed form for the {row.name} divergence of N({m:g}, {s:g}²) and N({n:g}, {t:g}²): "
        "use f_divergence, which integrates."
    )


def discrete_f_divergence(row: Row | str, p: Tensor, q: Tensor) -> Tensor:
    """D_f = Σ q f(p/q) of probability vectors `(..., n)`: `(...)`, infinite where D_f is.

    A term is p f′(∞) where q = 0 and q f(0) where p = 0 (Liese and Vajda 2006); both are 0 where both
    are. Raises ValueError for vectors that are negative or do not sum to one.
    """
    row = get_row(row)
    for name, vector in (("p", p), ("q", q)):
        if (vector < 0).any() or ((vector.sum(-1) - 1).abs() > 1e-6).any():
            raise ValueError(f"{name} is no probability vector: divide counts by their sum first.")
    p, q = torch.broadcast_tensors(p, q)
    ratio = torch.where((p > 0) & (q > 0), p / q, 1.0)  # where one is 0, another line counts
    terms = torch.where((p > 0) & (q > 0), q * row.f(ratio), 0.0)
    terms = torch.where((p == 0) & (q > 0), q * row.at_zero, terms)
    return torch.where((q == 0) & (p > 0), p * row.slope_at_infinity, terms).sum(-1)


def _xlogy(log_weight: Tensor, factor: Tensor) -> Tensor:
    """exp(log_weight) · factor, with 0 where the weight is 0 even if the factor is infinite."""
    weight = log_weight.exp()
    return torch.where(weight > 0, weight * factor, torch.zeros_like(weight))
