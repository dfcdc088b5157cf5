"""A fully visible belief network: p(x) = Π_i p(x_i | the x before it), all factors from one network.

The masked autoencoder (MADE) of Germain et al. (2015, arXiv 1502.03509). Evaluating p(x) costs one pass
through the network; drawing x costs one pass for each of its dimensions, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_lib.likelihood.observations import Bernoulli, prepared
from gan_lib.networks import ACTIVATIONS, Linear
from gan_lib.rng import Seed, Streams, resolve_device
from gan_lib.training_checks import check_members, check_whole


class MaskedLinear(Linear):
    """x (W ∘ M) + b with a fixed 0/1 mask M `(inputs, outputs)`, the same for all members (section 4)."""

    def __init__(self, mask: Tensor, rng: Streams):
        super().__init__(*mask.shape, rng)
        # Not stored with the weights: it follows from the sizes and the order.
        self.register_buffer("mask", mask.double(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight * self.mask) + self.bias


class MADE(nn.Module):
    """Binary x `(*members, batch, dim)` → logits of p(x_i = 1 | the x before it), of the same shape.

    `passes` counts how often the network was run. `order[t]` is the dimension that comes t-th.
    """

    def __init__(self, network: nn.Module, direct: nn.Module | None, order: Sequence[int], members):
        super().__init__()
        self.network, self.direct = network, direct
        self.order, self.members, self.passes = list(order), members, 0

    @property
    def dim(self) -> int:
        return len(self.order)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        logits = self.network(x)
        return logits if self.direct is None else logits + self.direct(x)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, exact: `(*members, batch)` for x `(batch, dim)` or `(*members, batch, dim)`.

        Raises ValueError unless every entry is 0 or 1.
        """
        x = prepared(self, x)
        if not ((x == 0) | (x == 1)).all():
            raise ValueError(
                "MADE models bits, but x has values other than 0 and 1: "
                "use gan_lib.likelihood.binarised(images)."
            )
        return Bernoulli().log_prob(self(x), x)

    def loss(self, x: Tensor, rng: Streams | None = None) -> Tensor:
        """The mean of −log p(x), `(*members,)`: minimised where KL(data‖model) is (section 3)."""
        return -self.log_prob(x).mean(-1)

    @torch.no_grad()
    def sample(self, n: int, rng: Streams) -> Tensor:
        """n independent samples `(*members, n, dim)`, in `dim` passes: x_i needs the x before it."""
        check_whole(n=n)
        check_members("model", self, rng.members)
        u = rng.uniform(n, self.dim)
        x = torch.zeros_like(u, dtype=next(self.parameters()).dtype)
        for i in self.order:
            x[..., i] = (u[..., i] < self(x)[..., i].sigmoid()).to(x.dtype)
        return x


def made(
    dim: int,
    hidden: Sequence[int] = (64,),
    order: Sequence[int] | None = None,
    direct: bool = False,
    seed: Seed = 0,
    activation: str = "relu",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> MADE:
    """A masked autoencoder over `dim` bits with `hidden` layers of the given sizes.

    `order`: a permutation of 0 … dim − 1, by default the natural one. `direct`: extra connections from
    the inputs to the outputs that they may reach. With `hidden=()` each p(x_i | …) is a
    logistic regression on the bits before: the belief network of Frey et al. (1996). `seed`: an int, or
    one a member. Hidden unit k has degree m(k), spread evenly over 1 … dim − 1 instead of drawn at random,
    and sees the inputs that come m(k)-th or earlier. Raises ValueError for sizes, orders and activations
    that make no sense.
    """
    check_whole(dim=dim, **{f"hidden[{i}]": size for i, size in enumerate(hidden)})
    order = list(range(dim)) if order is None else [int(i) for i in order]
    if sorted(order) != list(range(dim)):
        raise ValueError(f"order={order}: give each of 0 … {dim - 1} once.")
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; use one of {', '.join(ACTIVATIONS)}.")
    rng = Streams(seed, f"made {dim} {list(hidden)}")
    place = torch.empty(dim, dtype=torch.long)
    place[order] = torch.arange(1, dim + 1)  # 1 for the first dimension in the order
    degrees, layers = place, []
    for size in hidden:
        above = 1 + torch.arange(size) * (dim - 1) // size  # one unit at least has degree 1
        layers += [MaskedLinear(above >= degrees.unsqueeze(-1), rng), ACTIVATIONS[activation]()]
        degrees = above
    layers.append(MaskedLinear(place > degrees.unsqueeze(-1), rng))
    shortcut = MaskedLinear(place > place.unsqueeze(-1), rng) if direct else None
    model = MADE(nn.Sequential(*layers), shortcut, order, rng.members)
    return model.to(resolve_device(str(device), dtype), dtype)
