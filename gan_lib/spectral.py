"""Spectral normalisation (Miyato et al. 2018): each weight matrix divided by its largest singular value.

If every layer has norm 1 and every activation is 1-Lipschitz, so is the critic, everywhere and not only
where a penalty looked. The division is a parametrisation: the optimiser moves W, the layer uses W / σ(W).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize

from gan_lib.networks import Linear
from gan_lib.rng import Seed, Streams

LAYERS = (Linear, nn.Linear, nn.Conv2d)


def weight_layers(network: nn.Module) -> list[nn.Module]:
    """The layers with a weight matrix, in the order in which they were made.

    Raises ValueError for a network without any, and for one with a matrix in a layer of another kind:
    left out in silence, it would break every bound.
    """
    for module in network.modules():
        weight = module._parameters.get("weight")
        strange = weight is not None and weight.ndim > 1
        if strange and not isinstance(
            module, (*LAYERS, nn.LayerNorm)
        ):  # that is a vector, reshaped
            known = ", ".join(f"{kind.__module__}.{kind.__name__}" for kind in LAYERS)
            raise ValueError(f"the weight of {type(module).__name__} is not one of {known}.")
    layers = [m for m in network.modules() if isinstance(m, LAYERS)]
    if not layers:
        raise ValueError(f"{type(network).__name__} has no layer with a weight matrix.")
    return layers


def weight_matrix(layer: nn.Module, weight: Tensor | None = None) -> Tensor:
    """The weight that the layer uses (or `weight` in its place) as a matrix, `(*members, rows, columns)`.

    A convolution's kernel `(out, in, h, w)` becomes `(out, in·h·w)`, as in Miyato et al. (2018, § 4).
    The norm of that matrix is not the operator norm of the convolution, which can be larger by a factor
    up to √(h·w): a pixel enters up to h·w patches.
    """
    weight = layer.weight if weight is None else weight
    return weight if isinstance(layer, Linear) else weight.flatten(1)


class SpectralNorm(nn.Module):
    """W ↦ W / σ(W), Miyato et al. (2018), eq. 8, per member.

    σ ≈ uᵀ W v with u, v from power iteration (their Algorithm 1), both constants for the gradient, whence
    their eq. 9–12. `exact`: σ from the singular value decomposition, differentiable to any order where
    the singular values differ.
    """

    def __init__(self, layer: nn.Module, iterations: int, rng: Streams, exact: bool):
        super().__init__()
        self.iterations, self.exact, self.flat = iterations, exact, not isinstance(layer, Linear)
        if not exact:
            w = weight_matrix(layer).detach()
            start = rng.normal(w.shape[-2], 1, dtype=w.dtype).expand(*w.shape[:-1], 1)
            self.register_buffer("u", start)
            self.register_buffer("v", None)
            self.iterate(
                layer.weight
            )  # v must exist, and u point at W's range, before the first use

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.flatten(1) if self.flat else weight

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        w, u = self.matrix(weight), self.u
        with torch.autocast(w.device.type, enabled=False):  # 8 bits would be all of u and v
            for _ in range(self.iterations):
                v = normalize(w.mT @ u, dim=-2)
                u = normalize(w @ v, dim=-2)
        self.u, self.v = u, v  # new tensors: graphs of earlier passes still hold the old ones

    def sigma(self, weight: Tensor) -> Tensor:
        """The (estimated) largest singular value, `(*members,)`."""
        w = self.matrix(weight)
        if self.exact:
            return torch.linalg.svdvals(w)[..., 0]
        with torch.autocast(w.device.type, enabled=False):
            return (self.u.mT @ w @ self.v)[..., 0, 0]

    def forward(self, weight: Tensor) -> Tensor:
        sigma = self.sigma(weight).clamp(min=1e-12)  # a layer of zeros stays one
        return weight / sigma.reshape(*sigma.shape, *[1] * (weight.ndim - sigma.ndim))


def spectral_normalize(
    network: nn.Module, iterations: int = 1, seed: Seed = 0, exact: bool = False
) -> nn.Module:
    """Divide every weight of `network` by its largest singular value, in place; returns the network.

    `iterations`: steps of power iteration in each forward pass in training mode, as the weights move; in
    evaluation mode u and v rest. Reading a weight moves nothing. One step underestimates σ, so that the
    true norm starts above 1 and comes down as training goes on; `exact` takes σ from a decomposition in
    each pass instead. `seed` draws the starting vectors: an int gives all members the same one.
    Make optimisers afterwards. Convolutions: see `weight_matrix`.

    Raises ValueError for iterations < 1, for a network that is normalised already or has layers of an
    unknown kind, and for a list of seeds that does not fit the members.
    """
    if iterations < 1:
        raise ValueError(f"iterations={iterations}: power iteration needs at least one step.")
    layers = weight_layers(network)
    if any(parametrize.is_parametrized(layer, "weight") for layer in layers):
        raise ValueError("the network's weights are parametrised already: normalise them once.")
    members = weight_matrix(layers[0]).shape[:-2]
    if Streams(seed, "spectral").members not in ((), members):
        raise ValueError(f"seed={seed!r} does not fit members {tuple(members)}: one seed a member.")
    for i, layer in enumerate(layers):
        rng = Streams(seed, f"spectral {i}", layer.weight.device)
        norm = SpectralNorm(layer, iterations, rng, exact)
        parametrize.register_parametrization(layer, "weight", norm)
        if not exact:
            layer.register_forward_pre_hook(_iterate)
    return network


def _iterate(layer: nn.Module, inputs) -> None:
    # Once a pass, here and not where the weight is read, which a layer may do more than once.
    if layer.training:
        weight = layer.parametrizations.weight
        weight[0].iterate(weight.original)


@torch.no_grad()
def singular_values(network: nn.Module) -> list[Tensor]:
    """The largest singular value of each layer's weight as it is used, `(*members,)`, by decomposition."""
    return [torch.linalg.svdvals(weight_matrix(layer))[..., 0] for layer in weight_layers(network)]


def lipschitz_bound(network: nn.Module) -> Tensor:
    """The product of the layers' norms, `(*members,)`: no slope of the network is larger.

    Holds for layers in sequence, 1-Lipschitz activations, no normalisation layer, no active dropout. A
    convolution counts with √(h·w) times the norm of its reshaped kernel, which bounds its operator norm
    under zero padding.
    """
    bound = torch.ones(())
    for layer, value in zip(weight_layers(network), singular_values(network), strict=True):
        patches = math.prod(layer.kernel_size) if isinstance(layer, nn.Conv2d) else 1
        bound = bound.to(value) * math.sqrt(patches) * value
    return bound
