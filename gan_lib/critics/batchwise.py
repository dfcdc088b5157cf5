"""Critics that look at several samples at once, so that a generator without variety gives itself away.

Real and fake samples come in batches of their own, as `train` hands them over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_lib.networks import Linear, Network, mlp
from gan_lib.rng import Seed, Streams, resolve_device


class MinibatchDiscrimination(nn.Module):
    """Append to each sample how close it is to the batch, `(..., n, A)` → `(..., n, A + kernels)`.

    M_i = f(x_i) T with T `(*members, A, kernels · dims)`, and o(x_i)_b = Σ_j exp(−‖M_i,b − M_j,b‖₁)
    for b = 1 … kernels (Salimans et al. 2016, section 3.2). As in the paper the sum runs over all j,
    j = i included, so o is at least 1 and at most n. Each sample's output depends on its whole batch.
    """

    mixes_samples = True  # no gradient penalty per sample: `train` refuses it

    def __init__(self, features: int, kernels: int, dims: int, rng: Streams):
        super().__init__()
        start = 2 * rng.uniform(features, kernels * dims) - 1
        self.tensor = nn.Parameter(start / math.sqrt(features))
        self.kernels = kernels

    def forward(self, x: Tensor) -> Tensor:
        rows = (x @ self.tensor).unflatten(-1, (self.kernels, -1))  # (..., n, kernels, dims)
        distance = (rows.unsqueeze(-3) - rows.unsqueeze(-4)).abs().sum(-1)  # (..., n, n, kernels)
        return torch.cat([x, (-distance).exp().sum(-2)], -1)


def minibatch_critic(
    sizes: Sequence[int],
    kernels: int = 8,
    dims: int = 4,
    seed: Seed = 0,
    activation: str = "leaky_relu",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> Network:
    """A critic, `sizes` = [inputs, hidden …, 1], with minibatch discrimination before its last layer.

    Returns logits `(*members, batch)`. Raises ValueError without a hidden layer or unless sizes end in 1.
    """
    if len(sizes) < 3 or sizes[-1] != 1:
        raise ValueError(f"sizes={list(sizes)} must be [inputs, hidden …, 1].")
    body = mlp(sizes[:-1], seed, activation, output=activation, dtype=dtype, device=device)
    rng = Streams(seed, f"minibatch {list(sizes)}")
    nearness = MinibatchDiscrimination(sizes[-2], kernels, dims, rng)
    head = Linear(sizes[-2] + kernels, 1, rng)
    network = Network([*body, nearness, head], rng.members, scalar=True)
    return network.to(resolve_device(str(device), dtype), dtype)


class Packed(nn.Module):
    """Groups of `pack` successive samples, side by side, are one input of the critic."""

    def __init__(self, critic: nn.Module, pack: int):
        super().__init__()
        self.critic, self.pack = critic, pack
        self.members = getattr(critic, "members", ())

    def forward(self, x: Tensor) -> Tensor:
        axis = len(self.members)
        batch, width = x.shape[axis : axis + 2]
        if batch % self.pack:
            raise ValueError(
                f"a batch of {batch} cannot be packed by {self.pack}: make batch= a multiple of it."
            )
        groups = x.unflatten(axis, (-1, self.pack)).flatten(axis + 1, axis + 2)
        try:
            return self.critic(groups)
        except RuntimeError as error:
            raise ValueError(
                f"the packed critic cannot take {self.pack} samples of width {width} as one "
                f"({error}): make its input size {self.pack} · {width} = {self.pack * width}."
            ) from error


def packed(critic: nn.Module, m: int) -> Packed:
    """The critic on groups of m samples: `(*members, batch, dim)` → its output for m · dim inputs.

    PacGAN (Lin et al. 2018): m samples are judged together, all real or all fake, so a
    missing mode shows in how they differ. The critic's input size must be m · dim, and m must divide
    the batch; else ValueError. Images `(*members, batch, channels, …)` are stacked by channel.
    """
    if not isinstance(m, int) or m < 1:
        raise ValueError(f"m={m!r}: give how many samples to pack, a whole number of at least 1.")
    return Packed(critic, m)
