"""`{claims}`: the claims that the chapters recorded for a statement, as their own cells show them."""

from functools import cache

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

from tools.notebooks import claim_outputs, read, title
from tools.paths import chapter_name, chapters

SHOWN = 4  # a longer list is folded after so many


@cache
def recorded(path, modified):
    """(statements, HTML of the line) of each claim of a chapter."""
    return [(r["statement"], o["data"]["text/html"]) for r, o in claim_outputs(read(path))]


def lines_of(statement):
    """path -> HTML of the claims that test a statement, for the chapters that have any."""
    found = {}
    for path in chapters():
        lines = [html for ids, html in recorded(path, path.stat().st_mtime_ns) if statement in ids]
        if lines:
            found[path] = lines
    return found


def folded(lines):
    """HTML of the lines, the later ones behind a click."""
    first, rest = lines[:SHOWN], lines[SHOWN:]
    more = f"<details><summary>{len(rest)} more</summary>{''.join(rest)}</details>" if rest else ""
    return f'<div class="gan-lines">{"".join(first)}{more}</div>'


def link(path):
    """A reference to a chapter; Sphinx warns if the page is not there."""
    text = nodes.inline("", title(path))
    return addnodes.pending_xref(
        "",
        text,
        refdomain="std",
        reftype="doc",
        refexplicit=True,
        reftarget=f"/{chapter_name(path)}",
    )


class Claims(Directive):
    """`{claims} ID`: one list of lines for each chapter that tests the statement."""

    required_arguments = 1

    def run(self):
        env = self.state.document.settings.env
        parts = []
        found = lines_of(self.arguments[0])
        if not found:
            raise self.error(f"no claim names the statement {self.arguments[0]}")
        for path, lines in found.items():
            env.note_dependency(str(path))
            if len(found) > 1:  # one alone is the chapter that the entry names already
                parts.append(
                    nodes.paragraph("", "", nodes.Text("In "), link(path), nodes.Text(":"))
                )
            parts.append(nodes.raw("", folded(lines), format="html"))
        return parts


def setup(app):
    """Called by Sphinx."""
    app.add_directive("claims", Claims)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
