"""Every slip on the errata page shows the claims that test it."""

import re

import ledger_lines
import pytest

from tools.paths import BOOK, HTML

PAGE = BOOK / "appendices" / "errata.md"
ENTRIES = PAGE.read_text(encoding="utf-8").split("\n(errata-")[1:]
NAMES = [entry.split(")=")[0] for entry in ENTRIES]


@pytest.mark.parametrize("name, entry", list(zip(NAMES, ENTRIES, strict=True)), ids=NAMES)
def test_entry_shows_its_own_claims(name, entry):
    assert re.findall(r"^```\{claims\} (.+)$", entry, flags=re.MULTILINE) == [name]
    lines = [line for found in ledger_lines.lines_of(name).values() for line in found]
    # One claim that the slip is wrong, one that the correction is right.
    assert len(lines) >= 2
    for line in lines:
        assert line.startswith('<div class="gan-claim"><span class="tick">✓'), "a claim failed"
        assert 'class="measured"' in line and 'class="source"' in line


def test_a_long_list_is_folded_after_four():
    assert "details" not in ledger_lines.folded(list("abcd"))
    html = ledger_lines.folded(list("abcdef"))
    assert html.startswith('<div class="gan-lines">abcd<details><summary>2 more</summary>ef')


def test_a_statement_without_claims_has_no_lines():
    assert ledger_lines.lines_of("000-0-nothing") == {}


def test_built_page_shows_every_claim():
    built = HTML / "appendices" / "errata.html"
    if not built.exists():
        pytest.skip("the site is not built: run `make book`")
    html = built.read_text(encoding="utf-8")
    for name in NAMES:
        for lines in ledger_lines.lines_of(name).values():
            assert ledger_lines.folded(lines) in html, name
