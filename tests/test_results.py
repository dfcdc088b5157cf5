"""The stored results: complete, and made by the code that is in the repository now."""

import json
import math

import pytest

from benchmarks.digits_full import first_steps, full_run
from benchmarks.stored import RESULTS

STORED = RESULTS / "digits_full.json"
RUNS = json.loads(STORED.read_text(encoding="utf-8"))["runs"]
ONE_RUN = ("f_gan_table", "ring_comparison", "which_divergence")  # files with a single run
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", ONE_RUN)
def test_the_stored_run_says_where_it_comes_from(name):
    run = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert run["command"].endswith(f"--steps {run['steps']} --seed {run['seed']}")
    for key in ("date", "hardware", "cpu_minutes"):
        assert run[key], f"no {key}"


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"seed {run['seed']}")
def test_stored_runs_say_where_they_come_from(run):
    assert run["command"].endswith(f"--epochs {run['epochs']} --seed {run['seed']}")
    for key in ("date", "hardware", "cpu_minutes"):
        assert run[key], f"seed {run['seed']} has no {key}"
    assert [row[0] for row in run["parzen_per_epoch"]] == list(range(run["epochs"] + 1))
    assert all(math.isfinite(x) for row in run["parzen_per_epoch"] for x in row)


def test_stored_runs_differ():
    assert len({run["parzen_10000_test_images"][0] for run in RUNS}) == len(RUNS)


def test_first_steps_repeat():
    # The losses leave log 4 slowly: they must agree to a small share of what they have moved.
    run = RUNS[0]
    now = first_steps(run["seed"], len(run["first_steps"]["critic_loss"]))
    for name, then in run["first_steps"].items():
        moved = max(then) - min(then)
        assert now[name] == pytest.approx(then, rel=0, abs=0.02 * moved), name


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    """The whole script at a tiny scale, on the digits instead of MNIST."""
    monkeypatch.setattr("benchmarks.digits_full.EPOCH", 2)
    monkeypatch.setattr("benchmarks.digits_full.images.mnist", small)
    full_run(1, 0, tmp_path / "run.pt")
    resumed = full_run(2, 0, tmp_path / "run.pt")
    straight = full_run(2, 0, tmp_path / "other.pt")
    for key in ("parzen_10000_test_images", "parzen_per_epoch", "samples"):
        assert resumed[key] == straight[key], key


def small(split):
    from gan_lib.images import Images, digits

    images = digits(split)
    return Images(images.x[:100], images.y[:100])
