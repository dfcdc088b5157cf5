"""The stored long run of the f-GAN paper's table: complete, and made by the code that is here now."""

import json
import math

import pytest
import torch

from benchmarks.f_gan_table import (
    GAMES,
    LOOK,
    MEMBERS,
    MIXTURE,
    bounds,
    first_steps,
    full_run,
)
from benchmarks.stored import RESULTS
from gan_lib.data import gaussian
from gan_lib.divergences import f_divergence

RUN = json.loads((RESULTS / "f_gan_table.json").read_text(encoding="utf-8"))
pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_stored_run_is_complete():
    assert RUN["games"] == list(GAMES)
    assert set(RUN["learned"]) == {"D_f", "μ", "σ"}
    for name, games in RUN["learned"].items():
        assert [len(game) for game in games] == [MEMBERS] * len(GAMES), name
        assert all(math.isfinite(v) for game in games for v in game), name


def test_the_first_hundredth_of_the_steps_repeats():
    steps = len(RUN["first_steps"]["critic_loss"])
    assert steps == RUN["steps"] // 100
    now = first_steps(RUN["seed"], steps, RUN["steps"])
    assert set(now) == set(RUN["first_steps"])
    for name, then in RUN["first_steps"].items():
        then, again = torch.tensor(then), torch.tensor(now[name])  # (steps or looks, games)
        moved = then.amax(0) - then.amin(0)
        assert ((again - then).abs() <= 0.02 * moved).all(), name


def test_stored_bounds_stay_below_the_divergence():
    """Part 1 of the variational theorem, for each stored critic and fit."""
    for i, (name, row) in enumerate(GAMES.items()):
        numbers = zip(*(RUN["learned"][key][i] for key in ("D_f", "μ", "σ")), strict=True)
        for bound, mu, sigma in numbers:
            D = f_divergence(row, MIXTURE, gaussian(mu, sigma), -35, 35)
            assert bound < D + 1e-5, name  # five digits are stored


def test_a_perfect_critic_is_given_the_divergence():
    class Perfect(torch.nn.Module):
        """The best scores of all games, member for member, against one Gaussian."""

        def forward(self, x):
            log_u = (MIXTURE.log_prob(x.double()) - gaussian(1.0, 1.8).log_prob(x.double()))[
                ::MEMBERS
            ]
            best = [
                r if name == "Jeffrey, other layer" else row.optimal_score(r)
                for (name, row), r in zip(GAMES.items(), log_u, strict=True)
            ]
            return torch.stack(best).repeat_interleave(MEMBERS, 0)

    fits = torch.tensor([[1.0, 1.8]], dtype=torch.float64).expand(len(GAMES) * MEMBERS, -1)
    found = bounds(Perfect(), fits).reshape(len(GAMES), MEMBERS)
    for row, value in zip(GAMES.values(), found, strict=True):
        D = f_divergence(row, MIXTURE, gaussian(1.0, 1.8), -35, 35)
        torch.testing.assert_close(value, torch.full_like(value, D), rtol=0, atol=1e-5)


def test_the_whole_script_at_a_tiny_scale():
    run = full_run(2 * LOOK, 0)
    assert set(run) < set(RUN)
    assert {k: len(v) for k, v in run["learned"].items()} == {k: len(GAMES) for k in RUN["learned"]}
