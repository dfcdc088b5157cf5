"""What happens beside training: when it is called, that it changes nothing, and that it is quiet."""

import numpy as np
import pytest
import torch
from torch import nn

from gan_lib import callbacks, data
from gan_lib.callbacks import Anneal, Checkpoint, Metric, Progress, Snapshots
from gan_lib.networks import maxout_mlp, mlp
from gan_lib.rng import Streams
from gan_lib.training import sample, sgd, train

NOISE, RING = data.normal(2), data.ring()
Z = NOISE.sample(5, Streams(0, "look"))


def players(seed=0):
    generator = mlp([2, 4, 2], seed, device="cpu")
    return generator, maxout_mlp([2, 4, 1], 2, [0.5, 0.5], seed, dtype=torch.float64, device="cpu")


def run(*calls, steps=10, nets=None, **options):
    nets = nets or players()
    history = train(*nets, RING, NOISE, "minimax", steps, batch=8, callbacks=calls, **options)
    return nets, history


class Note:
    """Notes the steps at which it is called."""

    def __init__(self, every):
        self.every, self.steps = every, []

    def __call__(self, run):
        self.steps.append(run.step)


@pytest.mark.parametrize(
    "every, steps", [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (3, [0, 3, 6, 7]), (7, [0, 7]), (100, [0, 7])]
)
def test_called_at_the_start_at_multiples_and_at_the_end_once_each(every, steps):
    note = Note(every)
    run(note, steps=7)
    assert note.steps == steps


def test_looking_changes_nothing_bitwise():
    z = RING.sample(64, Streams(0, "look"))
    looks = [Snapshots(Z, 1), Metric("m", lambda g, c: sample(c, z).mean(), 1), Progress()]
    results = []
    for calls in ([], looks):
        nets, history = run(*calls)
        state = [t for n in nets for t in n.parameters()]
        results.append([*state, history.critic_loss, history.generator_loss])
        assert all(network.training for network in nets)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_snapshots_show_the_same_noise_in_evaluation_mode(training):
    generator = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).double().train(training)
    start = generator[0](Z).detach()
    nets, history = run(Snapshots(Z, 4), nets=(generator, players()[1]))
    assert [step for step, _ in history.snapshots] == [0, 4, 8, 10]
    torch.testing.assert_close(history.snapshots[0][1], start)
    torch.testing.assert_close(history.snapshots[-1][1], generator[0](Z).detach())
    assert not history.snapshots[0][1].requires_grad
    assert generator.training is training


def test_snapshots_are_copies():
    _, history = run(Snapshots(Z, 1))
    first, last = history.snapshots[0][1], history.snapshots[-1][1]
    assert not torch.equal(first, last)


def test_snapshots_of_an_ensemble():
    z = NOISE.sample(5, Streams([0, 1], "look"))
    _, history = run(Snapshots(z, 5), nets=players([0, 1]), seed=[0, 1])
    assert history.snapshots[0][1].shape == (2, 5, 2)
    lone = dict(run(Snapshots(z[1], 5), nets=players(1), seed=1)[1].snapshots)
    for step, x in history.snapshots:
        torch.testing.assert_close(x[1], lone[step])


def test_metric_sees_both_players_without_gradients():
    seen = []

    def fn(generator, critic):
        seen.append((generator, critic, torch.is_grad_enabled()))
        return len(seen)

    nets, history = run(Metric("count", fn, 5), Metric("other", lambda g, c: 0.0, 10))
    assert history.metrics == {"count": [(0, 1), (5, 2), (10, 3)], "other": [(0, 0.0), (10, 0.0)]}
    assert all(g is nets[0] and c is nets[1] and not grad for g, c, grad in seen)


