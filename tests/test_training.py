"""Algorithm 1 to the letter: who moves when, what is counted, and what an interruption may not change."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from gan_lib import data, images
from gan_lib.callbacks import Anneal, Checkpoint
from gan_lib.networks import maxout_mlp, mlp
from gan_lib.objectives import OBJECTIVES, non_saturating
from gan_lib.rng import Streams, resolve_device
from gan_lib.training import TrainingDiverged, adam, frozen, sample, sgd, train

NOISE, RING = data.normal(2), data.ring()


def players(seed=0, hidden=8, dtype=torch.float64):
    """A small generator and critic in the plane."""
    generator = mlp([2, hidden, 2], seed, "tanh", dtype=dtype, device="cpu")
    return generator, mlp([2, hidden, 1], seed, "tanh", scalar=True, dtype=dtype, device="cpu")


def weights(*networks):
    return [p.detach().clone() for network in networks for p in network.parameters()]


def same(left, right):
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


class Count:
    """Counts the gradients that arrive at a network's parameters."""

    def __init__(self, network):
        self.arrivals = 0
        self.parameters = len(list(network.parameters()))
        for p in network.parameters():
            p.register_post_accumulate_grad_hook(self)

    def __call__(self, _):
        self.arrivals += 1

    @property
    def steps(self):
        return self.arrivals / self.parameters


# ------------------------------------------------------------------------------ who moves when


@pytest.mark.parametrize("k", [1, 3])
def test_each_player_gets_a_gradient_in_its_own_steps_only(k):
    generator, critic = players()
    of_generator, of_critic = Count(generator), Count(critic)
    train(generator, critic, RING, NOISE, "minimax", 4, k=k)
    assert of_generator.steps == 4, "the critic's step must not reach the generator"
    assert of_critic.steps == 4 * k, "the generator's step must not reach the critic"


def test_critic_steps_leave_the_generator_as_it_was():
    generator, critic = players()
    before, seen = weights(generator), []

    def look(critic):
        seen.append((same(before, weights(generator)), [p.grad for p in generator.parameters()]))

    train(generator, critic, RING, NOISE, "minimax", 1, k=5, after_critic=[look])
    assert len(seen) == 5
    for unmoved, grads in seen:
        assert unmoved and all(g is None for g in grads)
    assert not same(before, weights(generator)), "then the generator moves"


def test_generator_step_leaves_the_critic_as_it_was():
    generator, critic = players()
    after_its_step, at_the_end = [], []

    def parameters_and_grads(critic):
        return weights(critic) + [p.grad.clone() for p in critic.parameters()]

    class Look:
        every = 1

        def __call__(self, run):
            if run.step:
                at_the_end.append(parameters_and_grads(critic))

    train(
        generator, critic, RING, NOISE, "non-saturating", 3,
        after_critic=[lambda c: after_its_step.append(parameters_and_grads(c))], callbacks=[Look()],
    )  # fmt: skip
    assert len(at_the_end) == 3
    assert all(same(a, b) for a, b in zip(after_its_step, at_the_end, strict=True))
    assert not same(after_its_step[0], after_its_step[1])


def test_critic_trains_again_after_an_error_in_the_generator_step():
    generator, critic = players()
    broken = copy.copy(non_saturating)
    object.__setattr__(broken, "generator_loss", lambda real, fake: 1 / 0)
    critic.get_parameter("0.bias").requires_grad_(
        False
    )  # and what was fixed on purpose stays fixed
    with pytest.raises(ZeroDivisionError):
        train(generator, critic, RING, NOISE, broken, 1)
    trainable = {name: p.requires_grad for name, p in critic.named_parameters()}
    assert trainable == {"0.weight": True, "0.bias": False, "2.weight": True, "2.bias": True}


def test_frozen_passes_gradients_through():
    _, critic = players()
    x = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    with frozen(critic):
        critic(x).sum().backward()
    assert x.grad.any() and all(p.grad is None for p in critic.parameters())


