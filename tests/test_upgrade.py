"""The upgrade report: pins, comparison of claims, and what comes first."""

import sys

import nbformat
import pytest

from tools import compare, upgrade

REQUIREMENTS = (
    "-c constraints.txt\n# book\nsphinx==7.4.7\n# numbers\nscipy==1.17.1\nPOT==0.9.7.post1\n"
)
REQUIREMENTS += "# notebooks\nnbformat==5.11.1\n# checks\npytest==9.2.0\n"
CONSTRAINTS = "nbformat==5.11.1\nscipy==1.17.1\nsix==1.17.0\n"


def claim(text, measured, required, kind, holds=True, needed=None):
    """A record as `verify` leaves it."""
    values = measured if isinstance(measured, list) else [measured]
    found = {"text": text, "measured": values, "required": required, "kind": kind, "holds": holds}
    return found | {"needed": needed or len(values)}


def compared(before, after, **more):
    run = {"failure": None, "claims": after, "seconds": 12.0} | more
    return compare.change("game/minimax", before, run, 10.0)


def test_only_what_a_chapter_runs_on_is_pinned():
    assert upgrade.pinned(REQUIREMENTS) == {
        "scipy": "1.17.1",
        "pot": "0.9.7.post1",
        "nbformat": "5.11.1",
    }


def test_a_pin_replaces_its_version_in_both_files():
    required, constraints = upgrade.wanted(["SciPy==1.16.3"], REQUIREMENTS, CONSTRAINTS)
    assert required == ["nbformat==5.11.1", "pot==0.9.7.post1", "scipy==1.16.3"]
    assert constraints == ["nbformat==5.11.1", "scipy==1.16.3", "six==1.17.0"]


def test_without_pins_every_version_is_free():
    assert upgrade.wanted([], REQUIREMENTS, CONSTRAINTS) == (["nbformat", "pot", "scipy"], [])


@pytest.mark.parametrize("pin", ["sphinx==8.0", "scipy", "scipy=1.16", "other==1"])
def test_a_pin_that_cannot_be_meant_is_refused(pin):
    with pytest.raises(SystemExit, match="name==version"):
        upgrade.wanted([pin], REQUIREMENTS, CONSTRAINTS)


@pytest.mark.parametrize(
    "kind, required, before, after, used, left",
    [
        ("above", "above 3", 5.0, 4.5, 0.25, 1.5),
        ("above", "above −1", 1.0, 2.0, -0.5, 3.0),
        ("below", "below 1e-06", 5e-7, 7.5e-7, 0.5, 2.5e-7),
        ("between", "between 0 and 1", 0.5, 0.9, 0.8, 0.1),
        ("increasing", "increasing from each value to the next", [1, 3, 4], [1, 3, 3.5], 0.5, 0.5),
        ("equals", "= 0.6931 ± 1e-06", 0.69314718, 0.69314728, 0.1, None),
        ("equals", "= 2 exactly", 2.0, 2.0, None, None),
        ("holds", "holds", 1.0, 1.0, None, None),
    ],
)
def test_a_move_is_measured_by_the_room_to_the_bound(kind, required, before, after, used, left):
    move = compare.move(claim("c", before, required, kind), claim("c", after, required, kind))
    approx = lambda x: x if x is None else pytest.approx(x, rel=1e-6)  # noqa: E731
    assert (move.used, move.left) == (approx(used), approx(left))


def test_of_several_values_the_one_that_decides_counts():
    old = claim("c", [9.0, 4.0, 1.0], "above 3", "above", needed=2)
    assert compare.room(old) == 1.0
    assert compare.room(old | {"needed": 1}) == 6.0


def test_other_numbers_of_values_and_nan_are_large_moves():
    old = claim("c", [1.0, 2.0], "above 0", "above")
    for values in ([1.0], [1.0, float("nan")]):
        assert compare.move(old, old | {"measured": values}).moved == float("inf")


def test_infinite_values_that_stay_do_not_move():
    far = claim("c", [1.0, float("inf")], "above 0", "above")
    assert compare.move(far, far).moved == 0
    nearer = compare.move(
        claim("c", float("inf"), "above 0", "above"), claim("c", 5.0, "above 0", "above")
    )
    assert nearer.moved == float("inf") and nearer.used is None and nearer.left == 5.0


def test_claims_that_come_and_go_are_told_apart_and_repeated_texts_too():
    old = [claim("same", 1.0, "above 0", "above"), claim("same", 2.0, "above 0", "above")]
    old.append(claim("old", 1.0, "holds", "holds"))
    new = [old[0], old[1] | {"measured": [5.0]}, claim("new", 1.0, "holds", "holds")]
    change = compared(old, new)
    assert [m.moved for m in change.moves] == [0.0, 3.0]
    assert (change.gone, change.new) == (["old"], ["new"])


def test_the_report_puts_a_fallen_claim_first_and_counts_what_is_beyond_the_list(monkeypatch):
    monkeypatch.setattr(compare, "LISTED", 2)
    texts = ("tiny", "half", "fallen", "still")
    old = [claim(text, 2.0, "above 1", "above") for text in texts]
    values = {"tiny": 1.999, "half": 1.5, "fallen": 0.9, "still": 2.0}
    new = [c | {"measured": [values[c["text"]]], "holds": values[c["text"]] > 1} for c in old]
    change = compared(old, new, failure="cell 3: ClaimError: fallen")
    text = compare.report([change], {"scipy": "1", "six": "1"}, {"scipy": "2", "six": "1"})
    assert "1 verdicts changed and 3 measured values moved" in text
    assert text.index("| fallen | **fell** |") < text.index("| half | holds |")
    assert "| tiny |" not in text and "1 other claims moved" in text and "still" not in text
    assert "| scipy | 1 | 2 |" in text and "six" not in text
    assert "**stopped**: cell 3: ClaimError: fallen" in text and "| 10 | 12 |" in text


def test_a_report_without_a_move_says_so():
    still = [claim("still", 2.0, "above 1", "above")]
    text = compare.report([compared(still, still)], {"scipy": "1"}, {"scipy": "2"})
    assert "## Claims that moved\n\nNone.\n" in text and "0 measured values moved" in text


def test_a_chapter_runs_in_another_python_and_its_file_stays(tmp_path, monkeypatch):
    source = "from gan_lib.claims import verify\nverify('two', 2.0, above=1.0)\nverify('no', 0.0, above=1.0)"
    path = tmp_path / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    before = path.read_bytes()
    monkeypatch.setattr(upgrade, "PYTHON", sys.executable)
    result = upgrade.run(path)
    assert [(c["text"], c["holds"]) for c in result["claims"]] == [("two", True), ("no", False)]
    assert result["failure"] is None, "a claim that falls must not hide the ones behind it"
    assert result["seconds"] > 0 and path.read_bytes() == before


def test_a_chapter_that_stops_says_where(tmp_path, monkeypatch):
    path = tmp_path / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), path)
    monkeypatch.setattr(upgrade, "PYTHON", sys.executable)
    assert "ZeroDivisionError" in upgrade.run(path)["failure"]
