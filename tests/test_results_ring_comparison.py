"""The stored comparison on the ring: complete, and made by the code that is in the repository now."""

import json
import math

import pytest
import torch

from benchmarks.ring_comparison import (
    FIVE,
    LOOKS,
    MEMBERS,
    METHODS,
    RING,
    SCORES,
    first_steps,
    full_run,
    judge,
    plain,
    play,
    step_times,
    watched,
    with_dropout,
)
from benchmarks.stored import RESULTS
from gan_lib.rng import member_seeds

RUN = json.loads((RESULTS / "ring_comparison.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", METHODS)
def test_the_stored_run_is_complete(name):
    run = RUN["runs"][name]
    assert run["at"][0] == 0 and run["at"][-1] == RUN["steps"] and len(run["at"]) > LOOKS
    for score in SCORES:
        assert [len(seen) for seen in run[score]] == [MEMBERS] * len(run["at"]), score
        assert all(math.isfinite(v) for seen in run[score] for v in seen), score
    assert RUN["ms_per_step"][name] > 0
    assert run["k"] == METHODS[name].options.get("k", 1)


def test_nothing_else_is_stored():
    assert set(RUN["runs"]) == set(RUN["ms_per_step"]) == set(RUN["first_steps"]) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_first_steps_repeat(name):
    """The first hundredth of the run, within 2 % of what the losses moved."""
    stored = RUN["first_steps"][name]
    steps = len(stored["critic_loss"])
    assert steps >= RUN["steps"] // 100
    history = play(name, steps, member_seeds(RUN["seed"], 2))[1]
    for loss, then in stored.items():
        then, now = torch.tensor(then, dtype=torch.float64), getattr(history, loss)
        moved = then.amax(0) - then.amin(0)
        assert ((now - then).abs() <= 0.02 * moved).all(), loss


def test_five_critic_steps_only_for_the_wasserstein_ones():
    five = {name for name, method in METHODS.items() if method.options.get("k", 1) == FIVE["k"]}
    assert five == {name for name, method in METHODS.items() if method.objective == "wasserstein"}


def test_dropout_is_all_that_the_consistency_critic_adds():
    seeds, x = [3, 4], torch.ones(2, 5, 2, dtype=torch.float64)
    dropping = with_dropout(seeds)
    assert not torch.equal(dropping(x), dropping(x))
    torch.testing.assert_close(dropping.eval()(x), plain(seeds)(x))


def test_judge_of_the_data():
    seen = judge(RING.means.expand(2, 8, 2))
    assert seen == {"modes": [8, 8], "high_quality": [1, 1], "reverse_kl": [0, 0]}


def test_a_pair_of_seeds_is_a_part_of_the_ensemble():
    """What the book plays again are two of the eight."""
    pair, eight = (watched("GAN", 5, member_seeds(1, n), 5, 50)[1] for n in (2, MEMBERS))
    torch.testing.assert_close(pair, eight[:2], rtol=0, atol=1e-12)


def test_the_whole_script_at_a_tiny_scale():
    run = full_run(2, 0)
    assert set(run) < set(RUN)
    assert set(run["runs"]) == set(METHODS)
    assert set(run["runs"]["GAN"]) == set(RUN["runs"]["GAN"])
    assert set(step_times(1, 1)) == set(first_steps(0, 1)) == set(METHODS)
