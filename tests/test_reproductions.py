"""The table of published results: complete, tied to recorded numbers, and judged by arithmetic."""

import json
import math

import pytest
import reproductions_page as page

from tools.paths import HTML, ROOT

ENTRIES = page.load()
CHECKS = [(entry["row"], check) for entry in ENTRIES for check in entry.get("checks", [])]
RULES = ("tolerance", "at_least", "at_most")
PLAIN = {"row": 0, "title": "t", "reference": "r", "chapter": "c", "protocol": "p"}


def test_all_ten_results_are_there():
    assert [entry["row"] for entry in ENTRIES] == list(range(1, 11))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"row {e['row']}")
def test_entry_is_well_formed(entry):
    assert set(PLAIN) <= set(entry) <= set(PLAIN) | {"checks", "reduced"}
    assert "{cite:t}" in entry["reference"] or "equation" in entry["reference"]
    assert len(entry["protocol"]) > 40
    # A result is open exactly as long as its chapter does not exist.
    assert ("checks" in entry) == page.notebook(entry["chapter"]).exists()


@pytest.mark.parametrize("row, check", CHECKS, ids=[f"{r}: {c['quantity']}" for r, c in CHECKS])
def test_check_is_tied_to_recorded_numbers(row, check):
    assert set(check) <= {"quantity", "published", "difference", "ours", *RULES}
    assert sum(rule in check for rule in RULES) == 1
    assert ("published" in check) or "tolerance" not in check
    assert set(check["ours"]) <= {
        "chapter",
        "claim",
        "take",
        "results",
        "path",
    }  # no number of ours
    values = page.numbers(check, page.measured(check["ours"]))
    assert values and all(math.isfinite(x) for x in values)
    assert len(values) < 64, "a record keeps 64 values at most, so this one may be cut"


def outcome(check, values, **fields):
    entry = PLAIN | {"checks": [check]} | fields
    return page.verdict(entry, [page.within(check, page.numbers(check, values))])


@pytest.mark.parametrize(
    "check, right, wrong",
    [
        ({"published": 1.5, "tolerance": 0.1}, [1.45, 1.59], [1.45, 1.61]),
        ({"published": [1.0, 2.0], "tolerance": 0.1}, [1.05, 1.95], [1.95, 1.05]),
        ({"published": [1.0, 2.0], "difference": True, "tolerance": 0.1}, [0.05, -0.05], [0, 0.2]),
        ({"published": 225, "at_least": 205}, [206], [204]),
        ({"at_most": 0.15}, [0.1], [0.2]),
        ({"published": 0, "tolerance": 1}, [0.5], [math.nan]),
    ],
)
def test_the_verdict_follows_the_numbers(check, right, wrong):
    assert outcome(check, right) == "reproduced"
    assert outcome(check, wrong).startswith("not reproduced")
    assert outcome(check, right, reduced="short").startswith("reduced run, 1 of 1")
    assert outcome(check, wrong, reduced="short").startswith("reduced run, 0 of 1")
    assert page.verdict(PLAIN, []) == "open"


def test_a_changed_published_number_changes_the_page():
    entry = json.loads(json.dumps(ENTRIES[0]))
    assert page.section(entry)[0] == "reproduced"
    entry["checks"][0]["difference"] = False
    assert page.section(entry)[0] == "not reproduced, 2 of 3 checks within tolerance"


def test_a_difference_belongs_to_the_numbers_that_the_chapter_has():
    entry = json.loads(json.dumps(ENTRIES[0]))
    entry["checks"][0]["published"][0] += 0.01  # ours minus theirs would not notice
    with pytest.raises(LookupError, match="other published numbers"):
        page.section(entry)
    assert all(page.quoted(check) for _, check in CHECKS if check.get("difference"))


def test_a_claim_that_is_gone_is_an_error():
    ours = CHECKS[0][1]["ours"] | {"claim": "no such claim"}
    with pytest.raises(LookupError, match="no such claim"):
        page.measured(ours)


def test_the_words_on_the_long_run_fit_its_file():
    runs = json.loads((ROOT / "results" / "digits_full.json").read_text(encoding="utf-8"))["runs"]
    ninth = next(entry for entry in ENTRIES if entry["row"] == 9)
    assert all(ninth["reduced"].startswith(f"{run['epochs']} of ") for run in runs)


def test_numbers_are_written_with_the_digits_that_matter():
    loose, tight = {"tolerance": 0.03}, {"tolerance": 1e-12}
    assert page.text_of([0.01234, -0.5], page.format_of(loose)) == "0.012, −0.500"
    assert page.text_of([0.0, -1.1e-16], page.format_of(tight)) == "0, −1e−16"
    assert page.text_of([6.0] * 5, page.format_of({"tolerance": 0.3})) == "6.00 (5 values)"
    assert page.text_of([1, 2, 3, 4, 5, 6.5], page.format_of({"at_least": 3})) == (
        "1 to 6.5 (6 values)"
    )


def test_the_built_page_shows_every_verdict():
    built = HTML / f"{page.PAGE}.html"
    if not built.exists():
        pytest.skip("the site is not built: run `make book`")
    text = built.read_text(encoding="utf-8")
    assert page.MARK not in text
    for entry in ENTRIES:
        assert f'id="reproduction-{entry["row"]}"' in text
        found = page.section(entry)[0]
        assert f"<strong>{found[0].upper()}{found[1:]}.</strong>" in text
