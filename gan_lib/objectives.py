"""What the two players minimise, as functions of the critic's logits.

A logit ℓ stands for D = σ(ℓ). Losses are written with softplus, because log σ(ℓ) = −softplus(−ℓ) and
log(1 − σ(ℓ)) = −softplus(ℓ) stay exact and keep finite gradients where σ has rounded to 0 or 1.
Logits are `(*members, batch)`, losses `(*members,)`: a mean over the batch alone, so members never mix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.functional import softplus


def value(real: Tensor, fake: Tensor) -> Tensor:
    """V(D, G) = E_{x∼p_data} log D(x) + E_{z∼p_z} log(1 − D(G(z))) (Goodfellow et al. 2014, eq. 1).

    `real`, `fake`: logits of D `(*members, batch)`. Returns `(*members,)`, in nats.
    """
    return -softplus(-real).mean(-1) - softplus(fake).mean(-1)


def minimax_generator_loss(real: Tensor | None, fake: Tensor) -> Tensor:
    """E log(1 − D(G(z))): the generator's share of V, which saturates where D rejects its samples.

    Goodfellow et al. 2014, eq. 1. `real` is not used.
    """
    return -softplus(fake).mean(-1)


def non_saturating_generator_loss(real: Tensor | None, fake: Tensor) -> Tensor:
    """−E log D(G(z)): large slope exactly where D rejects (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake).mean(-1)


def maximum_likelihood_generator_loss(real: Tensor | None, fake: Tensor) -> Tensor:
    """−E exp(σ⁻¹(D(G(z)))): with D = D* its gradient is that of KL(p_data‖p_g).

    Goodfellow (2016), NIPS tutorial, section 3.2.5. exp overflows float32 beyond a logit of 88; use
    float64 where D can be that sure.
    """
    return -fake.exp().mean(-1)


def cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """−V(D, G): the binary cross-entropy of a classifier, summed over the two classes."""
    return -value(real, fake)


@dataclass(frozen=True)
class Objective:
    """Two losses of the critic's outputs (real, fake), each `(*members,)`.

    `output`: what the critic must give: "score" is one number a sample, `(*members, batch)`; the
    objectives of `gan_lib.critics` want more and say it here. `paired`: the generator's loss needs the
    critic's output on real data, too; else it is given None. `source`: paper and equation.
    """

    name: str
    critic_loss: Callable[[Any, Any], Tensor]
    generator_loss: Callable[[Any, Any], Tensor]
    source: str
    paired: bool = False
    output: str = "score"


minimax = Objective(
    "minimax", cross_entropy, minimax_generator_loss, "Goodfellow et al. 2014, eq. 1"
)
non_saturating = Objective(
    "non-saturating", cross_entropy, non_saturating_generator_loss, "Goodfellow et al. 2014, § 3"
)
maximum_likelihood = Objective(
    "maximum-likelihood",
    cross_entropy,
    maximum_likelihood_generator_loss,
    "Goodfellow 2016, § 3.2.5",
)

OBJECTIVES = {o.name: o for o in (minimax, non_saturating, maximum_likelihood)}


def get_objective(objective: Objective | str) -> Objective:
    """The objective of that name, or the objective itself. Raises ValueError listing the known names."""
    if isinstance(objective, Objective):
        return objective
    if objective not in OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}; known are {', '.join(OBJECTIVES)}.")
    return OBJECTIVES[objective]
