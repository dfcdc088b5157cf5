"""Every critic of the package, small and ready for two-dimensional data, so that tests and benchmarks can
go through all of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from gan_lib.critics.batchwise import minibatch_critic, packed
from gan_lib.critics.classes import (
    categorical,
    classifier_critic,
    feature_critic,
    feature_matching,
    semi_supervised,
    semi_supervised_cross_entropy,
    supervised,
)
from gan_lib.critics.energy import autoencoder_critic, energy_based
from gan_lib.critics.margins import loss_sensitive, with_samples
from gan_lib.critics.unrolling import unrolled
from gan_lib.networks import mlp
from gan_lib.objectives import Objective, non_saturating
from gan_lib.rng import Seed


class Setup(NamedTuple):
    """What `train` needs beyond a generator and data: a critic, its objective and further options."""

    critic: nn.Module
    objective: Objective
    options: dict


def _labelled_ring(modes: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """One labelled point a mode of `gan_lib.data.ring`: the centres."""
    label = torch.arange(modes)
    angle = 2 * math.pi * label.double() / modes
    return torch.stack([angle.cos(), angle.sin()], -1), label


def _scores(inputs: int, seed: Seed) -> nn.Module:
    return mlp([inputs, 16, 16, 1], seed, "leaky_relu", scalar=True)


# name → a function of the seed (an int, or one a member) that makes a Setup.
CRITICS = {
    "ebgan": lambda seed: Setup(autoencoder_critic([2, 16, 4], seed), energy_based(0.5), {}),
    "ebgan-pt": lambda seed: Setup(
        autoencoder_critic([2, 16, 4], seed), energy_based(0.5, 0.1), {}
    ),
    "loss-sensitive": lambda seed: Setup(with_samples(_scores(2, seed)), loss_sensitive(), {}),
    "catgan": lambda seed: Setup(mlp([2, 16, 16, 8], seed, "leaky_relu"), categorical, {}),
    "semi-supervised": lambda seed: Setup(
        classifier_critic([2, 16, 16, 8], seed),
        semi_supervised,
        {"regularizers": [supervised(_labelled_ring(), batch=16)]},
    ),
    "semi-supervised-cross-entropy": lambda seed: Setup(
        classifier_critic([2, 16, 16, 8], seed),
        semi_supervised_cross_entropy,
        {"regularizers": [supervised(_labelled_ring(), batch=16)]},
    ),
    "feature-matching": lambda seed: Setup(
        feature_critic([2, 16, 16, 1], seed), feature_matching, {}
    ),
    "minibatch-discrimination": lambda seed: Setup(
        minibatch_critic([2, 16, 16, 1], seed=seed), non_saturating, {}
    ),
    "packed": lambda seed: Setup(packed(_scores(4, seed), 2), non_saturating, {}),
    "unrolled": lambda seed: Setup(
        _scores(2, seed), non_saturating, {"lookahead": unrolled(3, 0.1)}
    ),
}
