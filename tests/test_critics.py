"""Every registered critic under `train`: ensembles, members, checkpoints, and critics that do not fit."""

import pytest
import torch

from gan_lib.callbacks import Checkpoint
from gan_lib.critics import (
    CRITICS,
    autoencoder_critic,
    categorical,
    classifier_critic,
    energy_based,
    feature_critic,
    feature_matching,
    loss_sensitive,
    semi_supervised,
    semi_supervised_cross_entropy,
    with_samples,
)
from gan_lib.data import normal, ring
from gan_lib.networks import mlp
from gan_lib.rng import Streams
from gan_lib.training import frozen, train

SEEDS = [3, 11]
every_critic = pytest.mark.parametrize("make", CRITICS.values(), ids=CRITICS)


def run(make, seed, steps, **more):
    generator, setup = mlp([2, 12, 2], seed), make(seed)
    history = train(
        generator,
        setup.critic,
        ring(),
        normal(2),
        setup.objective,
        steps,
        batch=16,
        seed=seed,
        **setup.options,
        **more,
    )
    return history, [*generator.parameters(), *setup.critic.parameters()]


@every_critic
def test_ensemble_is_a_loop_of_lone_runs(make):
    together, weights = run(make, SEEDS, 200)
    assert together.critic_loss.isfinite().all() and together.generator_loss.isfinite().all()
    for i, seed in enumerate(SEEDS):
        alone, lone_weights = run(make, seed, 200)
        for a, b in zip(weights, lone_weights, strict=True):
            torch.testing.assert_close(a[i], b, rtol=0, atol=1e-10)
        for losses in ("critic_loss", "generator_loss"):
            a, b = getattr(together, losses)[:, i], getattr(alone, losses)
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def losses_of(setup, real, fake):
    """Both players' losses, with all that the setup adds to them."""
    penalties = setup.options.get("regularizers", ())
    critic, objective = setup.critic, setup.objective
    penalty = sum(p(critic, real, fake, Streams(SEEDS, "penalty")) for p in penalties)
    lookahead = setup.options.get("lookahead")
    judge = lookahead(critic, objective, real, fake) if lookahead else critic
    return (
        objective.critic_loss(critic(real), critic(fake)) + penalty,
        objective.generator_loss(judge(real) if objective.paired else None, judge(fake)),
    )


@every_critic
def test_members_never_mix(make):
    setup = make(SEEDS)
    real, fake = (
        t.requires_grad_()
        for t in torch.randn(2, 2, 6, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    )
    inputs = [real, fake, *setup.critic.parameters()]
    for loss in losses_of(setup, real, fake):
        assert loss.shape == (2,)
        slopes = torch.autograd.grad(
            loss[1], inputs, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        assert not any(slope[0].any() for slope in slopes)
        assert slopes[1][1].any(), "each loss depends on its own fakes"


@every_critic
@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_losses_and_slopes_are_finite_for_extreme_samples(make, size):
    setup = make(SEEDS)
    real, fake = (
        (size * t).requires_grad_()
        for t in torch.randn(2, 2, 6, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    )
    for loss in losses_of(setup, real, fake):
        slopes = torch.autograd.grad(
            loss.sum(), fake, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        assert loss.isfinite().all() and slopes[0].isfinite().all()


@every_critic
def test_resumed_run_is_bitwise_the_whole_run(make, tmp_path):
    whole = run(make, 5, 6)
    path = tmp_path / "half.pt"
    run(make, 5, 3, callbacks=[Checkpoint(path, every=3)])
    history, weights = run(make, 5, 6, resume=path)
    assert torch.equal(history.generator_loss, whole[0].generator_loss)
    assert all(torch.equal(a, b) for a, b in zip(weights, whole[1], strict=True))


@every_critic
def test_no_gradient_is_left_in_a_frozen_critic(make):
    setup = make(SEEDS)
    before = [p.clone() for p in setup.critic.parameters()]
    fake = torch.randn(2, 6, 2, dtype=torch.float64, requires_grad=True)
    with frozen(setup.critic):
        losses_of(setup, fake.detach() + 1, fake)[1].sum().backward()
    assert fake.grad.any()
    for p, old in zip(setup.critic.parameters(), before, strict=True):
        assert p.grad is None and p.requires_grad and torch.equal(p, old)


def test_every_setup_says_what_it_is():
    for make in CRITICS.values():
        critic, objective, options = make(SEEDS)
        assert critic.members == (2,) and make(0).critic.members == ()
        assert objective.source and set(options) <= {"regularizers", "lookahead"}


# What critics return, and which of these each objective can listen to.
KINDS = {
    "score": lambda seed: mlp([2, 4, 1], seed, scalar=True),
    "column": lambda seed: mlp([2, 4, 1], seed),
    "logits": lambda seed: mlp([2, 4, 3], seed),
    "reconstruction": lambda seed: autoencoder_critic([2, 4, 1], seed),
    "judged": lambda seed: with_samples(mlp([2, 4, 1], seed, scalar=True)),
    "classified": lambda seed: classifier_critic([2, 4, 3], seed),
    "scored": lambda seed: feature_critic([2, 4, 1], seed),
}
LISTENS_TO = {
    energy_based(1.0): {"reconstruction"},
    loss_sensitive(): {"judged"},
    categorical: {"logits", "classified"},
    semi_supervised: {"classified"},
    semi_supervised_cross_entropy: {"classified"},
    feature_matching: {"scored"},
}


def test_every_rich_objective_is_in_the_table():
    registered = {make(0).objective for make in CRITICS.values()}
    names = {o.name for o in registered if o.output != "score"}
    assert names == {o.name for o in LISTENS_TO}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", LISTENS_TO, ids=lambda o: o.name)
@pytest.mark.parametrize("seed", [0, [1, 2, 4]], ids=["lone", "ensemble"])
def test_a_critic_that_does_not_fit_is_refused_with_a_sentence(objective, kind, seed):
    pieces = mlp([2, 2], seed), KINDS[kind](seed), ring(), normal(2), objective, 1
    if kind in LISTENS_TO[objective]:
        train(*pieces, batch=4, seed=seed)
        return
    with pytest.raises(ValueError) as error:
        train(*pieces, batch=4, seed=seed)
    assert objective.name in str(error.value) and objective.output in str(error.value)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "score"])
def test_an_ordinary_objective_refuses_rich_critics(kind):
    with pytest.raises(ValueError, match="one number per sample"):
        train(mlp([2, 2]), KINDS[kind](0), ring(), normal(2), "non-saturating", 1)
