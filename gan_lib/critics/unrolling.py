"""The unrolled GAN (Metz et al. 2017, arXiv 1611.02163): the generator learns from the critic as it will
be after a few more steps, and knows how its own samples bend those steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gan_lib.objectives import Objective


def unrolled(steps: int, lr: float | Tensor) -> Callable:
    """A `lookahead` for `train`: `steps` steps of gradient descent on the critic's loss, then judge.

    θ⁰ = θ, θᵏ⁺¹ = θᵏ − `lr` ∇_θ critic_loss(θᵏ); the generator's loss is taken at θ^K, and its gradient
    goes through all K steps (Metz et al. 2017, section 2.2). All steps see the same real and fake batch.
    `lr`: a number, or a tensor `(*members,)`. The critic itself stays where it is; penalties, hooks and
    the critic's own optimiser play no part. `steps=0` is no lookahead. Raises ValueError for steps < 0.
    """
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps={steps!r}: give a whole number of at least 0.")

    def lookahead(critic: nn.Module, objective: Objective, real: Tensor, fake: Tensor) -> Callable:
        buffers = {name: b.clone() for name, b in critic.named_buffers()}  # as batch statistics are
        weights = {name: _free(p) for name, p in critic.named_parameters()}

        def judge_with(weights: dict[str, Tensor]) -> Callable:
            return lambda x: functional_call(critic, {**weights, **buffers}, (x,))

        for _ in range(steps):
            judge = judge_with(weights)
            loss = objective.critic_loss(judge(real), judge(fake))
            slopes = torch.autograd.grad(  # of the sum: a member's loss has no slope in another's θ
                loss.sum(), list(weights.values()), create_graph=True, materialize_grads=True
            )
            weights = {
                name: weight - _like(lr, weight) * slope
                for (name, weight), slope in zip(weights.items(), slopes, strict=True)
            }
        return judge_with(weights)

    return lookahead


def _free(parameter: Tensor) -> Tensor:
    """What can be differentiated by: the parameter or, if `train` has frozen it, a detached copy."""
    return parameter if parameter.requires_grad else parameter.detach().clone().requires_grad_()


def _like(lr: float | Tensor, weight: Tensor) -> float | Tensor:
    """`lr` with trailing axes, so that `(*members,)` meets `(*members, ...)`."""
    if not isinstance(lr, Tensor):
        return lr
    return lr.to(weight).reshape(*lr.shape, *[1] * (weight.ndim - lr.ndim))
