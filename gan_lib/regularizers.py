"""What keeps a critic, or the game, in bounds; each kind has its own place in `train`.

`regularizers`: penalties `f(critic, real, fake, rng) -> (*members,)`, added to the critic's loss.
`after_critic`: `f(critic)`, after its step. `transforms`: `f(x, rng) -> x`, before it looks.
`vector_field`: `f(losses, parameters) -> gradients`, when both players move at once.
A weight, bound or width is a number, or a tensor `(*members,)` with one value a member.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gan_lib.networks import Dropout
from gan_lib.rng import Streams
from gan_lib.spectral import spectral_normalize, weight_layers, weight_matrix

DROPOUTS = (Dropout, nn.Dropout, nn.Dropout2d)
Number = float | Tensor
Penalty = Callable[[nn.Module, Tensor, Tensor, Streams], Tensor]


def per_member(value: Number, x: Tensor) -> Tensor:
    """`value` in a shape that multiplies x `(*members, ...)`, member by member.

    Raises ValueError when `value` has a shape that does not begin x's.
    """
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    if value.shape != x.shape[: value.ndim]:
        raise ValueError(
            f"a value of shape {tuple(value.shape)} does not fit a tensor of shape {tuple(x.shape)}: "
            "give a number, or one value a member."
        )
    return value.reshape([*value.shape, *[1] * (x.ndim - value.ndim)])


# ------------------------------------------------------------------------------ gradient penalties


def _between(real: Tensor, fake: Tensor, rng: Streams, spread: float) -> Tensor:
    batch = real.shape[len(rng.members)]
    epsilon = rng.uniform(batch, dtype=real.dtype)  # (*members, batch): one a pair
    return fake + per_member(epsilon, real) * (real - fake)


def _around_data(real: Tensor, fake: Tensor, rng: Streams, spread: float) -> Tensor:
    lead = len(rng.members)
    std = real.flatten(lead).std(-1, correction=0)
    delta = spread * per_member(std, real) * rng.normal(*real.shape[lead:], dtype=real.dtype)
    return real + delta


PLACES = {
    "between": _between,
    "around_data": _around_data,
    "at_real": lambda real, fake, rng, spread: real,
    "at_fake": lambda real, fake, rng, spread: fake,
}


def _root(x: Tensor) -> Tensor:
    """√x with slope 0, not ∞, at 0: a critic that is flat somewhere must not turn into NaN."""
    positive = x > 0
    return torch.where(positive, x, 1.0).sqrt() * positive


# What a squared gradient norm costs.
SIDES = {
    "two": lambda squared: (_root(squared) - 1).square(),
    "one-linear": lambda squared: (_root(squared) - 1).relu(),
    "one-squared": lambda squared: (_root(squared) - 1).relu().square(),
    "zero": lambda squared: squared,
}


def _score(output: Tensor | tuple, rng: Streams) -> Tensor:
    """The critic's score, which may be the first of several outputs."""
    score = output[0] if isinstance(output, tuple) else output
    if score.ndim != len(rng.members) + 1:
        raise ValueError(
            f"the critic's score has shape {tuple(score.shape)}; a penalty needs one number a sample, "
            "alone or first in a tuple: K logits have no one slope."
        )
    return score


def squared_slopes(critic: nn.Module, x: Tensor, rng: Streams) -> Tensor:
    """‖∇D(x)‖² of each sample, `(*members, batch)`, for x `(*members, batch, ...)`; differentiable.

    Each output must depend on its own sample alone: then the gradient of the sum holds them all. With
    `critic.pack` = m, m successive samples have one output and one norm.
    """
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_score(critic(x), rng).sum(), x, create_graph=True)
    squared = slope.flatten(len(rng.members) + 1).square().sum(-1)
    return squared.unflatten(-1, (-1, getattr(critic, "pack", 1))).sum(-1)


