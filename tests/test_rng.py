"""Random streams: repeatable, apart from each other, and the same for a member as for a lone run."""

import pytest
import torch
from scipy import stats

from gan_lib.rng import Streams, member_seeds, resolve_device

DRAWS = {
    "normal": lambda rng: rng.normal(50, 3),
    "uniform": lambda rng: rng.uniform(50, 3),
    "integers": lambda rng: rng.integers(10**6, 50, 3),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_members_draw_what_lone_streams_draw(draw):
    together = Streams([5, 3, 8], "noise")
    first, second = draw(together), draw(together)
    for i, seed in enumerate([5, 3, 8]):
        lone = Streams(seed, "noise")
        assert torch.equal(first[i], draw(lone))
        assert torch.equal(second[i], draw(lone))


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_name_and_seed_both_choose_the_stream(draw):
    streams = [Streams(s, n) for s in (0, 1) for n in ("noise", "data")] + [Streams(0, "1/noise")]
    drawn = [draw(rng).flatten() for rng in streams]
    for i, a in enumerate(drawn):
        for b in drawn[:i]:
            assert (a == b).double().mean() < 0.1


@pytest.mark.parametrize("seed", [0, [1, 2]])
def test_state_continues_the_stream(seed):
    rng = Streams(seed, "noise")
    rng.normal(7)
    state = rng.state()
    expected = rng.normal(40), rng.uniform(3), rng.integers(9, 30)
    other = Streams(seed, "another")
    other.load(state)
    for a, b in zip(
        expected, (other.normal(40), other.uniform(3), other.integers(9, 30)), strict=True
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shape, draws", [((), 200), ((64, 2), 70), ((40, 1000), 3)])
def test_blocks_do_not_show(shape, draws):
    """Many small draws, stopped and continued at every place of a block, are one sequence."""
    whole, stopped = Streams([1, 2], "x"), Streams([1, 2], "x")
    for _ in range(draws):
        rng = Streams([1, 2], "x")
        rng.load(stopped.state())
        assert torch.equal(whole.normal(*shape), rng.normal(*shape))
        stopped = rng


def test_no_number_comes_twice_within_or_across_blocks():
    rng = Streams(0, "x")
    drawn = torch.stack([rng.uniform(5) for _ in range(300)])
    assert len(drawn.unique()) == drawn.numel()


def test_state_of_other_members_is_refused():
    with pytest.raises(ValueError, match="resume with the seeds"):
        Streams([1, 2, 3], "noise").load(Streams([1, 2], "noise").state())


def test_no_seed_is_refused():
    with pytest.raises(ValueError, match="at least one seed"):
        Streams([], "noise")


def test_float32_draws_are_rounded_float64_draws():
    wide, narrow = Streams(0, "x").normal(100), Streams(0, "x").normal(100, dtype=torch.float32)
    assert narrow.dtype == torch.float32
    assert torch.equal(wide.float(), narrow)


@pytest.mark.parametrize("cdf, draw", [("norm", "normal"), ("uniform", "uniform")])
def test_distribution(cdf, draw):
    x = getattr(Streams(0, "x"), draw)(20_000).numpy()
    assert stats.kstest(x, cdf).pvalue > 1e-3


def test_integers_are_uniform_and_below_high():
    x = Streams(0, "x").integers(7, 20_000)
    counts = x.bincount().numpy()
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Streams([0, 1], "x").normal(5)
    assert torch.equal(before, torch.get_rng_state())


def test_member_seeds_are_disjoint():
    seeds = [s for seed in range(10) for s in member_seeds(seed, 100)]
    assert len(set(seeds)) == 1000


@pytest.mark.parametrize("device", ["cuda", "xpu", "gpu", "mps"])
def test_absent_device_names_what_is_here(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"'{device}' is not available.*'auto' or one of cpu"):
        resolve_device(device)


def test_auto_takes_the_best_device_for_the_dtype(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto", torch.float32).type == "mps"
    assert resolve_device("auto", torch.float64).type == "cpu", "MPS has no float64"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto").type == "cuda"