def test_after_critic_runs_after_each_critic_step():
    generator, critic = players()
    bounded = []

    def clip(critic):
        with torch.no_grad():
            for p in critic.parameters():
                p.clamp_(-0.01, 0.01)

    def penalty(critic, real, fake, rng):
        bounded.append(max(p.abs().max().item() for p in critic.parameters()))
        return 0.0

    train(
        generator, critic, RING, NOISE, "minimax", 5, k=2, optimizer=sgd(1.0),
        after_critic=[clip], regularizers=[penalty],
    )  # fmt: skip
    assert bounded[0] > 0.01, "not before the first step"
    assert all(b <= 0.01 for b in bounded[1:])
    assert all(p.abs().max() <= 0.01 for p in critic.parameters())


# ------------------------------------------------------------------------- the numbers themselves


def sigma(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("momentum", [0.0, 0.7])
@pytest.mark.parametrize("k", [1, 2])
def test_sgd_follows_the_recursion_by_hand(k, momentum):
    """One-dimensional players G(z) = az + b and ℓ(x) = wx + c, their gradients derived on paper."""
    p, noise, m, lr, steps, seed = data.gaussian(3.0, 0.5), data.normal(1), 16, 0.2, 6, 7
    generator, critic = mlp([1, 1], 1, device="cpu"), mlp([1, 1], 2, scalar=True, device="cpu")
    a, b = (t.item() for t in generator.parameters())
    w, c = (t.item() for t in critic.parameters())
    history = train(
        generator, critic, p, noise, "non-saturating", steps, batch=m, k=k, seed=seed,
        optimizer=sgd(lr, momentum), critic_optimizer=sgd(2 * lr, momentum),
    )  # fmt: skip
    reals, zs = Streams(seed, "data"), Streams(seed, "noise")
    of_critic, of_generator, losses = np.zeros(2), np.zeros(2), []
    for _ in range(steps):
        for _ in range(k):
            x, f = p.sample(m, reals).numpy().ravel(), a * noise.sample(m, zs).numpy().ravel() + b
            up, down = 1 - sigma(w * x + c), sigma(w * f + c)
            critic_loss = -np.log(1 - up).mean() - np.log(1 - down).mean()
            slope = [(down * f).mean() - (up * x).mean(), down.mean() - up.mean()]
            of_critic = momentum * of_critic + slope
            w, c = np.array([w, c]) - 2 * lr * of_critic
        z = noise.sample(m, zs).numpy().ravel()
        pull = -(1 - sigma(w * (a * z + b) + c)) * w
        losses.append((critic_loss, -np.log(sigma(w * (a * z + b) + c)).mean()))
        of_generator = momentum * of_generator + [(pull * z).mean(), pull.mean()]
        a, b = np.array([a, b]) - lr * of_generator
    found = [t.item() for t in (*generator.parameters(), *critic.parameters())]
    np.testing.assert_allclose(found, [a, b, w, c], rtol=1e-12)
    np.testing.assert_allclose(history.critic_loss, [pair[0] for pair in losses], rtol=1e-12)
    np.testing.assert_allclose(history.generator_loss, [pair[1] for pair in losses], rtol=1e-12)


def test_critic_optimizer_defaults_to_that_of_the_generator():
    runs = []
    for extra in ({}, {"critic_optimizer": sgd(0.3)}, {"critic_optimizer": sgd(0.2)}):
        nets = players()
        train(*nets, RING, NOISE, "minimax", 3, optimizer=sgd(0.3), **extra)
        runs.append(weights(*nets))
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_by_name_or_record(name):
    """And every registered objective trains: ten finite steps that move both players."""
    runs = []
    for objective in (name, OBJECTIVES[name]):
        generator, critic = players()
        start = weights(generator), weights(critic)
        history = train(generator, critic, RING, NOISE, objective, 10)
        assert history.critic_loss.isfinite().all() and history.generator_loss.isfinite().all()
        assert not same(start[0], weights(generator)) and not same(start[1], weights(critic))
        runs.append(weights(generator, critic))
    assert same(*runs)


def test_ensemble_of_four_is_four_lone_runs():
    seeds = [10, 11, 12, 13]
    generator, critic = players(seeds)
    together = train(generator, critic, RING, NOISE, "non-saturating", 200, seed=seeds, k=2)
    assert together.critic_loss.shape == (200, 4)
    for i, seed in enumerate(seeds):
        lone = players(seed)
        history = train(*lone, RING, NOISE, "non-saturating", 200, seed=seed, k=2)
        for a, b in zip(weights(generator, critic), weights(*lone), strict=True):
            torch.testing.assert_close(a[i], b, rtol=0, atol=1e-10)
        for player in ("critic_loss", "generator_loss"):
            a, b = getattr(together, player)[:, i], getattr(history, player)
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    assert (together.critic_loss[-1].diff().abs() > 1e-6).all(), "members differ from each other"


def test_penalty_sees_the_batch_and_is_added_to_the_loss_but_not_recorded():
    generator, critic = players()
    seen = []

    def penalty(critic, real, fake, rng):
        seen.append((real, fake, rng.normal(2)))
        return 0.5 * sum(p.square().sum() for p in critic.parameters())

    start = weights(critic)
    history = train(
        generator, critic, RING, NOISE, "minimax", 1, batch=32, seed=3,
        regularizers=[penalty, penalty], optimizer=sgd(0.1),
    )  # fmt: skip
    plain, plain_critic = players()
    without = train(
        plain, plain_critic, RING, NOISE, "minimax", 1, batch=32, seed=3, optimizer=sgd(0.1)
    )
    assert torch.equal(history.critic_loss, without.critic_loss)
    for a, b, s in zip(weights(critic), weights(plain_critic), start, strict=True):
        torch.testing.assert_close(a, b - 0.1 * 2 * s)
    real, fake, drawn = seen[0]
    assert torch.equal(real, RING.sample(32, Streams(3, "data")))
    torch.testing.assert_close(fake, players()[0](NOISE.sample(32, Streams(3, "noise"))))
    assert not fake.requires_grad
    assert torch.equal(drawn, Streams(3, "penalty").normal(2)), "random numbers of its own"


def test_penalty_of_each_member_stays_with_it():
    def penalty(critic, real, fake, rng):
        return torch.tensor([0.0, 1.0]) * sum(p.square().sum((-1, -2)) for p in critic.parameters())

    with_penalty, without = players([0, 1]), players([0, 1])
    for nets, regularizers in ((with_penalty, [penalty]), (without, [])):
        train(*nets, RING, NOISE, "minimax", 1, seed=[0, 1], regularizers=regularizers)
    for a, b in zip(weights(with_penalty[1]), weights(without[1]), strict=True):
        assert torch.equal(a[0], b[0]) and not torch.equal(a[1], b[1])


def test_the_same_seed_repeats_bitwise_and_global_randomness_has_no_say():
    runs = []
    for seed, noise in ((4, 0), (4, 1), (5, 0)):
        torch.manual_seed(noise)
        nets = players()
        history = train(*nets, RING, NOISE, "minimax", 5, seed=seed)
        runs.append([*weights(*nets), history.critic_loss, history.generator_loss])
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_learns_the_mean_of_a_gaussian_on_five_seeds():
    seeds = list(range(5))
    target, z = data.gaussian(2.0, 0.5), data.normal(1)
    generator = mlp([1, 16, 1], seeds, device="cpu")
    critic = mlp([1, 16, 1], seeds, scalar=True, device="cpu")
    lr = {"optimizer": adam(2e-3), "critic_optimizer": adam(1e-2)}
    train(generator, critic, target, z, "non-saturating", 1200, seed=seeds, **lr)
    x = sample(generator, z.sample(4000, Streams(seeds, "look")))
    assert (x.mean((1, 2)) - 2).abs().max() < 0.35
    assert ((x.std((1, 2)) > 0.15) & (x.std((1, 2)) < 1.0)).all()


# ------------------------------------------------------------------------ interruption and resume


def with_dropout():
    critic = maxout_mlp([2, 6, 1], 2, keep=[0.8, 0.5], dtype=torch.float64, device="cpu")
    return players()[0], critic


def halving(path):
    """A checkpoint listed first must still hold what the schedule set in the same step."""
    return [Checkpoint(path, 10), Anneal(lr=lambda step: 0.05 * 0.97**step)]


WAYS = {
    "adam": (players, {}, lambda path: [Checkpoint(path, 10)]),
    "momentum": (players, {"optimizer": sgd(0.05, 0.9)}, lambda path: [Checkpoint(path, 10)]),
    "dropout": (with_dropout, {"k": 2}, lambda path: [Checkpoint(path, 10)]),
    "anneal": (players, {"optimizer": sgd(0.05, 0.5)}, halving),
    "ensemble": (lambda: players([0, 1]), {"seed": [0, 1]}, lambda path: [Checkpoint(path, 10)]),
    "penalty": (
        players,
        {"regularizers": [lambda c, real, fake, rng: (c(real) * rng.normal(64)).mean()]},
        lambda path: [Checkpoint(path, 10)],
    ),
}


def result(nets, history):
    return [*weights(*nets), history.critic_loss, history.generator_loss]


@pytest.mark.parametrize("make, options, callbacks", WAYS.values(), ids=WAYS)
def test_2n_steps_are_n_a_checkpoint_and_n_bitwise(make, options, callbacks, tmp_path):
    def run(steps, path):
        nets = make()
        history = train(
            *nets,
            RING,
            NOISE,
            "non-saturating",
            steps,
            callbacks=callbacks(path),
            resume=path,
            **options,
        )
        assert history.step == steps
        return result(nets, history)

    whole = run(60, tmp_path / "whole")
    run(30, tmp_path / "halves")
    assert same(whole, run(60, tmp_path / "halves"))


@pytest.mark.parametrize("make, options, callbacks", WAYS.values(), ids=WAYS)
def test_an_interrupted_run_resumes_to_the_same_result(make, options, callbacks, tmp_path):
    class Interrupt:
        every, at = 1, 37

        def __call__(self, run):
            if run.step == self.at:
                raise KeyboardInterrupt

    def run(path, *more):
        nets = make()
        calls = [*more, *callbacks(path)]
        history = train(*nets, RING, NOISE, "minimax", 60, callbacks=calls, resume=path, **options)
        return result(nets, history)

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", Interrupt())
    assert torch.load(tmp_path / "cut", weights_only=True)["history"]["step"] == 30
    assert same(whole, run(tmp_path / "cut"))


def test_resuming_a_finished_run_returns_its_history(tmp_path):
    path, nets = tmp_path / "run", players()
    first = train(*nets, RING, NOISE, "minimax", 20, callbacks=[Checkpoint(path, 20)])
    again = players()
    history = train(*again, RING, NOISE, "minimax", 20, resume=path)
    assert same(result(nets, first), result(again, history))


def test_resume_asking_for_fewer_steps_is_refused_and_changes_nothing(tmp_path):
    train(*players(), RING, NOISE, "minimax", 20, callbacks=[Checkpoint(tmp_path / "run", 20)])
    nets = players()
    start = weights(*nets)
    with pytest.raises(ValueError, match="20 steps done; ask for steps > 20, not 10"):
        train(*nets, RING, NOISE, "minimax", 10, resume=tmp_path / "run")
    assert same(start, weights(*nets))


def test_resume_with_another_seed_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    train(*players(), RING, NOISE, "minimax", 2, callbacks=[Checkpoint(path, 1)], seed=0)
    with pytest.raises(ValueError, match=r"begun with seeds \[0\], not \[1\]"):
        train(*players(1), RING, NOISE, "minimax", 4, seed=1, resume=path)


def test_a_failed_save_leaves_the_old_checkpoint_whole(tmp_path, monkeypatch):
    path, nets = tmp_path / "deep" / "run", players()
    train(*nets, RING, NOISE, "minimax", 20, callbacks=[Checkpoint(path, 20)])
    before = path.read_bytes()

    def half_a_save(_, file):
        file.write_bytes(b"half")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half_a_save)
        with pytest.raises(OSError, match="no space"):
            train(
                *players(),
                RING,
                NOISE,
                "minimax",
                40,
                callbacks=[Checkpoint(path, 20)],
                resume=path,
            )
    assert path.read_bytes() == before
    history = train(
        *players(), RING, NOISE, "minimax", 40, resume=path, callbacks=[Checkpoint(path, 20)]
    )
    assert history.step == 40
    assert [f.name for f in path.parent.iterdir()] == ["run"]


