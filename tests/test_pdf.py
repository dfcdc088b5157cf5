"""The PDF, made of three pages only (`make pdf` checks the whole book each time it prints it).

Build the site first (`make book`; `make test` does).
"""

import pytest
from pypdf import PdfReader

from tools import pdf
from tools.paths import HTML, chapters

LISTED = [("", "index"), ("Before", "notation"), ("Theory", "theory/optimal_discriminator")]
PAGES = [name for _, name in LISTED]
pytestmark = pytest.mark.skipif(not HTML.exists(), reason="the site is not built: run `make book`")


@pytest.fixture(scope="module")
def articles():
    return [pdf.article(part, name, set(PAGES)) for part, name in LISTED]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    target = tmp_path_factory.mktemp("pdf") / "three.pdf"
    return target, pdf.make(LISTED, target)


def test_three_pages_print_without_trouble(printed):
    assert printed[1] == []


def test_pages_are_a4_and_numbered(printed):
    reader = PdfReader(printed[0])
    width, height = reader.pages[0].mediabox.width, reader.pages[0].mediabox.height
    assert abs(width - 595) < 2 and abs(height - 842) < 2
    for number, page in enumerate(reader.pages, 1):
        assert f"{number} / {len(reader.pages)}" in page.extract_text()


def test_solutions_are_open_and_the_cell_for_colab_is_gone(printed):
    text = "".join(page.extract_text() for page in PdfReader(printed[0]).pages)
    assert "Solution" in text and "google.colab" not in text


def test_the_check_sees_what_is_wrong(printed, articles):
    texts = pdf.headings(articles)
    assert "missing: ['Lost']" in pdf.check(printed[0], [*texts, "Lost"], 3)[0]
    assert pdf.check(printed[0], texts, 900)[0].startswith("only ")


def test_a_dead_link_and_a_tex_error_are_troubles(tmp_path):
    page = pdf.article("", "notation", set(PAGES))
    assert pdf.dead_links([page]) == []
    page.select_one("a")["href"] = "#nowhere"
    assert pdf.dead_links([page]) == ["link to nowhere: #nowhere"]
    page.select_one(".math").string = r"\(\nosuchmacro\)"
    assert any("TeX error" in text for text in pdf.print_document([page], tmp_path / "bad.pdf"))


def test_the_book_is_listed_whole():
    listed = [name for _, name in pdf.pages()]
    assert listed[0] == "index" and len(listed) == len(set(listed))
    assert {path.stem for path in chapters()} <= {name.rsplit("/", 1)[-1] for name in listed}


@pytest.mark.parametrize(
    "href, expected",
    [
        ("https://example.org/a#b", "https://example.org/a#b"),
        ("#symbols", "#theory-optimal_discriminator--symbols"),
        ("../notation.html#symbols", "#notation--symbols"),
        ("../notation.html", "#notation"),
        ("../genindex.html", None),
        ("../_static/downloads/x.zip", None),
    ],
)
def test_links_between_pages_become_links_inside(href, expected):
    assert pdf.address(href, "theory/optimal_discriminator", set(PAGES)) == expected


def test_a_language_without_a_font_is_named(monkeypatch):
    monkeypatch.setattr(pdf.shutil, "which", lambda name: f"/usr/bin/{name}")
    fonts = {":lang=ko": b"", ":lang=zh-cn": b"some font\n"}
    monkeypatch.setattr(pdf.subprocess, "check_output", lambda command: fonts[command[1]])
    assert pdf.without_letters() == ["Korean"]
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    assert pdf.without_letters() == []
