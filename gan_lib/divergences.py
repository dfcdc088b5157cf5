"""Distances between two densities, computed to many digits: the oracles that estimates are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.integrate import cubature
from torch import Tensor
from torch.nn.functional import logsigmoid

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


def _xlogy(log_weight: Tensor, factor: Tensor) -> Tensor:
    """exp(log_weight) · factor, with 0 where the weight is 0 even if the factor is infinite."""
    weight = log_weight.exp()
    return torch.where(weight > 0, weight * factor, torch.zeros_like(weight))
