"""Networks that map `(*members, batch, features)` to `(*members, batch, features)`, or to one number
a sample. A list of seeds gives every weight a leading member axis: n independent networks, run with
one batched product a layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_lib.rng import Seed, Streams, resolve_device

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
}
RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


class Linear(nn.Module):
    """x W + b with W `(*members, inputs, outputs)` and b `(*members, 1, outputs)`.

    Weights start uniform on ±scale, by default ±1/√inputs, as `torch.nn.Linear` does.
    """

    def __init__(self, inputs: int, outputs: int, rng: Streams, scale: float | None = None):
        super().__init__()
        scale = 1 / math.sqrt(inputs) if scale is None else scale
        self.weight = nn.Parameter(scale * (2 * rng.uniform(inputs, outputs) - 1))
        self.bias = nn.Parameter(scale * (2 * rng.uniform(1, outputs) - 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight  # read once: a parametrisation computes it anew each time
        if x.ndim == weight.ndim == 2:
            return torch.addmm(self.bias, x, weight)
        if x.ndim == weight.ndim == 3:
            return torch.baddbmm(self.bias, x, weight)
        return x @ weight + self.bias


class Maxout(nn.Module):
    """The largest of `pieces` linear maps per unit (Goodfellow et al. 2013, maxout networks)."""

    def __init__(
        self, inputs: int, units: int, pieces: int, rng: Streams, scale: float | None = None
    ):
        super().__init__()
        self.linear = Linear(inputs, units * pieces, rng, scale)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(-1, (-1, self.pieces)).amax(-1)


class Dropout(nn.Module):
    """Dropout with its own seeded stream: a run repeats, resumes bitwise and keeps members apart.

    In training mode each input is kept with probability `keep` and scaled by 1/keep.
    """

    def __init__(self, keep: float, seed: Seed, name: str, device: torch.device):
        super().__init__()
        self.keep = keep
        self.rng = Streams(seed, name, device)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = self.rng.uniform(*x.shape[len(self.rng.members) :]) < self.keep
        return x * kept / self.keep

    def get_extra_state(self) -> dict:
        return self.rng.state()

    def set_extra_state(self, state: dict) -> None:
        self.rng.load(state)


class Network(nn.Sequential):
    """Layers in sequence, with what `train` wants to know of them.

    `members`: the leading axes; `scalar`: drop the last axis, one number a sample, as a critic does;
    `output_range`: the interval that a squashing last layer can reach, or None.
    """

    def __init__(self, layers, members=(), scalar=False, output_range=None):
        super().__init__(*layers)
        self.members = members
        self.scalar = scalar
        self.output_range = output_range

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x.squeeze(-1) if self.scalar else x

    def __getitem__(self, index: int | slice) -> nn.Module:
        layers = list(self)[index]  # a part of a network is no network: it has another output
        return nn.Sequential(*layers) if isinstance(index, slice) else layers


def mlp(
    sizes: Sequence[int],
    seed: Seed = 0,
    activation: str = "relu",
    output: str | None = None,
    scalar: bool = False,
    scale: float | None = None,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> Network:
    """A multilayer perceptron, `sizes` = [inputs, hidden …, outputs].

    `seed`: an int, or one seed a member. `output`: activation of the last layer, None for linear.
    `scalar=True` (sizes must end in 1) returns `(*members, batch)`: a critic's logit. `scale`: weights
    start uniform on ±scale, default ±1/√fan-in. Raises ValueError for unknown activations or sizes.
    """
    for name in filter(None, (activation, output)):
        if name not in ACTIVATIONS:
            raise ValueError(f"unknown activation {name!r}; choose from {', '.join(ACTIVATIONS)}.")
    if len(sizes) < 2:
        raise ValueError(f"sizes={list(sizes)} needs at least an input and an output size.")
    _check_scalar(sizes[-1], scalar)
    rng = Streams(seed, f"mlp {list(sizes)}")
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [Linear(inputs, outputs, rng, scale), ACTIVATIONS[activation]()]
    layers[-1:] = [ACTIVATIONS[output]()] if output else []
    network = Network(layers, rng.members, scalar, RANGES.get(output))
    return network.to(resolve_device(str(device), dtype), dtype)


def maxout_mlp(
    sizes: Sequence[int],
    pieces: int = 5,
    keep: Sequence[float] = (0.8, 0.5, 0.5),
    seed: Seed = 0,
    scale: float | None = 0.005,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "auto",
) -> Network:
    """The discriminator of Goodfellow et al. (2014): maxout layers with dropout before each layer.

    `sizes` = [784, 240, 240, 1] with 5 pieces is theirs; `keep` is the share kept before each layer.
    Returns logits `(*members, batch)`.
    """
    _check_scalar(sizes[-1], True)
    if len(keep) != len(sizes) - 1:
        raise ValueError(f"keep has {len(keep)} entries for {len(sizes) - 1} layers: one a layer.")
    device = resolve_device(str(device), dtype)
    rng = Streams(seed, f"maxout {list(sizes)}")
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers.append(Dropout(keep[i], seed, f"dropout {i}", device))
        last = i == len(sizes) - 2
        layers.append(
            Linear(inputs, outputs, rng, scale)
            if last
            else Maxout(inputs, outputs, pieces, rng, scale)
        )
    return Network(layers, rng.members, scalar=True).to(device, dtype)


class Autocast(nn.Module):
    """What `autocast` returns: the network, run in a narrow dtype, with its wide parameters."""

    def __init__(self, network: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.network, self.dtype = network, dtype
        for name in ("members", "scalar", "output_range", "pack"):  # what `train` asks a network
            if hasattr(network, name):
                setattr(self, name, getattr(network, name))

    def forward(self, x: Tensor):
        wide = next(self.network.parameters())
        with torch.autocast(wide.device.type, self.dtype):
            y = self.network(x)
        return _upcast(y, wide.dtype)


def autocast(network: nn.Module, dtype: torch.dtype = torch.bfloat16) -> Autocast:
    """The same network, its matrix products and convolutions computed in `dtype`: faster on a GPU.

    Mixed precision (Micikevicius et al. 2018): parameters, gradients and optimiser stay float32, and so
    do losses and penalties, because every output, a tensor or a (named) tuple of them, comes back as
    float32. `train` takes the result as it takes any network. bfloat16 has the exponents of float32, so
    no loss is scaled; a product keeps 8 bits, so compare within 1 %. Raises ValueError for a network that
    is not float32, which `torch.autocast` would leave as it is, and for float16, whose gradients
    underflow without scaled losses.
    """
    kinds = {p.dtype for p in network.parameters()}
    if kinds != {torch.float32}:
        found = ", ".join(sorted(map(str, kinds))) or "none"
        raise ValueError(
            f"autocast needs float32 parameters, these are {found}: "
            "make the network with dtype=torch.float32."
        )
    if dtype != torch.bfloat16:
        raise ValueError(f"{dtype} is not bfloat16: losses would have to be scaled; use bfloat16.")
    return Autocast(network, dtype)


def _upcast(y, dtype: torch.dtype):
    if isinstance(y, Tensor):
        return y.to(dtype) if y.is_floating_point() else y
    parts = [_upcast(part, dtype) for part in y]
    return type(y)(*parts) if hasattr(y, "_fields") else type(y)(parts)


def _check_scalar(outputs: int, scalar: bool) -> None:
    if scalar and outputs != 1:
        raise ValueError(f"scalar=True needs sizes that end in 1, not in {outputs}.")