@pytest.mark.parametrize("measured", [1.5, np.float64(1.5), np.float32(1.5), torch.tensor(1.5)])
def test_snapshots_and_metrics_survive_a_checkpoint(measured, tmp_path):
    """Whatever order the callbacks are listed in."""
    path = tmp_path / "run"

    class Interrupt:
        every = 7

        def __call__(self, run):
            if run.step == 7:
                raise KeyboardInterrupt

    calls = [Checkpoint(path, 5), Snapshots(Z, 5), Metric("m", lambda g, c: measured, 1)]
    with pytest.raises(KeyboardInterrupt):
        run(*calls, Interrupt(), resume=path)
    _, history = run(*calls, resume=path)
    assert [step for step, _ in history.snapshots] == [0, 5, 10]
    assert [(step, float(m)) for step, m in history.metrics["m"]] == [(i, 1.5) for i in range(11)]
    _, whole = run(Snapshots(Z, 5))
    for (_, a), (_, b) in zip(history.snapshots, whole.snapshots, strict=True):
        assert torch.equal(a, b)


def test_metric_arrays_survive_a_checkpoint(tmp_path):
    calls = [Checkpoint(tmp_path / "run", 5), Metric("m", lambda g, c: np.arange(3.0), 5)]
    run(*calls, steps=5)
    _, history = run(*calls, resume=tmp_path / "run")
    assert [m.tolist() for _, m in history.metrics["m"]] == [[0, 1, 2]] * 3


def test_checkpoint_is_written_at_its_steps_only(tmp_path):
    path, found = tmp_path / "run", []

    class Look(Note):
        def __call__(self, run):
            found.append(
                torch.load(path, weights_only=True)["history"]["step"] if path.exists() else None
            )

    run(Look(1), Checkpoint(path, 4), steps=10)
    # Looks happen before the checkpoint of the same step.
    assert found == [None, None, None, None, None, 4, 4, 4, 4, 8, 8]
    assert torch.load(path, weights_only=True)["history"]["step"] == 10


def test_anneal_sets_options_of_both_optimisers_from_step_zero():
    seen = []

    class Look(Note):
        def __call__(self, run):
            groups = [g for o in run.optimizers.values() for g in o.param_groups]
            seen.append([(g["lr"], g["momentum"]) for g in groups])

    schedules = Anneal(lr=lambda t: 0.1 * 0.5**t, momentum=lambda t: 0.1 * t)
    run(schedules, Look(1), steps=3, optimizer=sgd(9.0))
    assert seen == [[(0.1 * 0.5**t, 0.1 * t)] * 2 for t in range(4)]


def test_annealed_rate_is_the_one_that_is_used():
    (annealed, _), _ = run(Anneal(lr=lambda t: 0.1 if t < 5 else 0.0), steps=10, optimizer=sgd(9.0))
    (plain, _), _ = run(steps=5, optimizer=sgd(0.1))
    for a, b in zip(annealed.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_anneal_names_an_option_that_is_not_there():
    with pytest.raises(ValueError, match="no option 'momentum'"):
        run(Anneal(momentum=lambda t: 0.5))


def test_progress_is_silent_when_told(monkeypatch, capfd):
    monkeypatch.setenv("GAN_PROGRESS", "0")
    run(Progress(every=1))
    assert capfd.readouterr() == ("", "")


def test_progress_counts_to_the_end_and_can_be_used_again(monkeypatch, capfd):
    monkeypatch.delenv("GAN_PROGRESS", raising=False)
    bars = []

    class Bar(callbacks.tqdm):
        def __init__(self, *args, **kwargs):
            assert kwargs["delay"] == 2, "short runs show no bar"
            super().__init__(*args, **kwargs | {"delay": 0})
            bars.append(self)

    monkeypatch.setattr(callbacks, "tqdm", Bar)
    progress = Progress("practice", every=3)
    run(progress)
    run(progress, steps=4)
    assert [(bar.n, bar.total, bar.disable) for bar in bars] == [(10, 10, True), (4, 4, True)]
    shown = capfd.readouterr().err
    assert "practice" in shown and "10/10" in shown and "4/4" in shown
