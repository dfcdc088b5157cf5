"""`verify` lets through what holds, stops what does not, and marks the digits that may differ."""

import json
import math
import re

import numpy as np
import pytest
import torch

from gan_lib import claims
from gan_lib.claims import ClaimError, table, verify


@pytest.fixture(autouse=True)
def no_records(monkeypatch):
    monkeypatch.setattr(claims, "RECORDS", {})


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would be shown: (data, metadata) pairs."""
    import IPython
    import IPython.display

    outputs = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(
        IPython.display, "display", lambda data, raw, metadata: outputs.append((data, metadata))
    )
    return outputs


HOLDS = {
    "equals": (2.0, {"equals": 2}),
    "atol": (1.95, {"equals": 2, "atol": 0.06}),
    "rtol": (-1.95, {"equals": -2, "rtol": 0.03}),
    "the wider margin": (2.5, {"equals": 2, "atol": 0.1, "rtol": 0.3}),
    "equals zero": (0.0, {"equals": 0}),
    "above": (0.1, {"above": 0}),
    "below": (-0.1, {"below": 0}),
    "between": (0.5, {"between": (0, 1)}),
    "at the edges": ([0.0, 1.0], {"between": (0, 1)}),
    "increasing": ([1, 2, 5], {"increasing": True}),
    "decreasing": ([3, 2, -1], {"decreasing": True}),
    "holds": (True, {"holds": True}),
    "all hold": ([True, True], {"holds": True}),
    "NumPy's bool": (np.bool_(True), {"holds": True}),
    "infinity": (math.inf, {"above": 5}),
    "tensor": (torch.ones(2, 3, requires_grad=True), {"equals": 1}),
    "array": (np.ones((2, 2)), {"below": 2}),
    "some": ([1, 2, 9], {"below": 5, "at_least": 2}),
    "one of them": ([1, 9, 9], {"below": 5, "at_least": 1}),
}

FAILS = {
    "equals": (2.0 + 1e-12, {"equals": 2}),
    "atol": (1.95, {"equals": 2, "atol": 0.04}),
    "rtol": (-1.95, {"equals": -2, "rtol": 0.02}),
    "opposite sign": (-2.0, {"equals": 2, "rtol": 0.5}),
    "above": (0.0, {"above": 0}),
    "below": (0.0, {"below": 0}),
    "between, low": (-0.01, {"between": (0, 1)}),
    "between, high": (1.01, {"between": (0, 1)}),
    "increasing, equal": ([1, 2, 2], {"increasing": True}),
    "increasing, early": ([2, 1, 5], {"increasing": True}),
    "decreasing": ([3, 2, 2.5], {"decreasing": True}),
    "holds": (False, {"holds": True}),
    "one does not": ([True, False, True], {"holds": True}),
    "one value": ([1, 2, 9], {"below": 5}),
    "too few": ([1, 9, 9], {"below": 5, "at_least": 2}),
    "infinity": (math.inf, {"equals": 1, "atol": 1e9}),
    "vectors of ones": (torch.tensor([1.0, 1.1]), {"equals": 1, "atol": 0.05}),
}


@pytest.mark.parametrize("measured, requirement", HOLDS.values(), ids=HOLDS)
def test_what_holds_passes_and_is_recorded(measured, requirement):
    verify("a statement", measured, **requirement)
    assert claims.RECORDS["a statement"].holds


@pytest.mark.parametrize("measured, requirement", FAILS.values(), ids=FAILS)
def test_what_does_not_hold_is_an_error_and_recorded(measured, requirement):
    with pytest.raises(ClaimError, match="a statement: expected .*, measured"):
        verify("a statement", measured, **requirement)
    assert not claims.RECORDS["a statement"].holds


REQUIREMENTS = {
    "equals": {"equals": 1, "atol": math.inf},
    "above": {"above": -math.inf},
    "below": {"below": math.inf},
    "between": {"between": (-math.inf, math.inf)},
    "increasing": {"increasing": True},
    "decreasing": {"decreasing": True},
    "holds": {"holds": True},
}


@pytest.mark.parametrize("requirement", REQUIREMENTS.values(), ids=REQUIREMENTS)
@pytest.mark.parametrize("measured", [[math.nan, 1.0], [1.0, math.nan], [math.nan, math.nan]])
def test_nan_keeps_no_bound(measured, requirement):
    with pytest.raises(ClaimError):
        verify("a statement", measured, **requirement)


def test_error_has_both_numbers():
    with pytest.raises(ClaimError) as error:
        verify("V is low", 3.25, equals=1.5, atol=0.125)
    assert str(error.value) == "V is low: expected = 1.5 ± 0.12, measured 3.25"
    with pytest.raises(
        ClaimError, match="below 0.5, for at least 2 of 3, measured 1 of 3: .*0.75.*0.25 to 9"
    ):
        verify("gaps", [0.25, 0.75, 9.0], below=0.5, at_least=2)


REFUSED = {
    "no requirement": ([1.0], {}, "exactly one requirement.*equals"),
    "two requirements": ([1.0], {"above": 0, "below": 2}, "exactly one requirement"),
    "zero counts as one": ([1.0], {"above": 0, "equals": 0}, "exactly one requirement"),
    "holds=False": ([True], {"holds": False}, "exactly one requirement"),
    "nothing measured": ([], {"above": 0}, "nothing was measured"),
    "one value cannot increase": ([1.0], {"increasing": True}, "at least two"),
    "at_least more than there are": ([1.0, 2.0], {"above": 0, "at_least": 3}, "at_least=3"),
    "at_least none": ([1.0, 2.0], {"above": 0, "at_least": 0}, "at_least=0"),
    "at_least of an order": ([2.0, 1.0], {"increasing": True, "at_least": 1}, "takes no at_least"),
}


@pytest.mark.parametrize("measured, requirement, says", REFUSED.values(), ids=REFUSED)
def test_a_claim_that_cannot_fail_or_makes_no_sense_is_refused(measured, requirement, says):
    with pytest.raises(ValueError, match=says):
        verify("a statement", measured, **requirement)
    assert not claims.RECORDS


@pytest.mark.parametrize(
    "measured, requirement, line",
    [
        (
            [1.0, 2.0, 3.0],
            {"increasing": True},
            "⟨1 → 2 → 3⟩ increasing from each value to the next",
        ),
        (list(range(9, 0, -1)), {"decreasing": True}, "⟨9 → 8 → 7 → … → 2 → 1⟩ decreasing from"),
        (
            [True, True, False],
            {"holds": True, "at_least": 2},
            "⟨2 of 3⟩ holds, for at least 2 of 3",
        ),
        (True, {"holds": True}, "⟨yes⟩ holds"),
        ([0.5, -0.5], {"between": (-1, 1)}, "between −1 and 1, for all 2"),
    ],
)
def test_sequences_and_truths_are_told_as_such(measured, requirement, line):
    verify("told", measured, **requirement)
    assert line in str(claims.RECORDS["told"])


def test_output_marks_measured_digits_and_only_those(shown):
    verify("p < 1 & q", 0.123456, below=0.5, source="A <2014>", statement="000-x")
    ((data, metadata),) = shown
    assert data["text/plain"] == "✓ p < 1 & q ⟨0.1235⟩ below 0.5"
    page = data["text/html"]
    assert '<span class="measured">0.1235</span>' in page
    assert "p &lt; 1 &amp; q" in page and "below 0.5" in page
    assert metadata == {
        "gan_claim": {
            "text": "p < 1 & q", "kind": "below", "measured": [0.123456], "required": "below 0.5",
            "passed": 1, "needed": 1, "statement": ["000-x"], "source": "A <2014>", "holds": True,
        }
    }  # fmt: skip


@pytest.mark.parametrize("values", [[0.11], [0.11, 0.22, 0.33], [0.44, 0.11, 0.22]])
def test_blanking_the_marks_leaves_nothing_measured(values, shown):
    """What nbval compares is the same for other measurements with the same verdict."""
    verify("a statement", values, below=0.5)
    verify("a statement", [v + 0.01 for v in values], below=0.5)
    blanked = [
        (
            re.sub(r"⟨[^⟩]*⟩", "", data["text/plain"]),
            re.sub(r'<span class="measured">.*?</span>', "", data["text/html"]),
        )
        for data, _ in shown
    ]
    assert blanked[0] == blanked[1]


def test_a_failed_claim_is_shown_before_it_raises(shown):
    with pytest.raises(ClaimError):
        verify("a statement", 2, below=1)
    data, metadata = shown[0]
    assert data["text/plain"].startswith("✗") and "failed" in data["text/html"]
    assert metadata["gan_claim"]["holds"] is False


def test_records_are_json_and_do_not_grow_with_the_measurement(shown):
    verify("pixels", torch.zeros(10_000), equals=0, statement=["000-a", "000-b"])
    record = shown[0][1]["gan_claim"]
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert len(record["measured"]) <= 64
    assert record["passed"] == 10_000 and record["statement"] == ["000-a", "000-b"]


def test_without_a_notebook_it_prints(capsys):
    verify("a statement", -0.5, below=0)
    assert capsys.readouterr().out == "✓ a statement ⟨−0.5⟩ below 0\n"


@pytest.mark.parametrize(
    "measured, text",
    [
        (3.0, "3"), (-3.0, "−3"), (1234567.0, "1.235e+06"), (0.000012345, "1.234e-05"),
        (math.inf, "inf"), (1 / 3, "0.3333"),
        ([3.0, 1.0, 2.0], "3 of 3: median 2, from 1 to 3"),
    ],
)  # fmt: skip
def test_numbers_are_short(measured, text):
    verify("a statement", measured, between=(-1e9, math.inf))
    assert claims.RECORDS["a statement"].summary() == text


def test_table_has_a_row_a_claim_in_order_and_a_repeated_claim_once():
    verify("first <b>", 1, equals=1, source="Paper & Co.")
    verify("second", [1, 2, 9], below=5, at_least=2)
    verify("first <b>", 2, equals=2, source="Paper & Co.")
    page, plain = table()._repr_html_(), repr(table())
    assert page.count("<tr>") == 3 and "<b>" not in page
    assert page.index("first &lt;b&gt;") < page.index("second")
    assert "Paper &amp; Co." in page and "for at least 2 of 3" in page
    assert '<span class="measured">2</span>' in page
    assert plain.splitlines()[1:] == [
        "first <b> | ⟨2⟩ | = 2 exactly | Paper & Co.",
        "second | ⟨2 of 3: median 2, from 1 to 9⟩ | below 5, for at least 2 of 3 | ",
    ]