# --------------------------------------------------------------------------------------- divergence


class Rotten:
    """Data that turn to NaN after so many batches."""

    dim = 2

    def __init__(self, good, members=()):
        self.good, self.members = good + 1, members  # one batch is drawn to check the shapes

    def sample(self, m, rng, dtype=torch.float64):
        x = RING.sample(m, rng, dtype=dtype)
        self.good -= 1
        if self.good < 0:
            x[-1] = math.nan  # the last member, or the last sample of a lone run
        return x


@pytest.mark.parametrize("seed", [0, [0, 1]], ids=["lone", "ensemble"])
@pytest.mark.parametrize("good", [0, 12, 50, 73])
def test_divergence_names_step_and_player_and_keeps_the_history(seed, good):
    with pytest.raises(TrainingDiverged) as error:
        train(*players(seed), Rotten(good), NOISE, "minimax", 90, seed=seed)
    message, history = str(error.value), error.value.history
    assert re.search(rf"critic's loss is .*nan.* at step {good}\b", message)
    assert "learning rate" in message
    finite = history.critic_loss.isfinite()
    assert finite[:good].all()
    assert not finite[good:].reshape(90 - good, -1).all(1).any()
    assert history.step <= good + 50, "noticed within 50 steps"


def test_divergence_of_the_generator_is_told_apart():
    broken = copy.copy(non_saturating)
    object.__setattr__(broken, "generator_loss", lambda real, fake: fake.mean(-1) / 0)
    with pytest.raises(TrainingDiverged, match="the generator's loss is .* at step 0"):
        train(*players(), RING, NOISE, broken, 1)


