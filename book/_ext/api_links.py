"""Names of `gan_lib` in the code of a page link to the appendix, whose entries list the chapters.

Names are resolved by Python's own parser: what a page imports from `gan_lib` is linked where it is
first used in each cell, unless the cell gives the name another meaning.
"""

import ast
import functools
import html
import importlib
import re
import symtable

from docutils import nodes
from sphinx import addnodes

from tools.notebooks import code_cells, read
from tools.paths import chapter_name, chapters

APPENDIX = "appendices/api"
BLOCK = r'<div class="highlight-i?python3?\b[^>]*><div class="highlight"><pre>'
CODE = re.compile(rf"({BLOCK})(.*?)(?=</pre>)", re.DOTALL)
PIECE = re.compile(r"<[^>]*>|&\w+;|&#\w+;|.", re.DOTALL)


def imported(tree):
    """What the imports of a cell bind: name -> full name of a module or member of `gan_lib`."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gan_lib":
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def rebound(tree, source):
    """(names with another meaning somewhere in a cell, those that keep it in the cells below)."""
    here = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    here |= {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    below = {s.get_name() for s in symbols if s.is_assigned() and not s.is_imported()}
    return here | below, below


def uses(source, known):
    """Where a cell uses names: (start, end, full name), in its text. Updates `known`."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # an excerpt, or not Python
        return []
    new = imported(tree)
    known |= new
    here, below = rebound(tree, source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            spots = [(alias, new.get(alias.asname or alias.name)) for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = known.get(node.value.id)
            spots = [(node, owner and f"{owner}.{node.attr}")] if node.value.id not in here else []
        elif isinstance(node, ast.Name) and node.id not in here:
            spots = [(node, known.get(node.id))]
        else:
            continue
        found += [(*span(source, spot), name) for spot, name in spots if name]
    for name in below:
        known.pop(name, None)
    return sorted(found, key=lambda use: (use[0], -use[1]))


def span(source, node):
    """Start and end of a node in the text; the parser counts bytes within a line."""
    lines = source.splitlines(keepends=True)

    def offset(line, column):
        before = lines[line - 1].encode()[:column].decode(errors="ignore")
        return sum(map(len, lines[: line - 1])) + len(before)

    return offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)


def link_block(block, known, target):
    """Put links into the HTML of one cell; `target` gives the address of a name, or None."""
    pieces = [m for m in PIECE.finditer(block) if not m[0].startswith("<")]
    source = html.unescape("".join(m[0] for m in pieces))
    done, last, cuts = set(), 0, []
    for start, end, name in uses(source, known):
        place = target(name)
        if place is None or start < last or not source[start:end].endswith(name.split(".")[-1]):
            continue
        last = end
        if name not in done:
            done.add(name)
            opening = block.rfind("<span", 0, pieces[start].start())
            closing = block.index("</span>", pieces[end - 1].end()) + len("</span>")
            cuts.append((opening, closing, place))
    for opening, closing, place in reversed(cuts):
        inside = f'<a class="gan-api" href="{place}">{block[opening:closing]}</a>'
        block = block[:opening] + inside + block[closing:]
    return block


def address(app, pagename, name):
    """Address of a documented name as seen from a page; None when the appendix does not have it."""
    objects = app.env.domains["py"].objects
    entry = objects.get(home(name)) or objects.get(name)
    if entry is None or entry.docname == pagename:
        return None
    single = app.builder.name == "singlehtml"
    page = "" if single else app.builder.get_relative_uri(pagename, entry.docname)
    return f"{page}#{entry.node_id}"


@functools.cache
def home(name):
    """The full name where a member is defined, which may be another module than the one named."""
    module, _, member = name.rpartition(".")
    try:  # autodoc has not imported it when the appendix comes from the cache of an earlier build
        found = getattr(importlib.import_module(module), member, None)
    except ModuleNotFoundError:  # a member of a class
        return name
    return f"{found.__module__}.{found.__qualname__}" if hasattr(found, "__qualname__") else name


def link_page(app, pagename, templatename, context, doctree):
    """Link the code of a page just before it is written."""
    known = {}

    def linked(found):
        return found[1] + link_block(found[2], known, lambda name: address(app, pagename, name))

    context["body"] = CODE.sub(linked, context.get("body") or "")


def chapters_using():
    """Full name -> the chapters whose code uses it, in the order of the book."""
    found = {}
    for path in chapters():
        known = {}
        cells = [uses(cell.source, known) for cell in code_cells(read(path))]
        for name in {home(name) for cell in cells for _, _, name in cell}:
            found.setdefault(name, []).append(chapter_name(path))
    return found


def list_chapters(app, doctree, docname):
    """Put "Used in 3 chapters", folded, below what the appendix says on each function and class."""
    if docname != APPENDIX:
        return
    users = chapters_using()
    for entry in doctree.findall(addnodes.desc):
        pages = users.get(f"{entry[0].get('module')}.{entry[0].get('fullname')}")
        if pages:
            links = [(app.builder.get_relative_uri(docname, p), app.env.titles[p]) for p in pages]
            members = (i for i, n in enumerate(entry[-1]) if isinstance(n, addnodes.desc))
            entry[-1].insert(next(members, len(entry[-1])), folded(links))


def folded(links):
    """A list of links under one line that says how many there are."""
    count = f"{len(links)} chapter{'s' if len(links) > 1 else ''}"
    opening = f'<details class="gan-users"><summary>Used in {count}</summary>'
    items = nodes.bullet_list()
    for address, title in links:
        link = nodes.reference("", title.astext(), internal=True, refuri=address)
        items += nodes.list_item("", nodes.paragraph("", "", link))
    ends = [nodes.raw("", text, format="html") for text in (opening, "</details>")]
    return [ends[0], items, ends[1]]


def leave_out(app, what, name, obj, skip, options):
    """Fields of named tuples, whose only documentation is a number; their class describes them."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", leave_out)
    app.connect("html-page-context", link_page)
    app.connect("doctree-resolved", list_chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
