"""The appendix `glossary`, and a link to it where a chapter first uses one of its terms."""

import re
from functools import cache
from html import escape

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

from tools.notebooks import title
from tools.paths import BOOK, ROOT, chapter_name, chapters

PAGE = "appendices/glossary"
FILE = ROOT / "glossary.yml"

# No link inside these: they are no running text, or they lead elsewhere already.
CLOSED = (
    nodes.title,
    nodes.caption,
    nodes.legend,
    nodes.table,
    nodes.reference,
    nodes.literal,
    nodes.FixedTextElement,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.footnote,
)
CELL = {"cell_input", "cell_output"}


@cache
def load():
    """The terms, by their English name."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def anchor(name):
    """The id of a term on the page."""
    return "term-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def spelled(form):
    """Regular expression of a form: any white space, a plural, a capital where it begins a sentence."""
    words = r"\s+".join(re.escape(word) for word in form.split())
    if form[0].isalpha() and form == form.lower():
        words = f"[{form[0].upper()}{form[0]}]{words[1:]}"
    return f"({words})s?" if form[-1].isalpha() else f"({words})"


def pattern(terms, page=None):
    """(regular expression, names): group i of a match belongs to names[i - 1]; long forms go first."""
    forms = [
        (form, name)
        for name, entry in terms.items()
        if page is None or page in entry.get("pages", [page])
        for form in (name, *entry.get("also", []))
    ]
    forms.sort(key=lambda pair: -len(pair[0]))
    either = "|".join(spelled(form) for form, _ in forms)
    return re.compile(rf"(?<![\w-])(?:{either})(?![\w-])"), [name for _, name in forms]


def is_running_text(text):
    """Whether a text stands in a paragraph, and in nothing that is closed to links."""
    above, found = text.parent, False
    while above is not None:
        if isinstance(above, CLOSED) or CELL & set(above.get("classes", [])):
            return False
        found = found or isinstance(above, nodes.paragraph)
        above = above.parent
    return found


def link(name, entry, address, *children):
    """A reference to the entry of a term."""
    uri = f"{address}#{anchor(name)}"
    return nodes.reference(
        "", "", *children, internal=True, refuri=uri, reftitle=entry["means"], classes=["gan-term"]
    )


def link_terms(doctree, terms, page, address):
    """Link the first use of each term; a formula just before, as in "$f$-divergence", belongs to it."""
    regex, names = pattern(terms, page)
    done = set()
    for text in list(doctree.findall(nodes.Text)):
        if not is_running_text(text):
            continue
        parent = text.parent
        place = next(i for i, child in enumerate(parent.children) if child is text)
        before = parent[place - 1] if place else None
        formula = f"${before.astext()}$" if isinstance(before, nodes.math) else ""
        whole, at, pieces = formula + text.astext(), len(formula), []
        for match in regex.finditer(whole):
            name, with_formula = names[match.lastindex - 1], match.start() < len(formula)
            if name in done or (with_formula and (match.start() or match.end() <= at)):
                continue
            done.add(name)
            if with_formula:
                place -= 1
                parent.pop(place)
                inside = [before, nodes.Text(whole[at : match.end()])]
            else:
                pieces.append(nodes.Text(whole[at : match.start()]))
                inside = [nodes.Text(match[0])]
            pieces.append(link(name, terms[name], address, *inside))
            at = match.end()
        if pieces:
            parent[place : place + 1] = [*pieces, nodes.Text(whole[at:])]
    return done


@cache
def chapter_pages():
    """The pages that are chapters."""
    return {chapter_name(path) for path in chapters()}


def add_links(app, doctree, docname):
    """On chapters only."""
    if docname in chapter_pages() and app.builder.format == "html":
        link_terms(doctree, load(), docname, app.builder.get_relative_uri(docname, PAGE))


def item(name, entry):
    """One term as HTML."""
    path = BOOK / f"{entry['chapter']}.ipynb"
    return (
        f'<dt id="{anchor(name)}"><dfn>{escape(name)}</dfn> <span lang="ko">{escape(entry["ko"])}</span> '
        f'<span lang="zh-Hant">{escape(entry["zh"])}</span></dt><dd>{escape(entry["means"])} '
        f'<a class="reference internal" href="../{entry["chapter"]}.html">{escape(title(path))}</a></dd>'
    )


class Glossary(Directive):
    """`{terms}`: all terms in the order of the alphabet."""

    def run(self):
        self.state.document.settings.env.note_dependency(str(FILE))
        items = [item(*pair) for pair in sorted(load().items(), key=lambda pair: pair[0].lower())]
        return [nodes.raw("", f'<dl class="gan-glossary">{"".join(items)}</dl>', format="html")]


def setup(app):
    """Called by Sphinx."""
    app.add_directive("terms", Glossary)
    app.connect("doctree-resolved", add_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
