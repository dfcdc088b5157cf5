"""Critics that know classes: categorical GAN, K + 1 classes with few labels, and feature matching.

Logits are `(*members, batch, K)`, features `(*members, batch, f)`, losses `(*members,)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gan_lib.networks import Network, mlp
from gan_lib.objectives import Objective, cross_entropy, non_saturating_generator_loss
from gan_lib.rng import Seed, Streams


class Classified(NamedTuple):
    """Class logits `(*members, batch, K)` and the features `(*members, batch, f)` they are made from."""

    logits: Tensor
    features: Tensor


class Scored(NamedTuple):
    """The logit of "real" `(*members, batch)` and the features `(*members, batch, f)` it is made from."""

    score: Tensor
    features: Tensor


class WithFeatures(nn.Module):
    """A network that also returns its last hidden layer, after the activation."""

    def __init__(self, network: Network):
        super().__init__()
        self.body, self.head = network[:-1], network[-1]
        self.members, self.scalar = network.members, network.scalar

    def forward(self, x: Tensor) -> Classified | Scored:
        features = self.body(x)
        y = self.head(features)
        return Scored(y.squeeze(-1), features) if self.scalar else Classified(y, features)


def classifier_critic(
    sizes: Sequence[int],
    seed: Seed = 0,
    activation: str = "leaky_relu",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> WithFeatures:
    """A perceptron, `sizes` = [inputs, hidden …, K], that returns `Classified`.

    Raises ValueError without a hidden layer or with fewer than two classes, and as `mlp` does.
    """
    if sizes[-1] < 2:
        raise ValueError(f"sizes={list(sizes)} must end in the number of classes, at least 2.")
    return _with_features(sizes, seed, activation, False, dtype, device)


def feature_critic(
    sizes: Sequence[int],
    seed: Seed = 0,
    activation: str = "leaky_relu",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> WithFeatures:
    """An ordinary critic, `sizes` = [inputs, hidden …, 1], that returns `Scored`.

    Raises ValueError without a hidden layer, and as `mlp` does.
    """
    return _with_features(sizes, seed, activation, True, dtype, device)


def _with_features(sizes, seed, activation, scalar, dtype, device) -> WithFeatures:
    if len(sizes) < 3:
        raise ValueError(f"sizes={list(sizes)} needs a hidden layer: its units are the features.")
    network = mlp(sizes, seed, activation, scalar=scalar, dtype=dtype, device=device)
    return WithFeatures(network)


# ---- the categorical GAN -------------------------------------------------------------------------


def conditional_entropy(logits: Tensor) -> Tensor:
    """E H[p(y|x)]: the mean entropy of the answers, `(*members, batch, K)` → `(*members,)`, in nats."""
    return _entropy(logits.log_softmax(-1)).mean(-1)


def marginal_entropy(logits: Tensor) -> Tensor:
    """H[E p(y|x)]: the entropy of the mean answer, `(*members, batch, K)` → `(*members,)`, in nats."""
    return _entropy(logits.log_softmax(-1).logsumexp(-2) - math.log(logits.shape[-2]))


def _entropy(log_p: Tensor) -> Tensor:
    return -(log_p.exp() * log_p).sum(-1)  # log p stays finite where p has rounded to 0: no 0 · ∞


def _categorical_critic_loss(real: Any, fake: Any) -> Tensor:
    real, fake = _logits(real), _logits(fake)
    return conditional_entropy(real) - marginal_entropy(real) - conditional_entropy(fake)


def _categorical_generator_loss(real: None, fake: Any) -> Tensor:
    return conditional_entropy(_logits(fake)) - marginal_entropy(_logits(fake))


def _logits(output: Any) -> Tensor:
    logits = getattr(output, "logits", output)
    if logits.ndim < 2 or logits.shape[-1] < 2:  # else a batch of scores would pass for classes
        raise TypeError(f"shape {tuple(logits.shape)} has no axis of classes")
    return logits


categorical = Objective(
    "categorical",
    _categorical_critic_loss,
    _categorical_generator_loss,
    "Springenberg 2016 (CatGAN)",
    output="K ≥ 2 class logits: use mlp([inputs, …, K]) or classifier_critic",
)
"""The critic is sure on data, uses all K classes equally and is unsure on samples, so it maximises
H[E p(y|x)] − E H[p(y|x)] + E H[p(y|G(z))]. The generator minimises E H[p(y|G(z))] − H[E p(y|G(z))]."""


# ---- K + 1 classes -------------------------------------------------------------------------------


def real_logit(logits: Tensor) -> Tensor:
    """log Σ_k exp ℓ_k, the logit of "real", `(*members, batch, K)` → `(*members, batch)`.

    A softmax over K classes and a class "fake" with logit 0 gives p(real) = Z/(Z + 1), where
    Z = Σ_k exp ℓ_k (Salimans et al. 2016, section 5): the sigmoid of log Z.
    """
    return logits.logsumexp(-1)


def _unsupervised_loss(real: Classified, fake: Classified) -> Tensor:
    return cross_entropy(real_logit(real.logits), real_logit(fake.logits))


def mean_feature_distance(real: Classified | Scored, fake: Classified | Scored) -> Tensor:
    """‖E f(x) − E f(G(z))‖²: the means over the batch are compared, not sample with sample.

    Feature matching, Salimans et al. 2016, section 3.1. Returns `(*members,)`.
    """
    return (real.features.mean(-2) - fake.features.mean(-2)).square().sum(-1)


def _called_real(real: None, fake: Classified) -> Tensor:
    return non_saturating_generator_loss(None, real_logit(fake.logits))


_CLASSES = "class logits and features: use classifier_critic"
semi_supervised = Objective(
    "semi-supervised",
    _unsupervised_loss,
    mean_feature_distance,
    "Salimans et al. 2016, § 5 and § 3.1",
    paired=True,
    output=_CLASSES,
)
"""L_unsup = −E log(1 − p(fake|x)) − E log p(fake|G(z)) for the critic, to which `supervised` adds the
labels; feature matching for the generator."""

semi_supervised_cross_entropy = Objective(
    "semi-supervised cross-entropy",
    _unsupervised_loss,
    _called_real,
    "Salimans et al. 2016, § 5",
    output=_CLASSES,
)
"""The same critic; the generator minimises −E log(1 − p(fake|G(z)))."""

feature_matching = Objective(
    "feature matching",
    lambda real, fake: cross_entropy(real.score, fake.score),
    mean_feature_distance,
    "Salimans et al. 2016, § 3.1",
    paired=True,
    output="a score and features: use feature_critic",
)
"""An ordinary discriminator; the generator matches the mean of its last hidden layer."""


def supervised(labelled, weight: float = 1.0, batch: int = 64) -> Callable:
    """A regulariser for `train`: `weight` · −E log p(y|x, y ≤ K), the labels' cross-entropy (L_sup).

    `labelled`: `gan_lib.images.Images`, or a pair (x `(N, ...)`, y `(N,)` whole numbers below K), from
    which each member draws `batch` pairs a step, with replacement; with `(*members, N, ...)` and
    `(*members, N)` each member has labels of its own. Salimans et al. 2016, section 5.
    Raises ValueError if there are not as many labels as samples, or not as many tables as members.
    """
    x, y = (labelled.x, labelled.y) if hasattr(labelled, "x") else labelled
    if x.shape[: y.ndim] != y.shape:
        raise ValueError(f"{tuple(x.shape)} samples, {tuple(y.shape)} labels: one label a sample.")

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor, rng: Streams) -> Tensor:
        if y.shape[:-1] not in ((), rng.members):
            raise ValueError(f"labels of shape {tuple(y.shape)} for members {rng.members}.")
        rows = rng.integers(y.shape[-1], batch)
        if y.ndim > 1:  # each member has a table of its own
            rows = torch.arange(len(rows), device=rows.device).unsqueeze(-1), rows
        log_p = _logits(critic(x.to(real.device)[rows].to(real.dtype))).log_softmax(-1)
        labels = y.to(real.device)[rows].unsqueeze(-1)
        return -weight * log_p.gather(-1, labels).squeeze(-1).mean(-1)

    penalty.per_sample = False  # a loss like any other: batch normalisation may stay
    return penalty
