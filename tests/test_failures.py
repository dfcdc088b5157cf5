"""The last lines of a failed run: each failure with chapter, claim, expected, measured and a command."""

import os
import shutil
import subprocess
import sys

import nbformat

from tools import failures
from tools.paths import ROOT

CELLS = (
    ("from gan_lib.claims import verify", ""),
    ("verify('two is large', 2.0, above=3.0)", ""),
    ("print('loss 0.5001')", "loss 0.5000\n"),
)
UNIT = """\
import pytest

from gan_lib.claims import verify
from tools import failures


def test_unit():
    verify("one is zero", 1.0, equals=0.0)


def test_chapter():
    details = failures.what_stopped("cell 3 ('x'): ClaimError: a: b: expected above 3, measured 2")
    pytest.fail(failures.explain("game/minimax, seed 4", details, "make me"), pytrace=False)


@pytest.mark.parametrize("n", range(MANY))
def test_many(n):
    assert n == -1
"""


def run(folder, *arguments):
    """Run pytest with the book's own conftest in a folder; returns its lines without colours."""
    shutil.copy(ROOT / "conftest.py", folder)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-ra'\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return result.stdout.splitlines()


def blocks(lines):
    """The lines of the summary, split at `[1]`, `[2]`, ...; they must be the last ones."""
    start = max(i for i, line in enumerate(lines) if line.startswith("====="))
    assert "how to see it again" in lines[start]
    found = []
    for line in lines[start + 1 :]:
        if line.startswith("["):
            found.append([])
            line = line.partition("] ")[2]
        found[-1].append(line.strip())
    return found


def test_unit_and_chapter_failures_end_in_a_summary(tmp_path):
    (tmp_path / "test_x.py").write_text(UNIT.replace("MANY", "1"))
    unit, chapter, many = blocks(run(tmp_path, "-n", "1"))
    assert unit[:4] == [
        "test      test_x.py::test_unit",
        "claim     one is zero",
        "expected  = 0 exactly",
        "measured  1",
    ]
    assert unit[4] == "again     .venv/bin/python -m pytest 'test_x.py::test_unit'"
    assert chapter == [
        "chapter   game/minimax, seed 4",
        "claim     a: b",
        "expected  above 3",
        "measured  2",
        "again     make me",
    ]
    assert many[1].startswith("stopped   assert 0 == -1")


def test_at_most_ten_failures_are_told(tmp_path):
    (tmp_path / "test_x.py").write_text(UNIT.replace("MANY", "30"))
    lines = run(tmp_path)
    assert lines[-1] == "and 22 more failures, listed above"
    assert len(blocks(lines[:-1])) == failures.FAILURES
    assert all(len(block) <= failures.LINES for block in blocks(lines[:-1]))


def test_cells_of_a_notebook_are_one_failure(tmp_path):
    nb = nbformat.v4.new_notebook()
    for count, (source, text) in enumerate(CELLS, 1):
        outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []
        cell = nbformat.v4.new_code_cell(source, execution_count=count, outputs=outputs)
        nb.cells.append(cell)
    (tmp_path / "book" / "game").mkdir(parents=True)
    nbformat.write(nb, tmp_path / "book" / "game" / "broken.ipynb")
    ((*first, again),) = blocks(run(tmp_path, "--nbval", "--nbval-current-env", "book"))
    assert first == [
        "chapter   game/broken, Cell 1, run as committed",
        "claim     two is large",
        "expected  above 3",
        "measured  2",
        "also      1 more cells of this notebook",
    ]
    assert again.endswith("book/game/broken.ipynb") and "--nbval-sanitize-with" in again


def test_an_output_that_differs_is_shown_on_both_sides():
    text = (
        "Notebook cell execution failed\nCell 2: Cell outputs differ\n\nInput:\nprint(loss)\n\n"
        "Traceback:\n mismatch 'stdout'\n\n  - loss 0.5001\n  ?           ^\n  + loss 0.5000\n"
    )
    lines = failures._cell("book/game/x.ipynb::Cell 2", text)
    assert lines[1:4] == [
        "claim     the output of the cell that begins 'print(loss)' stays the same",
        "expected  loss 0.5000",
        "measured  loss 0.5001",
    ]


def test_a_run_that_passes_has_no_summary(tmp_path):
    (tmp_path / "test_x.py").write_text("def test_good():\n    pass\n")
    assert not any("how to see it again" in line for line in run(tmp_path))