# -------------------------------------------------------------------------------------- wrong input


def critic_without_squeeze():
    return mlp([2, 8, 1], device="cpu")


def normalised():
    return nn.Sequential(
        nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1), nn.Flatten(0)
    ).double()


def squashed(output):
    return mlp([2, 8, 2], output=output, device="cpu")


WRONG = {
    "critic returns a column": (
        {"critic": critic_without_squeeze}, r"\(64, 1\).*one number per sample.*scalar=",
    ),
    "generator's output size": ({"generator": lambda: mlp([2, 8, 3], device="cpu")}, "sizes in 2"),
    "generator's input size": ({"generator": lambda: mlp([5, 8, 2], device="cpu")}, "generator .*size 2"),
    "critic's input size": (
        {"critic": lambda: mlp([3, 8, 1], scalar=True, device="cpu")}, "critic.*input size 2",
    ),
    "unknown objective": ({"objective": "wurst"}, "'wurst'.*" + ".*".join(OBJECTIVES)),
    "k": ({"k": 0}, "k=0.*at least 1"),
    "negative k": ({"k": -2}, "k=-2.*at least 1"),
    "k is a fraction": ({"k": 1.5}, "k=1.5.*whole number"),
    "steps": ({"steps": 0}, "steps=0.*at least 1"),
    "batch": ({"batch": 0}, "batch=0.*at least 1"),
    "batch norm under a penalty": (
        {"critic": normalised, "regularizers": [lambda *a: 0.0]}, "batch normalisation.*LayerNorm",
    ),
    "data beyond tanh": (
        {"generator": lambda: squashed("tanh"), "data": data.ring(radius=2.0)}, r"reaches \[-1, 1\].*rescale",
    ),
    "data below sigmoid": ({"generator": lambda: squashed("sigmoid")}, r"reaches \[0, 1\].*output="),
    "seed without members": (
        {"generator": lambda: players([0, 1])[0], "critic": lambda: players([0, 1])[1]},
        "generator has members.*same seeds",
    ),
    "members without seeds": ({"seed": [0, 1]}, "generator has members.*same seeds"),
    "plain layers cannot be members": (
        {"generator": lambda: nn.Linear(2, 2).double(), "critic": normalised, "seed": [0, 1]},
        "generator has members.*same seeds",
    ),
    "members of the critic": (
        {"critic": lambda: players([0, 1, 2])[1], "generator": lambda: players([0, 1])[0], "seed": [0, 1]},
        "critic has members",
    ),
    "dtype": ({"critic": lambda: players(dtype=torch.float32)[1]}, "same dtype="),
    "device": (
        {"critic": lambda: mlp([2, 8, 1], scalar=True, device="meta")}, "critic on meta.*same device=",
    ),
    "nothing to train": ({"generator": nn.Identity}, "Identity has no parameters"),
}  # fmt: skip


