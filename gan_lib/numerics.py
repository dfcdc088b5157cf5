"""Functions that formulas for divergences need and that lose their digits when written naively."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class _LogLambertW(torch.autograd.Function):
    """y = log W(e^x), the root of e^y + y = x; dy/dx = 1/(1 + e^y)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        # Both starts lie right of the root, from where Newton's method descends on a convex function.
        y = torch.where(x > 1, x.clamp(min=1).log(), x)
        for _ in range(8):
            w = y.exp()
            y = y - (w + y - x) / (1 + w)
        return y

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        # The saved output knows its own gradient, so this line can be differentiated again.
        (y,) = ctx.saved_tensors
        return grad / (1 + y.exp())


def log_lambertw(x: Tensor) -> Tensor:
    """log W(e^x) with Lambert's W, the inverse of w e^w: no overflow, for any x, device and dtype.

    Both derivatives are exact. Corless et al. (1996), On the Lambert W function.
    """
    return _LogLambertW.apply(x)


def softplus(v: Tensor) -> Tensor:
    """log(1 + e^v). PyTorch's own returns v beyond 20, which is off by 2e-9 there."""
    return -logsigmoid(-v)


def log1mexp(x: Tensor) -> Tensor:
    """log(1 − e^(−x)) for x > 0, each half by the formula that keeps its digits (Mächler 2012)."""
    small = x < math.log(2)
    near = (-torch.expm1(-torch.where(small, x, 1.0))).log()
    return torch.where(small, near, torch.log1p(-torch.exp(-torch.where(small, 1.0, x))))


def chi_square(log_p: Tensor, log_q: Tensor) -> Tensor:
    """(p − q)²/q from logarithms: p may be e^400 times as large as q."""
    r = log_p - log_q
    near = r.abs() < 1  # there the other formula takes the logarithm of 0, which has no slope
    close = torch.exp(log_q) * torch.expm1(torch.where(near, r, 0.0)).square()
    apart = torch.where(near, 1.0, r)
    far = torch.exp(log_q + 2 * (apart.clamp(min=0) + log1mexp(apart.abs())))
    return torch.where(near, close, far)
