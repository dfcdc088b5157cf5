"""What is recorded when a chapter is executed, and the table that is made of it."""

import json
import re
import sys
from types import SimpleNamespace

import pytest
import times

from tools import execute
from tools.paths import BOOK, TIMES, chapter_name, chapters

SPENT = {"wall_seconds": 31.4, "cpu_seconds": 28.6}


def row(name, wall, cpu, hardware="a machine"):
    """A chapter as `times.measured` gives it."""
    record = {"date": "2026-01-02", "hardware": hardware, "processes": 2} if wall else None
    return {"name": name, "wall": wall, "cpu": cpu, "claims": 5, "size": 100.0, "record": record}


def test_the_newest_execution_of_a_chapter_is_kept(tmp_path):
    file = tmp_path / "times.json"
    for path, spent in ((BOOK / "b/x.ipynb", SPENT), (BOOK / "a/y.ipynb", SPENT)):
        execute.record(path, spent, 2, file)
    execute.record(BOOK / "b/x.ipynb", SPENT | {"wall_seconds": 7.0}, 1, file)
    stored = json.loads(file.read_text())
    assert list(stored) == ["a/y", "b/x"]
    assert stored["b/x"]["wall_seconds"] == 7.0 and stored["b/x"]["processes"] == 1
    assert stored["a/y"]["cpu_seconds"] == 28.6 and "thread" in stored["a/y"]["hardware"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", stored["a/y"]["date"])


def test_a_notebook_outside_the_book_is_not_recorded(tmp_path):
    execute.record(tmp_path / "x.ipynb", SPENT, 1, tmp_path / "times.json")
    assert not (tmp_path / "times.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not count children")
def test_seconds_of_a_process_are_counted_when_it_has_ended():
    import subprocess

    before = execute.children_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"])
    assert 0.4 < execute.children_seconds() - before < 5


def test_the_table_has_a_row_for_each_chapter_and_sums_what_is_known():
    lines = times.table([row("a/x", 30.0, 20.0), row("a/y", 50.0, 45.0), row("a/z", None, None)])
    assert len(lines) == 2 + 3 + 2
    assert lines[4].startswith("| [](/a/z.ipynb) | none | none | 5 | 100 |")
    assert lines[5].startswith("| **Median** | 40 | 32 | 5 | 100 |")
    assert lines[6].startswith("| **Sum** | 80 | 65 | 15 | 300 |")


def test_the_budget_is_beside_what_was_measured():
    text = " ".join(times.budget([row("a/x", 30.0, 90.0), row("a/y", 50.0, 90.0)]))
    assert "median of 35 seconds and 20 core-minutes" in text
    assert "40 seconds" in text and "3.0 minutes" in text and "2 chapters on a machine" in text
    assert times.budget([row("a/x", None, None)]) == [
        "No chapter has been executed with its time recorded."
    ]


def test_sizes_are_those_of_the_finished_pages_with_their_pictures(tmp_path):
    for name, text in (("a/x", "<p>"), ("a/y", '<img alt="" src="../_images/p.png">')):
        page = tmp_path / f"{name}.html"
        page.parent.mkdir(exist_ok=True)
        page.write_text(text.ljust(2000))
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "p.png").write_bytes(b"x" * 4000)
    table = tmp_path / "appendices" / "times.html"
    table.parent.mkdir()
    table.write_text("".join(times.SIZE.format(n) for n in ("a/x", "a/y", "*median", "*sum")))
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(format="html"))
    for _ in range(2):  # a second build finds the numbers of the first one in the page
        times.fill_sizes(app, None)
        assert re.findall(r">([^<]+)<", table.read_text()) == ["2", "6", "4", "8"]


def test_only_chapters_have_records():
    known = {chapter_name(path) for path in chapters()}
    assert set(json.loads(TIMES.read_text(encoding="utf-8"))) <= known