def gradient_penalty(
    weight: Number = 10.0, where: str = "between", sides: str = "two", spread: float = 0.5
) -> Penalty:
    """weight · E ρ(‖∇D(x̂)‖), the norm taken sample by sample over all axes after the batch.

    `where` x̂ lies: "between", x̂ = ε x + (1 − ε) G(z) with ε uniform for each pair (Gulrajani et al.
    2017, Algorithm 1); "around_data", x̂ = x + δ with δ ~ N(0, c I) (DRAGAN, Kodali et al. 2017), where
    √c = `spread` times the standard deviation of all numbers in the member's batch (their code draws δ
    uniform on [0, √c] instead, which shifts the points); "at_real" and "at_fake" (Mescheder et al. 2018).
    `sides`: "two", ρ = (‖∇D‖ − 1)² (Gulrajani et al. 2017, eq. 3); "one-linear", max(0, ‖∇D‖ − 1);
    "one-squared", its square (their § 4); "zero", ‖∇D‖². Where ∇D = 0, ρ has slope 0.
    Raises ValueError for an unknown place or side.
    """
    for name, choice, known in (("where", where, PLACES), ("sides", sides, SIDES)):
        if choice not in known:
            raise ValueError(f"unknown {name}={choice!r}; choose from {', '.join(known)}.")

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: Streams) -> Tensor:
        points = PLACES[where](real, fake, rng, spread)
        cost = SIDES[sides](squared_slopes(critic, points, rng)).mean(-1)
        return per_member(weight, cost) * cost

    return penalty


def wgan_gp(weight: Number = 10.0) -> Penalty:
    """λ E (‖∇D(x̂)‖ − 1)² between data and samples (Gulrajani et al. 2017, eq. 3)."""
    return gradient_penalty(weight, "between", "two")


def dragan(weight: Number = 10.0, spread: float = 0.5) -> Penalty:
    """λ E (‖∇D(x + δ)‖ − 1)² around the data (Kodali et al. 2017); see `gradient_penalty`."""
    return gradient_penalty(weight, "around_data", "two", spread)


def r1(gamma: Number = 10.0) -> Penalty:
    """γ/2 E ‖∇D(x)‖² on the data (Mescheder et al. 2018, § 4.1)."""
    return gradient_penalty(gamma / 2, "at_real", "zero")


def r2(gamma: Number = 10.0) -> Penalty:
    """γ/2 E ‖∇D(G(z))‖² on the samples (Mescheder et al. 2018, § 4.1)."""
    return gradient_penalty(gamma / 2, "at_fake", "zero")


# ----------------------------------------------------------------------------------- other penalties


def consistency(weight: Number = 2.0, margin: float = 0.0, features: float = 0.1) -> Penalty:
    """λ₂ E max(0, d(D(x′), D(x″)) + 0.1 d(D₋(x′), D₋(x″)) − M′), CT-GAN (Wei et al. 2018).

    x′ and x″ are data seen through two draws of dropout, D₋ what enters the last layer with weights, or
    the second part of a critic that returns (score, features). d is the squared difference, its mean for
    features, as in the authors' code. `features`: the 0.1. It is meant beside `wgan_gp`.
    Raises ValueError, when called, for a critic without active dropout.
    """

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: Streams) -> Tensor:
        if not any(isinstance(m, DROPOUTS) and m.training for m in critic.modules()):
            raise ValueError(
                "the consistency term compares two draws of dropout, but the critic has none active: "
                "add gan_lib.networks.Dropout layers, or call critic.train()."
            )
        score, inner = _score_and_features(critic, real, rng)
        score2, inner2 = _score_and_features(critic, real, rng)
        distance = (score - score2).square()
        if features:
            far = (inner - inner2).flatten(len(rng.members) + 1).square().mean(-1)
            distance = distance + features * far
        cost = (distance - margin).relu().mean(-1)
        return per_member(weight, cost) * cost

    return penalty


def _score_and_features(critic: nn.Module, x: Tensor, rng: Streams) -> tuple[Tensor, Tensor]:
    last, entered = weight_layers(critic)[-1], []
    hook = last.register_forward_pre_hook(lambda _, inputs: entered.extend(inputs))
    try:
        output = critic(x)
    finally:
        hook.remove()
    return _score(output, rng), output[1] if isinstance(output, tuple) else entered[-1]


