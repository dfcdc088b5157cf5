"""The Dirac-GAN (Mescheder et al. 2018, section 2): the smallest GAN there is, and it does not converge.

The data are the single point 0, the generator makes the single point θ, the critic is D(x) = ψ · x. The
state is (θ, ψ), both `(*members, 1)`, and the one equilibrium is θ = 0, with ψ = 0 for most objectives.
A positive score means "real" here; in the paper it means "fake", so that its ψ is −ψ.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan_lib.dynamics import STEPS, Game, eigenvalues, iterate, step_factor
from gan_lib.objectives import Objective, get_objective
from gan_lib.regularizers import r1


class _Middle:
    """A stream that always draws the middle: the slope of a linear critic is the same everywhere."""

    def __init__(self, members: tuple[int, ...]):
        self.members = members

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.full((*self.members, *shape), 0.5, dtype=dtype)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.zeros((*self.members, *shape), dtype=dtype)


def _noise_pairs(std: float, nodes: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Noise for the real and for the fake point, and their weights: Gauss–Hermite, exact to rounding."""
    if std == 0:
        return torch.zeros(1), torch.zeros(1), torch.ones(1)
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    pairs = torch.from_numpy(std * np.array(list(itertools.product(x, x))))
    weights = torch.from_numpy(np.array([p * q for p, q in itertools.product(w, w)]))
    return pairs[:, 0], pairs[:, 1], weights / weights.sum()


def dirac_gan(
    objective: Objective | str, penalty: Callable | None = None, noise: float = 0.0
) -> Game:
    """The game of (θ, ψ) for a scalar-score objective.

    `penalty`: a regulariser of `gan_lib.regularizers`, added to the critic's loss. `noise`: the standard
    deviation σ of instance noise, whose expectation is taken by quadrature. Raises ValueError for an
    unknown objective or σ < 0.
    """
    objective = get_objective(objective)
    if noise < 0:
        raise ValueError(f"noise={noise}: a standard deviation must not be negative.")
    at_real, at_fake, weights = _noise_pairs(noise)

    def scores(theta: Tensor, psi: Tensor) -> tuple[Tensor, Tensor]:
        # (*members, pairs, 1): each pair of noises is a batch of one, so that weights can differ.
        return (psi * at_real.to(psi)).unsqueeze(-1), (psi * (theta + at_fake.to(psi))).unsqueeze(
            -1
        )

    def critic_loss(theta: Tensor, psi: Tensor) -> Tensor:
        loss = (objective.critic_loss(*scores(theta, psi)) * weights.to(psi)).sum(-1)
        if penalty is None:
            return loss
        members, fake = tuple(theta.shape[:-1]), theta.detach().unsqueeze(-1)
        critic = lambda x: (psi.unsqueeze(-1) * x).squeeze(-1)  # noqa: E731
        return loss + penalty(critic, torch.zeros_like(fake), fake, _Middle(members))

    def generator_loss(theta: Tensor, psi: Tensor) -> Tensor:
        return (objective.generator_loss(*scores(theta, psi)) * weights.to(psi)).sum(-1)

    return Game(generator_loss, critic_loss)


def clipped(c: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Weight clipping for `iterate(..., after=)`: ψ back into [−c, c] (Arjovsky et al. 2017)."""
    return lambda theta, psi: (theta, psi.clamp(-c, c))


class Verdict(NamedTuple):
    """One line of the table: what theory says at (0, 0), and what n steps from (1, −1) did."""

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


def survey(
    objectives, remedies=REMEDIES, step: str = "simultaneous", lr: float = 0.2, n: int = 500
) -> list[Verdict]:
    """Every objective with every remedy: eigenvalues and step factor at (0, 0), radius after n steps.

    `converges` is measured: the radius √(θ² + ψ²) ended below 0.1, from √2.
    """
    origin, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    lines = []
    for objective, (name, options) in itertools.product(objectives, remedies.items()):
        game = dirac_gan(objective, **options)
        theta, psi = iterate(game, STEPS[step], one, -one, lr, n)
        radius = torch.cat([theta[-1], psi[-1]]).norm().item()
        factor = step_factor(game, STEPS[step], origin, origin, lr).item()
        spectrum = eigenvalues(game, origin, origin)
        line = get_objective(objective).name, name, spectrum, factor, radius, radius < 0.1
        lines.append(Verdict(*line))
    return lines
