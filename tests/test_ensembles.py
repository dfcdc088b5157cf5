"""An ensemble is a loop of lone runs, whatever is trained: every objective, regulariser and critic."""

import inspect

import pytest
import torch

from gan_lib import data
from gan_lib.critics import CRITICS
from gan_lib.networks import maxout_mlp, mlp
from gan_lib.objectives import OBJECTIVES
from gan_lib.regularizers import REGULARIZERS
from gan_lib.training import train

SEEDS = [10, 3, 25]
WEIGHTS = torch.tensor([0.5, 0.05, 2.0], dtype=torch.float64)  # one a member


def run(critic, seed, objective="non-saturating", steps=200, **options):
    """The numbers of a run: both losses `(2, steps, *members)` and all weights `(*members, -1)`."""
    options = {"batch": 16, "seed": seed, **options}
    generator = mlp([2, 4, 2], seed, device="cpu")
    history = train(generator, critic, data.ring(), data.normal(2), objective, steps, **options)
    members = () if isinstance(seed, int) else (len(seed),)
    parameters = [*generator.parameters(), *critic.parameters()]
    weights = torch.cat([p.detach().reshape(*members, -1) for p in parameters], -1)
    return torch.stack([history.critic_loss, history.generator_loss]), weights


def assert_loop_of_lone_runs(train_with):
    """`train_with(seed, choose)`: a run; `choose(values)` picks a member's own value, or takes all."""
    losses, weights = train_with(SEEDS, lambda values: values)
    for i, seed in enumerate(SEEDS):
        lone_losses, lone_weights = train_with(seed, lambda values, i=i: values[i])
        torch.testing.assert_close(losses[..., i], lone_losses, rtol=0, atol=1e-10)
        torch.testing.assert_close(weights[i], lone_weights, rtol=0, atol=1e-10)
    assert (losses[0, -1].diff().abs() > 1e-9).all(), "members differ from each other"


def critic_with_dropout(seed):
    return maxout_mlp([2, 4, 1], 2, (0.8, 0.7), seed, scale=None, dtype=torch.float64, device="cpu")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(name):
    def train_with(seed, choose):
        losses, weights = run(mlp([2, 4, 1], seed, scalar=True, device="cpu"), seed, name)
        # Relativistic scores count by differences alone, so the critic's last bias has gradient 0. With
        # averages rounding leaves something of it, and Adam makes a step of that.
        return losses, weights[..., :-1] if name == "relativistic-average" else weights

    assert_loop_of_lone_runs(train_with)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizers_with_a_weight_for_each_member(name):
    place, make = REGULARIZERS[name]
    tunable = place != "critic" and inspect.signature(make).parameters

    def train_with(seed, choose):
        extra = make(choose(WEIGHTS)) if tunable else make()
        critic = critic_with_dropout(seed)
        if place == "critic":
            return run(extra(critic), seed, steps=25)
        return run(critic, seed, steps=25, **{place: extra if "field" in place else [extra]})

    assert_loop_of_lone_runs(train_with)


@pytest.mark.parametrize("name", CRITICS)
def test_critics(name):
    def train_with(seed, choose):
        critic, objective, options = CRITICS[name](seed)
        return run(critic.to("cpu"), seed, objective, 25, **options)

    assert_loop_of_lone_runs(train_with)
