"""The critic's half of the game: two distributions stand still, and a critic learns to tell them apart.

This is the inner maximum of every objective, and how a divergence is estimated from samples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from gan_lib.objectives import Objective, get_objective
from gan_lib.rng import Seed, Streams
from gan_lib.training import adam, descend, sample
from gan_lib.training_checks import check_members, check_whole, first_parameter


class Fakes:
    """The distribution of G(z), z from `noise`, with G at rest: a `sample` as in `gan_lib.data`."""

    def __init__(self, generator: nn.Module, noise):
        self.generator, self.noise = generator, noise

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float64) -> Tensor:
        return sample(self.generator, self.noise.sample(m, rng, dtype))


def fit_critic(
    critic: nn.Module,
    real,
    fake,
    steps: int,
    objective: Objective | str = "minimax",
    *,
    batch: int = 256,
    optimizer: Callable | None = None,
    regularizers: Sequence[Callable] = (),
    after_critic: Sequence[Callable] = (),
    look: Callable | None = None,
    at: Collection[int] = (),
    seed: Seed = 0,
) -> list:
    """Train `critic` alone, on new samples in every step, with a learning rate that falls to 0 linearly.

    `real`, `fake`: have `sample(m, rng) -> (*members, m, dim)`; what is trained on them is the critic's loss
    of `objective` with the `regularizers` and `after_critic` of `gan_lib.training.train`. `optimizer`:
    what `adam(...)` or `sgd(...)` returns, Adam with rate 5e-3 if None. `seed`: as for the critic.
    `look`: called without arguments before the first step if 0 is in `at`, and after every step whose
    number is in `at`; its answers come back as a list.

    Raises ValueError for `steps` or `batch` below 1, members that differ from the critic's, and steps in
    `at` that are never reached.
    """
    objective, first = get_objective(objective), first_parameter(critic)
    check_whole(steps=steps, batch=batch)
    if late := [step for step in at if not 0 <= step <= steps]:
        raise ValueError(f"at has {late}: give steps from 0 to {steps}.")
    names = ("train real", "train fake", "penalty")
    rng = {name: Streams(seed, name, first.device) for name in names}
    check_members("critic", critic, rng["penalty"].members)
    optimizer = (optimizer or adam(5e-3))(critic.parameters())
    rates = [group["lr"] for group in optimizer.param_groups]
    seen = [look()] if look and 0 in at else []
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - step / steps)
        x = real.sample(batch, rng["train real"], dtype=first.dtype)
        y = fake.sample(batch, rng["train fake"], dtype=first.dtype)
        penalty = sum(p(critic, x, y, rng["penalty"]) for p in regularizers)
        descend(optimizer, objective.critic_loss(critic(x), critic(y)) + penalty)
        for hook in after_critic:
            hook(critic)
        if look and step + 1 in at:
            seen.append(look())
    return seen