def orthogonality(weight: Number = 1e-4) -> Penalty:
    """weight · Σ ‖WᵀW − I‖² over the layers, squared Frobenius norms (Brock et al. 2019, § 3.1, after
    Brock et al. 2017, who sum absolute values).

    For a wide W the product W Wᵀ is taken, the smaller one: it differs by a constant, and can be I.
    """

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: Streams) -> Tensor:
        cost = 0.0
        for layer in weight_layers(critic):
            w = weight_matrix(layer)
            w = w.mT if w.shape[-2] < w.shape[-1] else w
            cost = cost + (w.mT @ w - torch.eye(w.shape[-1]).to(w)).square().sum((-2, -1))
        return per_member(weight, cost) * cost

    penalty.per_sample = False  # it looks at weights alone: batch normalisation does no harm
    return penalty


# --------------------------------------------------------------------------------------- other hooks


def clip_weights(c: Number = 0.01) -> Callable[[nn.Module], None]:
    """After the critic's step: all its parameters back into [−c, c] (Arjovsky et al. 2017, Algorithm 1).

    Raises ValueError for c ≤ 0.
    """
    if not (torch.as_tensor(c) > 0).all():
        raise ValueError(f"c={c}: clip to a positive number, such as 0.01.")

    @torch.no_grad()
    def clip(critic: nn.Module) -> None:
        for p in critic.parameters():
            bound = per_member(c, p)
            p.clamp_(-bound, bound)

    return clip


def instance_noise(std: Number = 0.1) -> Callable[[Tensor, Streams], Tensor]:
    """x + std · N(0, I) on all that the critic sees (Sønderby et al. 2017; Arjovsky and Bottou 2017, § 3).

    `std`, in the units of x, is an attribute that a callback may change: `noise.std *= 0.99`. It is not
    part of a checkpoint: compute it from the step. Raises ValueError for std < 0.
    """
    if not (torch.as_tensor(std) >= 0).all():
        raise ValueError(f"std={std}: a standard deviation must not be negative.")

    def noise(x: Tensor, rng: Streams) -> Tensor:
        drawn = rng.normal(*x.shape[len(rng.members) :], dtype=x.dtype)
        return x + per_member(noise.std, x) * drawn

    noise.std = std
    return noise


def _gradients(losses: dict, parameters: dict, create_graph: bool) -> dict[str, list[Tensor]]:
    """Each player's gradient of its own loss: the vector field v of the game."""
    return {
        player: torch.autograd.grad(
            loss.sum(),
            parameters[player],
            create_graph=create_graph,
            retain_graph=True,  # the players' losses share a graph
            allow_unused=True,
            materialize_grads=True,
        )
        for player, loss in losses.items()
    }


def simultaneous() -> Callable[[dict, dict], dict]:
    """The plain vector field v: each player's own gradient, both at the point where they stand."""
    return partial(_gradients, create_graph=False)


def consensus(gamma: Number = 0.1) -> Callable[[dict, dict], dict]:
    """v + γ ∇ ½‖v‖², both players drawn to where v is small (Mescheder et al. 2017, Algorithm 2).

    v as for `simultaneous`; the second term differentiates both gradients in both players' parameters.
    """

    def field(losses: dict, parameters: dict) -> dict[str, list[Tensor]]:
        v = _gradients(losses, parameters, create_graph=True)
        energy = sum(g.square().sum() for gradients in v.values() for g in gradients) / 2
        pull = _gradients(dict.fromkeys(v, energy), parameters, create_graph=False)
        return {
            player: [
                g + per_member(gamma, g) * p for g, p in zip(v[player], pull[player], strict=True)
            ]
            for player in v
        }

    return field


# name → (argument of `train`, or "critic" for what changes the network itself; constructor)
REGULARIZERS: dict[str, tuple[str, Callable]] = {
    "wgan-gp": ("regularizers", wgan_gp),
    "one-sided linear": ("regularizers", partial(gradient_penalty, sides="one-linear")),
    "one-sided squared": ("regularizers", partial(gradient_penalty, sides="one-squared")),
    "dragan": ("regularizers", dragan),
    "r1": ("regularizers", r1),
    "r2": ("regularizers", r2),
    "consistency": ("regularizers", consistency),
    "orthogonality": ("regularizers", orthogonality),
    "weight clipping": ("after_critic", clip_weights),
    "instance noise": ("transforms", instance_noise),
    "simultaneous": ("vector_field", simultaneous),
    "consensus": ("vector_field", consensus),
    "spectral normalisation": ("critic", lambda: spectral_normalize),
}
