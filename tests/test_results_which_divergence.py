"""The stored f-GANs on digits: complete, and made by the code that is in the repository now."""

import json
import math

import pytest
import torch

from benchmarks.stored import RESULTS
from benchmarks.which_divergence import GAMES, MEMBERS, enlarge, first_steps, full_run, pool

RUN = json.loads((RESULTS / "which_divergence.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_stored_run_is_complete():
    assert [tuple(game) for game in RUN["games"]] == GAMES
    for name, games in RUN["scores"].items():
        assert [len(game) for game in games] == [MEMBERS] * len(GAMES), name
        assert all(math.isfinite(v) for game in games for v in game), name


def test_first_steps_repeat():
    now = first_steps(RUN["seed"], len(RUN["first_steps"]["critic_loss"]))
    for name, then in RUN["first_steps"].items():
        then, again = torch.tensor(then), torch.tensor(now[name])  # (steps, games)
        moved = then.amax(0) - then.amin(0)
        assert ((again - then).abs() <= 0.02 * moved).all(), name


def test_games_share_their_seeds_and_nothing_else():
    """Two games with the same critic's row start from the same networks and data."""
    first = torch.tensor(first_steps(3, 1)["critic_loss"])[0]
    rows = len(GAMES) // 2
    torch.testing.assert_close(first[:rows], first[rows:])
    assert len(first[:rows].unique()) == rows


def test_pool_and_enlarge_undo_each_other():
    x = torch.rand(2, 3, 196)
    torch.testing.assert_close(pool(enlarge(x)), x)
    block = torch.zeros(1, 28, 28)
    block[0, 2:4, 4:6] = 1.0
    assert pool(block.reshape(1, 784)).reshape(14, 14).nonzero().tolist() == [[1, 2]]


def test_the_whole_script_at_a_tiny_scale():
    run = full_run(2, 0, m=20)
    assert set(run) < set(RUN)
    assert {k: len(v) for k, v in run["scores"].items()} == {k: len(GAMES) for k in RUN["scores"]}
