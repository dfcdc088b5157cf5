"""The glossary is well formed and true, and its links stand where a reader meets a word first."""

import re
from functools import cache

import glossary_links as glossary
import pytest
import yaml
from docutils import nodes
from docutils.core import publish_doctree

from tools.notebooks import read
from tools.paths import HTML, chapter_name, chapters

TERMS = glossary.load()
PATHS = {chapter_name(path): path for path in chapters()}
HANGUL, HAN = re.compile(r"[가-힣]"), re.compile(r"[\u4e00-\u9fff]")
ADDRESS = "../appendices/glossary.html"


def without_code(text):
    """Markdown without its blocks of code; what stands in a directive such as a theorem stays."""
    kept, fences = [], []
    for line in text.splitlines():
        fence = re.match(r"`{3,}", line)
        if fence and fences and line.strip() == fences[-1][0]:
            fences.pop()
        elif fence:
            fences.append((fence[0], "{" in line))
            kept.append(line)
        elif all(is_directive for _, is_directive in fences):
            kept.append(line)
    return "\n".join(kept)


@cache
def prose(path):
    """A chapter's words, with headings and titles, without code, displayed formulas and addresses."""
    cells = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    text = "\n\n".join(without_code(source) for source in cells)
    text = re.sub(r"^\$\$.*?^\$\$", "", text, flags=re.M | re.S)
    text = re.sub(r"\{[\w:]+\}`[^`]*`|`[^`\n]+`|\]\([^)]*\)", "", text)
    return text.replace("*", "")


def test_the_list_is_long_and_each_name_stands_there_once():
    assert 80 <= len(TERMS) <= 120
    keys = [key.value for key, _ in yaml.compose(glossary.FILE.read_text("utf-8")).value]
    assert len(keys) == len(set(keys)) == len({glossary.anchor(key) for key in keys})
    forms = [f.lower() for name, e in TERMS.items() for f in (name, *e.get("also", []))]
    assert len(forms) == len(set(forms)), "a form belongs to two terms"
    for field in ("means", "zh", "ko"):
        assert len({entry[field] for entry in TERMS.values()}) == len(TERMS), field


@pytest.mark.parametrize("name", TERMS)
def test_term_is_well_formed(name):
    entry = TERMS[name]
    required = {"ko", "zh", "means", "chapter"}
    assert required <= set(entry) <= required | {"also", "pages"}
    assert HANGUL.search(entry["ko"]) and HAN.search(entry["zh"])
    assert not HANGUL.search(entry["zh"]) and not HAN.search(entry["ko"])
    assert 20 <= len(entry["means"]) <= 120 and entry["means"].endswith(".")
    assert "\n" not in entry["means"]
    assert entry["chapter"] in PATHS
    assert set(entry.get("pages", [])) <= set(PATHS)
    assert entry["chapter"] in entry.get("pages", [entry["chapter"]])


@pytest.mark.parametrize("name", TERMS)
def test_term_occurs_in_the_chapter_that_it_names(name):
    regex, _ = glossary.pattern({name: TERMS[name]})
    assert regex.search(prose(PATHS[TERMS[name]["chapter"]]))


SMALL = {
    "critic": {"means": "one"},
    "optimal critic": {"means": "two"},
    "MADE": {"means": "three"},
    "f-divergence": {"means": "four", "also": ["$f$-divergence"]},
    "margin": {"means": "five", "pages": ["elsewhere"]},
    "fixed point": {"means": "six"},
}

DOCUMENT = """
The critic in a title
=====================

Not ``critic``, not :math:`critic`, not `critic <https://example.org>`__, not non-critic.

.. code-block:: python

   critic

.. figure:: a.png

   A critic in a caption.

.. admonition:: A critic in a title

   The optimal
   critic is made; MADE here, and optimal critics there.

- Critics here, and a critic there; a fixed
  point, a margin.

An :math:`f`-divergence, and another :math:`f`-divergence.
"""


def linked(source, page="here"):
    doctree = publish_doctree(source, settings_overrides={"report_level": 4})
    before = doctree.astext()
    glossary.link_terms(doctree, SMALL, page, ADDRESS)
    assert doctree.astext() == before, "the text has changed"
    return [n for n in doctree.findall(nodes.reference) if "gan-term" in n["classes"]]


def test_the_first_use_is_linked_once_and_only_in_running_text():
    links = linked(DOCUMENT)
    words = [" ".join(link.astext().split()) for link in links]
    assert words == ["optimal critic", "MADE", "Critics", "fixed point", "f-divergence"]
    assert links[2]["refuri"] == f"{ADDRESS}#term-critic" and links[2]["reftitle"] == "one"
    assert [type(child) for child in links[4].children] == [nodes.math, nodes.Text]


def test_a_word_with_an_everyday_meaning_is_linked_on_its_own_pages_only():
    assert [n.astext() for n in linked("A margin.", "elsewhere")] == ["margin"]
    assert linked("A margin.") == []


def test_equal_texts_in_one_paragraph_keep_their_places():
    # "-divergence " stands there twice; only the one behind the formula is a term.
    (link,) = linked("A *x*\\ -divergence *y* :math:`f`\\ -divergence *z*.")
    parent = link.parent
    place = next(i for i, child in enumerate(parent.children) if child is link)
    assert place > next(i for i, child in enumerate(parent.children) if child.astext() == "y")


TAG = re.compile(r"<(/?)(\w+)([^>]*)>")
VOID = {"img", "br", "hr", "input", "link", "meta", "source", "path", "col", "wbr"}


def open_tags(html):
    """The tags and attributes around each link to a term."""
    stack = []
    for closing, tag, attributes in TAG.findall(html):
        if closing:
            while stack and stack.pop()[0] != tag:
                pass
        elif tag not in VOID and not attributes.endswith("/"):
            stack.append((tag, attributes))
            if tag == "a" and "gan-term" in attributes:
                yield list(stack)


def built(chapter):
    page = HTML / f"{chapter}.html"
    if not page.exists() or not (HTML / f"{glossary.PAGE}.html").exists():
        pytest.skip("the site is not built: run `make book`")
    html = page.read_text(encoding="utf-8")
    return html[html.index("<article") : html.index("</article>")]


@pytest.mark.parametrize("name", PATHS)
def test_built_chapter_links_each_term_at_most_once(name):
    html = built(name)
    found = re.findall(r'<a class="[^"]*gan-term[^"]*" href="[^"#]*#(term-[^"]+)"', html)
    assert len(found) >= 5 and len(found) == len(set(found))
    assert set(found) <= {glossary.anchor(term) for term in TERMS}
    for around in open_tags(html):
        tags = {tag for tag, _ in around}
        assert "p" in tags and not tags & {
            "h1",
            "h2",
            "h3",
            "h4",
            "code",
            "pre",
            "th",
            "figcaption",
        }
        assert [tag for tag, _ in around].count("a") == 1, "a link inside a link"
        assert not any("admonition-title" in a or "cell_" in a for _, a in around), around


def test_built_glossary_has_every_term_and_leads_to_its_chapter():
    page = HTML / f"{glossary.PAGE}.html"
    if not page.exists():
        pytest.skip("the site is not built: run `make book`")
    html = page.read_text(encoding="utf-8")
    for name, entry in TERMS.items():
        assert f'<dt id="{glossary.anchor(name)}">' in html
        assert f'<span lang="ko">{entry["ko"]}</span>' in html
        assert f'<span lang="zh-Hant">{entry["zh"]}</span>' in html
        assert f'href="../{entry["chapter"]}.html"' in html
