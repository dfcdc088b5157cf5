"""The Dirac-GAN (Mescheder et al. 2018, section 2): the smallest GAN there is, and it does not converge.

The data are the single point 0, the generator makes the single point θ, the critic is D(x) = ψ · x. The
state is (θ, ψ), both `(*members, 1)`, and the one equilibrium is θ = 0, with ψ = 0 for most objectives.
A positive score means "real" here; in the paper it means "fake", so that its ψ is −ψ.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from gan_lib.dynamics import (
    STEPS,
    Field,
    Game,
    consensus_field,
    eigenvalues,
    iterate,
    step_factor,
    vector_field,
)
from gan_lib.objectives import Objective, get_objective
from gan_lib.regularizers import gradient_penalty, r1, r2, wgan_gp


class _Middle:
    """A stream that always draws the middle: the slope of a linear critic is the same everywhere."""

    def __init__(self, members: tuple[int, ...]):
        self.members = members

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.full((*self.members, *shape), 0.5, dtype=dtype)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.zeros((*self.members, *shape), dtype=dtype)


def _noise_pairs(std: float, nodes: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Noise for the real and for the fake point, `(pairs,)` each, and their weights: Gauss–Hermite.

    For smooth losses the error is below 1e-11 up to σ|ψ| = 1, and grows with it: 3e-5 at 2.8.
    """
    if std == 0:
        return torch.zeros(1), torch.zeros(1), torch.ones(1)
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    pairs = torch.from_numpy(std * np.array(list(itertools.product(x, x))))
    weights = torch.from_numpy(np.array([p * q for p, q in itertools.product(w, w)]))
    return pairs[:, 0], pairs[:, 1], weights / weights.sum()


class _Expectation(TorchFunctionMode):
    """Inside, a mean is Σ w x: a batch of quadrature nodes stands for a whole distribution.

    So a loss that compares a score with the mean of the others sees the mean over all noise.
    """

    def __init__(self, weights: Tensor):
        super().__init__()
        self.weights = weights

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in (Tensor.mean, torch.mean):
            args, function = (args[0] * self.weights.to(args[0]), *args[1:]), Tensor.sum
        return function(*args, **(kwargs or {}))


def dirac_gan(
    objective: Objective | str,
    penalty: Callable | None = None,
    noise: float = 0.0,
    consensus: float = 0.0,
) -> Game | Field:
    """The game of (θ, ψ) for a scalar-score objective.

    `penalty`: a regulariser of `gan_lib.regularizers`, added to the critic's loss. `noise`: the standard
    deviation σ of instance noise, whose expectation is taken by quadrature. `consensus`: the γ of
    `consensus_field`; then the game is that field. Raises ValueError for an unknown objective or σ < 0.
    """
    objective = get_objective(objective)
    if noise < 0:
        raise ValueError(f"noise={noise}: a standard deviation must not be negative.")
    at_real, at_fake, weights = _noise_pairs(noise)

    def scores(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:  # (*members, pairs)
        return psi * at_real.to(psi), psi * (theta + at_fake.to(psi))

    def critic_loss(theta: Tensor, psi: Tensor) -> Tensor:
        with _Expectation(weights):
            loss = objective.critic_loss(*scores(theta, psi))
        if penalty is None:
            return loss
        members, fake = tuple(theta.shape[:-1]), theta.detach().unsqueeze(-1)
        critic = lambda x: (psi.unsqueeze(-1) * x).squeeze(-1)  # noqa: E731
        return loss + penalty(critic, torch.zeros_like(fake), fake, _Middle(members))

    def generator_loss(theta: Tensor, psi: Tensor) -> Tensor:
        with _Expectation(weights):
            return objective.generator_loss(*scores(theta, psi))

    game = Game(generator_loss, critic_loss)
    return consensus_field(game, consensus) if consensus else game


def clipped(c: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Weight clipping for `iterate(..., after=)`: ψ back into [−c, c] (Arjovsky et al. 2017)."""
    return lambda theta, psi: (theta, psi.clamp(-c, c))


class Verdict(NamedTuple):
    """One line of the table: what theory says at (0, 0), and what n steps from (1, −1) did.

    Where the field jumps at (0, 0), as with a two-sided penalty, there is no rest point, and eigenvalues
    and factor are NaN.
    """

    objective: str
    regularizer: str
    eigenvalues: Tensor
    factor: float
    radius: float
    converges: bool


REMEDIES: dict[str, dict] = {
    "none": {},
    "R1, γ = 0.3": {"penalty": r1(0.3)},
    "R1, γ = 1": {"penalty": r1(1.0)},
    "instance noise, σ = 0.7": {"noise": 0.7},
}
ALL_REMEDIES: dict[str, dict] = REMEDIES | {
    "R2, γ = 0.3": {"penalty": r2(0.3)},
    "consensus, γ = 1": {"consensus": 1.0},
    "WGAN-GP, λ = 1": {"penalty": wgan_gp(1.0)},
    "one-sided, λ = 1": {"penalty": gradient_penalty(1.0, sides="one-squared")},
    "clipping, c = 1": {"after": clipped(1.0)},
}


def _rests(game: Game | Field) -> bool:
    """Whether v goes to 0 from both sides of (0, 0); at ψ = 0 itself the slope of |ψ| counts as 0."""
    near = torch.tensor([[1e-6], [-1e-6]], dtype=torch.float64)
    return vector_field(game, near, near).abs().max().item() < 1e-3


def survey(
    objectives, remedies=REMEDIES, step: str = "simultaneous", lr: float = 0.2, n: int = 500
) -> list[Verdict]:
    """Every objective with every remedy: eigenvalues and step factor at (0, 0), radius after n steps.

    `remedies`: name → arguments of `dirac_gan`, and `after` of `iterate`; see `ALL_REMEDIES`.
    `converges` is measured: the radius √(θ² + ψ²) ended below 0.1, from √2.
    """
    origin, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    lines = []
    for objective, (name, options) in itertools.product(objectives, remedies.items()):
        game = dirac_gan(objective, **{k: v for k, v in options.items() if k != "after"})
        theta, psi = iterate(game, STEPS[step], one, -one, lr, n, options.get("after"))
        radius = torch.cat([theta[-1], psi[-1]]).norm().item()
        rest = 1.0 if _rests(game) else math.nan
        factor = rest * step_factor(game, STEPS[step], origin, origin, lr).item()
        spectrum = rest * eigenvalues(game, origin, origin)
        line = get_objective(objective).name, name, spectrum, factor, radius, radius < 0.1
        lines.append(Verdict(*line))
    return lines
