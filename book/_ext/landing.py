"""For the pages around the chapters: a chapter's film or claim shown elsewhere, reading times, the map.

Nothing is copied by hand: films and claims are lifted out of the committed notebooks at build time,
and a film or claim that is gone stops the build.
"""

import ast
import functools
import json
import re
from pathlib import Path

import chapter_map
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

WORDS_A_MINUTE = 200
MINUTES_A_CELL = 0.5

# A reader who asked for reduced motion starts the film with its button.
PLAY = """<script>
if (!matchMedia("(prefers-reduced-motion: reduce)").matches)
  document.querySelector("#film-{} [data-act=play]")?.click();
</script>"""


@functools.cache
def cells(path):
    """The cells of a notebook."""
    return json.loads(Path(path).read_text(encoding="utf-8"))["cells"]


def outputs(path):
    """(cell, output) for each output of a notebook."""
    return [(cell, out) for cell in cells(path) for out in cell.get("outputs", [])]


def film_html(path, name):
    """The widget of the film `name` as the notebook shows it.

    Raises:
        LookupError: the notebook shows no film of that name.
    """
    mark = f'id="film-{name}"'
    for _, output in outputs(path):
        page = "".join(output.get("data", {}).get("text/html", ""))
        if mark in page:
            return page
    raise LookupError(f"{path} shows no film called {name!r}.")


def claim(path, text):
    """The line `verify(text, ...)` of a notebook and what it showed: (code or None, HTML).

    Raises:
        LookupError: the notebook makes no such claim.
    """
    for cell, output in outputs(path):
        if output.get("metadata", {}).get("gan_claim", {}).get("text") == text:
            source = "".join(cell["source"])
            return call_of(source, text), "".join(output["data"]["text/html"])
    raise LookupError(f"{path} has no claim {text!r}.")


def call_of(source, text):
    """The code of the call whose first argument is `text`, or None."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and first.value == text:
                return ast.get_source_segment(source, node)
    return None


def minutes(path):
    """Minutes to read a chapter without its exercises, to the nearest five."""
    time = 0.0
    for cell in cells(path):
        tags = cell.get("metadata", {}).get("tags", [])
        if cell["cell_type"] == "markdown":
            time += len("".join(cell["source"]).split()) / WORDS_A_MINUTE
        elif not any(tag.startswith(("hide", "remove")) for tag in tags):
            time += MINUTES_A_CELL
    return max(5, 5 * round(time / 5))


def spoken(time):
    """95 -> "1 hour 35 minutes"."""
    hours, rest = divmod(time, 60)
    parts = [f"{n} {unit}{'s' * (n > 1)}" for n, unit in ((hours, "hour"), (rest, "minute")) if n]
    return " ".join(parts)


class Lifting(SphinxDirective):
    """A directive that takes something out of a chapter, named as in `_toc.yml`."""

    required_arguments = 1

    def notebook(self):
        """The chapter's file; the page is built again when it changes."""
        path = Path(self.env.srcdir, self.arguments[0]).with_suffix(".ipynb")
        self.env.note_dependency(str(path))
        return path

    def run(self):
        """The lifted nodes, or an error of the build."""
        try:
            return self.lifted()
        except (LookupError, OSError) as problem:
            raise self.error(str(problem)) from problem


class FilmDirective(Lifting):
    """`{film} chapter`: the chapter's film `:name:`, which starts by itself with `:play:`."""

    option_spec = {"name": directives.unchanged_required, "play": directives.flag}

    def lifted(self):
        """The widget."""
        name = self.options.get("name", "")
        page = film_html(self.notebook(), name)
        if "play" in self.options:
            page += PLAY.format(name)
        return [nodes.raw("", f'<div class="gan-hero">{page}</div>', format="html")]


class ClaimDirective(Lifting):
    """`{claim} chapter`, its text as content; `:code:` shows the line above the result."""

    option_spec = {"code": directives.flag}
    has_content = True

    def lifted(self):
        """The line of code, if asked for, and its result."""
        code, page = claim(self.notebook(), " ".join(self.content))
        shown = [nodes.raw("", f'<div class="gan-lifted">{page}</div>', format="html")]
        if "code" in self.options:
            shown.insert(0, nodes.literal_block(code, code, language="python"))
        return shown


class MapDirective(SphinxDirective):
    """`{chapter-map}`: the chapters as a drawing with links."""

    def run(self):
        """The SVG and its legend."""
        path = Path(self.env.srcdir, "map.yml")
        self.env.note_dependency(str(path))
        builder, here = self.env.app.builder, self.env.docname
        page = chapter_map.draw(
            chapter_map.read(path), lambda name: builder.get_relative_uri(here, name)
        )
        return [nodes.raw("", page, format="html")]


class ListDirective(SphinxDirective):
    """`{chapter-list}`: what the map shows, in words."""

    def run(self):
        """A heading for each part, a line for each chapter."""
        text = chapter_map.as_list(chapter_map.read(Path(self.env.srcdir, "map.yml")))
        box = nodes.container()
        self.state.nested_parse(StringList(text.splitlines(), "map.yml"), 0, box)
        return box.children


class PathDirective(SphinxDirective):
    """`{learning-path}`: text with `{reading}` roles, headed by the sum of their times."""

    has_content = True

    def run(self):
        """How many chapters and how long, then the text."""
        names = re.findall(r"\{reading\}`([^`]+)`", "\n".join(self.content))
        files = [Path(self.env.srcdir, name).with_suffix(".ipynb") for name in names]
        total = f"{len(names)} chapters, about {spoken(sum(map(minutes, files)))} of reading."
        box = nodes.container(classes=["gan-path"])
        box += nodes.paragraph("", "", nodes.strong("", total))
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


class ReadingRole(SphinxRole):
    """`{reading}` with a chapter: a link with the chapter's name and reading time."""

    def run(self):
        """The link and the minutes."""
        path = Path(self.env.srcdir, self.text).with_suffix(".ipynb")
        self.env.note_dependency(str(path))
        name = chapter_map.names(chapter_map.read(Path(self.env.srcdir, "map.yml")))[self.text]
        link = addnodes.pending_xref(
            "",
            nodes.inline("", name),
            refdomain="std",
            reftype="doc",
            reftarget="/" + self.text,
            refdoc=self.env.docname,
            refexplicit=True,
            refwarn=True,
        )
        return [link, nodes.Text(f" ({minutes(path)} min)")], []


def setup(app):
    """Called by Sphinx."""
    app.add_directive("film", FilmDirective)
    app.add_directive("claim", ClaimDirective)
    app.add_directive("chapter-map", MapDirective)
    app.add_directive("chapter-list", ListDirective)
    app.add_directive("learning-path", PathDirective)
    app.add_role("reading", ReadingRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
