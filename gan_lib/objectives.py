"""What the two players minimise, as functions of the critic's scores.

In the first objectives the score is a logit ℓ, which stands for D = σ(ℓ). Their losses are written with
softplus, because log σ(ℓ) = −softplus(−ℓ) and log(1 − σ(ℓ)) = −softplus(ℓ) stay exact and keep finite
gradients where σ has rounded to 0 or 1. Scores are `(*members, batch)`, losses `(*members,)`: a mean over
the batch alone, so members never mix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

from gan_lib.f_divergences import ROWS, Row, get_row


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

    Goodfellow (2016), NIPS tutorial, section 3.2.4. exp overflows float32 beyond a logit of 88; use
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
    `optimal(log p/q)`: the score of the best critic where the data has density p and the samples q;
    None where no formula is known or the best critic does not depend on p/q alone.
    """

    name: str
    critic_loss: Callable[[Any, Any], Tensor]
    generator_loss: Callable[[Any, Any], Tensor]
    source: str
    paired: bool = False
    output: str = "score"
    optimal: Callable[[Tensor], Tensor] | None = None


def _log_ratio(r: Tensor) -> Tensor:
    """The best logit is log p/q (Goodfellow et al. 2014, Proposition 1)."""
    return r


minimax = Objective(
    "minimax",
    cross_entropy,
    minimax_generator_loss,
    "Goodfellow et al. 2014, eq. 1",
    optimal=_log_ratio,
)
non_saturating = Objective(
    "non-saturating",
    cross_entropy,
    non_saturating_generator_loss,
    "Goodfellow et al. 2014, § 3",
    optimal=_log_ratio,
)
maximum_likelihood = Objective(
    "maximum-likelihood",
    cross_entropy,
    maximum_likelihood_generator_loss,
    "Goodfellow 2016, § 3.2.4",
    optimal=_log_ratio,
)


def least_squares_of(a: float = 0.0, b: float = 1.0, c: float = 1.0) -> Objective:
    """LSGAN: the critic regresses on a for fakes and b for real, the generator wants it to say c.

    ½E(D(x) − b)² + ½E(D(G(z)) − a)² and ½E(D(G(z)) − c)², on raw scores (Mao et al. 2017, eq. 2).
    """
    return Objective(
        "least-squares",
        lambda real, fake: 0.5 * ((real - b).square().mean(-1) + (fake - a).square().mean(-1)),
        lambda real, fake: 0.5 * (fake - c).square().mean(-1),
        "Mao et al. 2017, eq. 2",
        optimal=lambda r: a + (b - a) * r.sigmoid(),
    )


def _wants_high_scores(real: Tensor | None, fake: Tensor) -> Tensor:
    return -fake.mean(-1)


least_squares = least_squares_of()
wasserstein = (
    Objective(  # a distance only under a Lipschitz bound: add a penalty, or clip the weights
        "wasserstein",
        lambda real, fake: fake.mean(-1) - real.mean(-1),
        _wants_high_scores,
        "Arjovsky et al. 2017, eq. 2 and Algorithm 1",
    )
)
hinge = Objective(  # each sample has its own margin: relu first, then the mean
    "hinge",
    lambda real, fake: relu(1 - real).mean(-1) + relu(1 + fake).mean(-1),
    _wants_high_scores,
    "Lim and Ye 2017, § 3; Miyato et al. 2018, eqs. 16 and 17",
    optimal=torch.sign,
)


def _pairwise(better: Tensor, worse: Tensor) -> Tensor:
    """−E log σ(better − worse) over the pairs (i, i) of the two batches."""
    if better.shape != worse.shape:
        raise ValueError(
            f"scores of shapes {tuple(better.shape)} and {tuple(worse.shape)}: a relativistic critic "
            "compares pairs, so give as many real samples as fakes (or use relativistic-average)."
        )
    return softplus(worse - better).mean(-1)


def _above_average(better: Tensor, worse: Tensor) -> Tensor:
    """−E log σ(better − mean of worse) − E log(1 − σ(worse − mean of better))."""
    return (
        softplus(worse.mean(-1, keepdim=True) - better).mean(-1)
        + softplus(worse - better.mean(-1, keepdim=True)).mean(-1)
    )  # fmt: skip


