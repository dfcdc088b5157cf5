"""Every objective, regulariser and critic of the registries as one run of `train`, to time or just to try."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gan_lib import data, images
from gan_lib.critics import CRITICS
from gan_lib.networks import Dropout, Network, mlp
from gan_lib.objectives import OBJECTIVES
from gan_lib.regularizers import REGULARIZERS
from gan_lib.rng import resolve_device
from gan_lib.training import History, train

Case = Callable[[int], History]  # a number of steps → what happened
RINGS, NOISE = data.ring(), data.normal(2)


def as_it_is(network: nn.Module) -> nn.Module:
    return network


class Bench:
    """Makes cases for one device and dtype; `wrap` is put around both players, as `autocast` is.

    `digits`: players for 784 pixels with 256 hidden units; else for the ring, with 16. `batch`: 64.
    """

    def __init__(self, device="cpu", dtype=torch.float64, wrap=as_it_is, digits: bool = False):
        self.device, self.dtype, self.wrap = resolve_device(str(device), dtype), dtype, wrap
        self.real = images.digits() if digits else RINGS
        self.noise = data.normal(128) if digits else NOISE
        self.sizes = (
            ([128, 256, 784], [784, 256, 1]) if digits else ([2, 16, 16, 2], [2, 16, 16, 1])
        )
        self.output = "sigmoid" if digits else None

    def run(self, critic: nn.Module, objective, steps: int, **options) -> History:
        made = {"dtype": self.dtype, "device": str(self.device)}
        players = mlp(self.sizes[0], output=self.output, **made), critic.to(self.device, self.dtype)
        return train(*map(self.wrap, players), self.real, self.noise, objective, steps, **options)

    def critic(self, dropout: bool = False) -> Network:
        """A critic; `dropout` before its last layer, because the consistency term asks for it."""
        made = {"dtype": self.dtype, "device": str(self.device)}
        network = mlp(self.sizes[1], scalar=True, **made)
        if not dropout:
            return network
        inner = Dropout(0.8, 0, "bench", self.device)
        return Network([*network[:-1], inner, network[-1]], scalar=True)

    def objective(self, name: str) -> Case:
        return lambda steps: self.run(self.critic(), name, steps)

    def with_dropout(self, steps: int) -> History:
        """A plain GAN with the critic that the regularisers get."""
        return self.run(self.critic(dropout=True), "non-saturating", steps)

    def regularizer(self, name: str) -> Case:
        place, make = REGULARIZERS[name]

        def case(steps: int) -> History:
            critic = self.critic(dropout=True)
            if place == "critic":
                return self.run(make()(critic), "non-saturating", steps)
            option = make() if place == "vector_field" else [make()]
            return self.run(critic, "non-saturating", steps, **{place: option})

        return case

    def other_critic(self, name: str) -> Case:
        def case(steps: int) -> History:
            critic, objective, options = CRITICS[name](0)
            return self.run(critic, objective, steps, **options)

        return case

    def all(self) -> dict[str, Case]:
        """ "kind: name" → case; the critics of the registry are made for the ring alone."""
        cases = {f"objective: {n}": self.objective(n) for n in OBJECTIVES}
        cases |= {f"regulariser: {n}": self.regularizer(n) for n in REGULARIZERS}
        if self.real is RINGS:
            cases |= {f"critic: {n}": self.other_critic(n) for n in CRITICS}
        return cases
