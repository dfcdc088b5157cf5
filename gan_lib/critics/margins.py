"""The loss-sensitive GAN (Qi 2017, arXiv 1701.06264): how far apart two losses must be depends on how
far apart the samples are, so the objective has to see the samples, too."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_lib.objectives import Objective


class Judged(NamedTuple):
    """A critic's loss of each sample, `(*members, batch)`, and the samples `(*members, batch, ...)`."""

    loss: Tensor
    sample: Tensor


class WithSamples(nn.Module):
    """x ↦ (critic(x), x)."""

    def __init__(self, critic: nn.Module):
        super().__init__()
        self.critic = critic
        self.members = getattr(critic, "members", ())

    def forward(self, x: Tensor) -> Judged:
        return Judged(self.critic(x), x)


def with_samples(critic: nn.Module) -> WithSamples:
    """The critic, whose number a sample is now a loss L(x), returning what it judged as well.

    To pack it, wrap this: `packed(with_samples(critic), m)`.
    """
    return WithSamples(critic)


def loss_sensitive(weight: float = 1.0, scale: float = 1.0, p: float = 1.0) -> Objective:
    """Data must have a smaller loss than samples, by a margin that grows with their distance.

    Critic: E L(x) + `weight` · E max(0, Δ(x, G(z)) + L(x) − L(G(z))); generator: E L(G(z)): the problems
    S(θ, φ*) and T(θ*, φ) of Qi (2017), where `weight` is λ. Δ(x, y) = `scale` · ‖x − y‖_p, the i-th real
    sample against the i-th fake, so both batches have the same size. For data and losses that are
    Lipschitz the paper shows that at the optimum the samples follow the density of the data.

    Needs `with_samples(critic)` with L ≥ 0, as in the paper: a critic that lowers L everywhere would gain
    without end. Raises ValueError if a weight or scale is not positive, or p < 1.
    """
    for name, number in (("weight", weight), ("scale", scale)):
        if number <= 0:
            raise ValueError(f"{name}={number}: give a positive number.")
    if p < 1:
        raise ValueError(f"p={p}: ‖·‖_p is a norm only for p ≥ 1.")

    def critic_loss(real: Judged, fake: Judged) -> Tensor:
        features = tuple(range(real.loss.ndim, real.sample.ndim))
        distance = torch.linalg.vector_norm(real.sample - fake.sample, ord=p, dim=features)
        violation = relu(scale * distance + real.loss - fake.loss)
        return real.loss.mean(-1) + weight * violation.mean(-1)

    def generator_loss(real: None, fake: Judged) -> Tensor:
        return fake.loss.mean(-1)

    return Objective(
        "loss-sensitive",
        critic_loss,
        generator_loss,
        "Qi 2017, S(θ, φ*) and T(θ*, φ)",
        output="a loss and the sample that it judged: use with_samples(critic)",
    )
