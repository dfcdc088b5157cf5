"""`benchmarks.gpu_smoke` on a CPU, where it is only slow."""

import json

import papermill
import pytest
import torch

from benchmarks import gpu_smoke
from gan_lib.critics import CRITICS
from gan_lib.objectives import OBJECTIVES, Objective
from gan_lib.regularizers import REGULARIZERS
from tools import runner
from tools.paths import chapters


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_smoke_run_trains_everything_and_writes_it_down(threads, tmp_path, capsys):
    arguments = ["--device", "cpu", "--steps", "1", "--out", str(tmp_path / "smoke.json")]
    assert gpu_smoke.main(arguments) == 0, capsys.readouterr().out
    record = json.loads((tmp_path / "smoke.json").read_text())
    assert record["failures"] == [] and record["date"] and "cpu" in record["hardware"]
    assert record["command"] == " ".join(["python -m benchmarks.gpu_smoke", *arguments])
    names = [f"objective: {n}" for n in OBJECTIVES] + [f"regulariser: {n}" for n in REGULARIZERS]
    table, both = record["milliseconds_per_step"], ("ring", "digits")
    for name in names:
        assert set(table[name]) == {f"{r}, {d}" for r in both for d in ("float32", "bfloat16")}
    for name in CRITICS:
        assert set(table[f"critic: {name}"]) == {"ring, float32", "ring, bfloat16"}
    assert all(time > 0 for row in table.values() for time in row.values())


def test_smoke_run_names_what_failed_and_goes_on(threads, monkeypatch, capsys):
    broken = Objective("broken", lambda r, f: r.mean(-1) / 0, lambda r, f: f.mean(-1), "")
    monkeypatch.setitem(OBJECTIVES, "broken", broken)
    only = "objective: (broken|minimax)$"
    assert gpu_smoke.main(["--device", "cpu", "--steps", "1", "--only", only]) == 1
    out = capsys.readouterr().out
    assert "objective: broken, digits, bfloat16: TrainingDiverged" in out
    assert out.count("failed") == 4 and "minimax, " not in out


def test_smoke_run_gives_chapters_the_parameters_they_have(monkeypatch, capsys):
    asked = []
    fine = runner.Result(None)
    monkeypatch.setattr(runner, "run", lambda path, parameters: asked.append(parameters) or fine)
    seconds, failures = gpu_smoke.run_chapters(torch.device("cpu"))
    found = chapters()
    assert len(seconds) == len(asked) == len(found) and failures == []
    for path, parameters in zip(found, asked, strict=True):
        assert parameters == {"scale": "full", "device": "cpu"}
        assert set(parameters) <= set(papermill.inspect_notebook(str(path))), path
