"""The ledger of claims is whole and fresh, and its page says what its files say."""

import json
from dataclasses import replace

import ledger_page
import nbformat
import numpy as np
import pytest

from gan_lib.claims import RECORDS, ClaimError, verify
from tools import ledger, mutate
from tools.notebooks import code_cells, read
from tools.paths import HTML, chapters

AGAIN = "Run `python -m tools ledger` (minutes for each chapter that changed)."


def test_runs_of_the_chapter_are_of_its_present_code(chapter):
    file = ledger.file_of(chapter)
    assert file.exists(), f"{file} is not there. {AGAIN}"
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert stored["hash"] == ledger.runs_hash(read(chapter)), f"{file} is stale. {AGAIN}"


def lacking(chapter, kind):
    return [key for *_, key, _ in ledger.missing(chapter, (kind,))]


def test_every_seed_of_the_chapter_was_run(chapter):
    todo = lacking(chapter, "seeds")
    assert not todo, f"no run yet with the seeds {', '.join(todo)}. {AGAIN}"


def test_every_bug_that_the_chapter_lists_was_planted(chapter):
    todo = lacking(chapter, "mutations")
    assert not todo, f"no run yet of {', '.join(todo)}. {AGAIN}"


def test_claims_of_the_chapter_hold_with_every_seed(chapter):
    stored = ledger.load(chapter)
    broken = {
        seed: run["stopped"] or [stored["claims"][i] for i in run["failed"] + run["missing"]]
        for seed, run in stored["seeds"].items()
        if run["failed"] or run["missing"] or run["stopped"]
    }
    assert not broken, f"a claim holds with all seeds 0 to 9, or says `at_least`: {broken}"


def test_every_bug_that_the_chapter_lists_breaks_a_claim(chapter):
    listed = mutate.listed(chapter)
    assert len(set(listed)) >= 2, "a chapter lists at least two mutations"
    runs = ledger.load(chapter)["mutations"]
    silent = [name for name in listed if name in runs and not runs[name]["failed"]]
    assert not silent, f"no claim noticed {silent}"


def claim(text, values, holds):
    return {"text": text, "measured": values, "holds": holds}


def test_outcome_tells_failed_from_never_reached():
    seen = [claim("b", [1.0, 4.0, 2.0], False), claim("a", [float("nan")], True)]
    found = ledger.outcome(["a", "b", "c"], seen, None)
    assert found["failed"] == [1] and found["missing"] == [2] and found["stopped"] is None
    assert found["medians"] == [None, 2.0, None]
    wild = ledger.outcome(
        ["a", "b"], [claim("a", [1, np.inf], True), claim("b", [3, 2, np.inf], True)], None
    )
    assert wild["medians"] == [None, 3.0]


def test_a_claim_that_fails_does_not_end_a_run_of_the_ledger():
    """The cell that a run begins with: recorded as failed, and the next line is reached."""
    import gan_lib.claims
    import gan_lib.film

    before, films = gan_lib.claims.verify, (gan_lib.film.film, gan_lib.film.slider)
    try:
        exec(ledger.FIRST_CELL, {})
        gan_lib.claims.verify("one is two", 1.0, equals=2.0)
        assert not RECORDS["one is two"].holds
    finally:
        gan_lib.claims.verify, (gan_lib.film.film, gan_lib.film.slider) = before, films
        RECORDS.pop("one is two", None)
    with pytest.raises(ClaimError):
        verify("one is two", 1.0, equals=2.0)
    RECORDS.pop("one is two")


def test_hash_forgets_ties_and_nothing_else():
    def notebook(code):
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])

    base = notebook('verify("x", x, above=0, statement="000-1-a", source="A")')
    tied = notebook('verify("x", x, above=0, statement=["000-1-b"], source="B")')
    looser = notebook('verify("x", x, above=-1, statement="000-1-a", source="A")')
    other = notebook('plot("x", x, above=0, source="A")')
    assert ledger.runs_hash(base) == ledger.runs_hash(tied)
    assert len({ledger.runs_hash(nb) for nb in (base, looser, other)}) == 3
    assert "statement" in code_cells(base)[0].source, "the notebook itself must not change"


def test_runs_of_another_edit_under_the_same_name_do_not_count(monkeypatch):
    path = chapters()[0]
    name = mutate.listed(path)[0]
    assert name in ledger.load(path)["mutations"]
    edited = replace(mutate.find(name), new="something else")
    monkeypatch.setitem(mutate.MUTATIONS, name, edited)
    assert name not in ledger.load(path)["mutations"]
    assert [key for *_, key, _ in ledger.missing(path, ("mutations",))] == [name]


def test_history_counts_the_runs_of_one_claim():
    def run(medians, failed=(), missing=()):
        return {
            "medians": medians,
            "failed": list(failed),
            "missing": list(missing),
            "stopped": None,
        }

    stored = {
        "seeds": {"0": run([1.0, 5.0]), "1": run([3.0, None], failed=[0], missing=[1])},
        "mutations": {"sign": run([9.0, 5.0], failed=[0]), "factor": run([1.0, 5.0])},
    }
    first, second = ledger_page.history(stored, 0), ledger_page.history(stored, 1)
    assert first == {
        "failed": ["1"],
        "runs": 2,
        "range": (1.0, 3.0),
        "broken": ["sign"],
        "tried": 2,
    }
    assert second == {"failed": [], "runs": 1, "range": (5.0, 5.0), "broken": [], "tried": 2}
    assert (
        ledger_page.breakers(first) == "sign"
        and ledger_page.breakers(second) == "none of 2 planted bugs"
    )
    untried = ledger_page.history(stored | {"mutations": {}}, 1)
    assert ledger_page.breakers(untried) == "no run with a bug reached it"


@pytest.mark.skipif(not HTML.exists(), reason="the site is not built: run `make book`")
def test_page_has_every_claim_of_the_chapter(chapter):
    from html import escape

    text = (HTML / "appendices" / "claims.html").read_text(encoding="utf-8")
    lacking = [c for c in ledger.load(chapter)["claims"] if f"<p>{escape(c)}</p>" not in text]
    assert not lacking, lacking