@pytest.mark.parametrize("changes, says", WRONG.values(), ids=WRONG)
def test_wrong_input_is_explained_before_the_first_step(changes, says):
    generator, critic = players()
    given = {
        "generator": generator,
        "critic": critic,
        "data": RING,
        "objective": "minimax",
        "steps": 1,
    }
    changes = {k: v() if k in ("generator", "critic") else v for k, v in changes.items()}
    with pytest.raises(ValueError, match="(?s)" + says):
        train(**given | changes, noise=NOISE)


def test_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="'cuda' is not available.*use device='auto'"):
        mlp([2, 2], device="cuda")
    with pytest.raises(ValueError, match="not available"):
        resolve_device("tpu")


def test_allowed_input_is_not_refused():
    train(squashed("tanh"), players()[1], data.uniform(2), NOISE, "minimax", 1)
    train(players()[0], normalised(), RING, NOISE, "minimax", 1)  # batch norm without a penalty
    generator = mlp([2, 784], output="sigmoid", dtype=torch.float32, device="cpu")
    critic = mlp([784, 1], scalar=True, dtype=torch.float32, device="cpu")
    train(generator, critic, images.digits("test"), NOISE, "minimax", 1)


def test_the_check_changes_neither_modes_nor_statistics_nor_random_streams():
    generator = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()
    critic = with_dropout()[1].eval()
    statistics = generator[1].running_mean.clone()
    streams = critic[0].get_extra_state()
    with pytest.raises(ValueError, match="critic"):
        train(generator, nn.Linear(2, 1).double(), RING, NOISE, "minimax", 1)
    assert generator.training and torch.equal(generator[1].running_mean, statistics)
    generator = mlp([2, 2], output="sigmoid", device="cpu")
    with pytest.raises(ValueError, match="rescale"):
        train(generator, critic, RING, NOISE, "minimax", 1)
    assert not critic.training and critic[0].get_extra_state() == streams


def test_sample_has_no_graph_and_leaves_the_mode_alone():
    network = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)).double()
    z = torch.randn(6, 2, dtype=torch.float64, generator=torch.manual_seed(0))
    for mode in (True, False):
        network.train(mode)
        first = sample(network, z)
        assert torch.equal(first, sample(network, z)) and not first.requires_grad
        assert network.training is mode
    assert not network[2].running_mean.any()
    network.train()
    with pytest.raises(RuntimeError):
        sample(network, z[:, :1])
    assert network.training, "also after an error"