relativistic = Objective(
    "relativistic",
    _pairwise,
    lambda real, fake: _pairwise(fake, real),
    "Jolicoeur-Martineau 2018, RSGAN",
    paired=True,
    optimal=_log_ratio,  # up to a constant
)
relativistic_average = Objective(
    "relativistic-average",
    _above_average,
    lambda real, fake: _above_average(fake, real),
    "Jolicoeur-Martineau 2018, RaSGAN",
    paired=True,
)


def f_gan(row: Row | str, non_saturating: bool = False) -> Objective:
    """The f-GAN of a row of `gan_lib.f_divergences` or its name: the critic's loss is at best −D_f.

    Critic: −(E g_f(v) on real − E f*(g_f(v)) on fakes) (Nowozin et al. 2016, eqs. 6 and 7). Generator:
    −E f*(g_f(v)), or −E g_f(v) if `non_saturating` (section 3.2), on fakes. Raises ValueError for an
    unknown name.
    """
    row = get_row(row)
    g, fused = row.activation, row.conjugate_of_activation
    generator = g if non_saturating else fused
    return Objective(
        f"f-gan {row.name}" + " non-saturating" * non_saturating,
        lambda real, fake: fused(fake).mean(-1) - g(real).mean(-1),
        lambda real, fake: -generator(fake).mean(-1),
        f"Nowozin et al. 2016, {'§ 3.2' if non_saturating else 'eqs. 6 and 7'}",
        optimal=row.optimal_score,
    )


def tempered(objective: Objective | str, temperature: float | Tensor) -> Objective:
    """The objective of scores divided by a temperature, a number or one a member `(*members,)`.

    A high temperature keeps a sure critic's scores where the losses still have slope. Raises ValueError
    for a temperature ≤ 0 and for an objective of more than a score.
    """
    objective = get_objective(objective)
    if objective.output != "score":
        raise ValueError(
            f"{objective.name!r} is not an objective of scores: it cannot be tempered."
        )
    temperature = torch.as_tensor(temperature, dtype=torch.float64)
    if not bool((temperature > 0).all()):
        raise ValueError(f"temperature={temperature.tolist()}: it must be positive.")
    column = temperature.unsqueeze(-1) if temperature.ndim else temperature

    def cool(score: Tensor | None) -> Tensor | None:
        return None if score is None else score / column.to(score)

    best = objective.optimal
    return Objective(
        f"{objective.name} at temperature {temperature.tolist()}",
        lambda real, fake: objective.critic_loss(cool(real), cool(fake)),
        lambda real, fake: objective.generator_loss(cool(real), cool(fake)),
        objective.source,
        objective.paired,
        optimal=best and (lambda r: column.to(r) * best(r)),
    )


def side_by_side(objectives: Sequence[Objective | str], n: int) -> Objective:
    """One objective for an ensemble in which each block of n members plays a game of its own.

    Takes scores `(len(objectives) · n, batch)`; so many games cost one training run. Raises ValueError
    for an objective of more than a score and for another number of members.
    """
    games = [get_objective(objective) for objective in objectives]
    if other := [game.name for game in games if game.output != "score"]:
        raise ValueError(
            f"{', '.join(other)}: no objective of scores, so it cannot be put beside others."
        )

    def blocks(loss: str, real: Tensor | None, fake: Tensor) -> Tensor:
        if len(fake) != len(games) * n:
            raise ValueError(
                f"{len(games)} games of {n} members need {len(games) * n} members, not {len(fake)}."
            )
        reals = [None] * len(games) if real is None else real.split(n)
        parts = zip(games, reals, fake.split(n), strict=True)
        return torch.cat([getattr(game, loss)(r, f) for game, r, f in parts])

    return Objective(
        "side by side: " + ", ".join(game.name for game in games),
        lambda real, fake: blocks("critic_loss", real, fake),
        lambda real, fake: blocks("generator_loss", real, fake),
        "; ".join(dict.fromkeys(game.source for game in games)),
        any(game.paired for game in games),
    )


OBJECTIVES = {
    objective.name: objective
    for objective in (
        *(minimax, non_saturating, maximum_likelihood, least_squares, wasserstein, hinge),
        *(relativistic, relativistic_average),
        *(f_gan(row) for row in ROWS.values()),
    )
}


def get_objective(objective: Objective | str) -> Objective:
    """The objective of that name, or the objective itself. Raises ValueError listing the known names."""
    if isinstance(objective, Objective):
        return objective
    if objective not in OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}; known are {', '.join(OBJECTIVES)}.")
    return OBJECTIVES[objective]
