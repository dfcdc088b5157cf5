"""What a table shows, what it marks as measured, and what it refuses."""

import re
from configparser import ConfigParser

import pytest

from gan_lib.tables import Measured, Table, measured

TABLE = Table(("row", "value"), [("a < b", measured(-0.5, ".2f")), ("none", measured(None))])


def test_measured_numbers_are_formatted_with_a_true_minus():
    assert measured(-1234.5678, ".1f") == "−1234.6" and isinstance(measured(1.0), Measured)
    assert measured(2 / 3) == "0.6667" and measured(None) == "–"


def test_text_is_escaped_and_measured_cells_are_marked():
    page = TABLE._repr_html_()
    assert "<td>a &lt; b</td>" in page
    assert '<td><span class="measured">−0.50</span></td>' in page
    assert page.count('scope="col"') == 2 and page.count("<tr>") == 3
    assert repr(TABLE) == "row | value\na < b | ⟨−0.50⟩\nnone | –"


def test_the_regression_test_compares_everything_but_the_digits():
    rules = ConfigParser(interpolation=None)
    rules.read("tests/nbval.cfg")
    other = Table(("row", "value"), [("a < b", measured(-0.6, ".2f")), ("none", measured(None))])
    moved = Table(("row", "value"), [("a < c", measured(-0.5, ".2f")), ("none", measured(None))])

    def kept(text):
        for rule in rules.sections():
            text = re.sub(rules[rule]["regex"], rules[rule]["replace"], text)
        return text

    for show in (repr, Table._repr_html_):
        assert show(other) != show(TABLE) and kept(show(other)) == kept(show(TABLE))
        assert kept(show(moved)) != kept(show(TABLE))


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="has 1 cells, the head 2"):
        Table(("row", "value"), [("a",)])
