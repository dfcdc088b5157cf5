"""The map of the chapters: `book/map.yml` as a drawing and as a list."""

import html
import textwrap
from pathlib import Path

import yaml

# Units of the drawing; 360 of them are about as wide as a phone, so a unit is a pixel there.
WIDTH, COLUMN, ROW = 360, 90, 66
BOX_WIDTH, BOX_HEIGHT = 84, 46
PORT = 34  # an edge leaves and enters a box at most so far from its middle
LINE, LETTERS = 13, 11


def read(path):
    """The parts of the map, in order."""
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def chapters(parts):
    """All chapters by their file."""
    return {entry["file"]: entry for part in parts for entry in part["chapters"]}


def names(parts):
    """File -> name."""
    return {name: entry["name"] for name, entry in chapters(parts).items()}


def edges(parts):
    """(from, to) for the drawing: what a chapter rests on, less what follows from other edges.

    Raises:
        ValueError: a chapter rests, in the end, on itself.
    """
    rests = {name: entry["rests"] for name, entry in chapters(parts).items()}

    def below(name, seen=()):
        if name in seen:
            raise ValueError(f"{name} rests on itself")
        found = set(rests[name])
        return found.union(*(below(base, (*seen, name)) for base in found))

    drawn = []
    for name, bases in rests.items():
        implied = set().union(*(below(base) for base in bases))
        below(name)
        drawn += [(base, name) for base in bases if base not in implied]
    return drawn


def draw(parts, address):
    """The map as HTML: an SVG whose boxes are links, and the colours of the parts.

    Args:
        parts: what `read` returns.
        address: a function from a chapter's file to its URL.
    """
    known = chapters(parts)
    number = {name: i for i, name in enumerate(known)}
    rows = 1 + max(entry["at"][1] for entry in known.values())
    lines = [arrow(known[a]["at"], known[b]["at"], number[a], number[b]) for a, b in edges(parts)]
    boxes = [
        box(entry, number[entry["file"]], k, address(entry["file"]))
        for k, part in enumerate(parts)
        for entry in part["chapters"]
    ]
    # Where the pointer or the keyboard is, the edges of that chapter stand out.
    rules = [
        f".gan-map:has(.n{i}:is(:hover,:focus-visible)) .e{i}{{stroke:var(--gan-held);stroke-width:3}}"
        for i in number.values()
    ]
    legend = [
        f'<li style="--hue:{hue(k)}">{html.escape(part["caption"])}</li>'
        for k, part in enumerate(parts)
    ]
    height = (rows - 1) * ROW + BOX_HEIGHT + 6
    return "\n".join(
        [
            '<nav class="gan-map" aria-label="Map of the chapters">',
            f"<style>{''.join(rules)}</style>",
            f'<svg viewBox="0 0 {WIDTH} {height}">',
            '<defs><marker id="gan-tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="5"'
            ' markerHeight="5" markerUnits="userSpaceOnUse" orient="auto">'
            '<path d="M0 0 6 3 0 6z"/></marker></defs>',
            *lines,
            *boxes,
            "</svg>",
            f'<ul class="gan-map-legend">{"".join(legend)}</ul>',
            "</nav>",
        ]
    )


def hue(k):
    """A hue for part k, far from its neighbours'."""
    return (210 + 137 * k) % 360


def place(at):
    """Left top corner of a box and its middle."""
    column, row = at
    middle = COLUMN * (column + 0.5)
    return middle - BOX_WIDTH / 2, 3 + ROW * row, middle


def arrow(start, end, a, b):
    """A curve from the lower side of one box to the upper side of another, never through a column."""
    _, top, x0 = place(start)
    _, y1, x1 = place(end)
    y0 = top + BOX_HEIGHT
    lean = max(-PORT, min(PORT, x1 - x0))
    x0, x1, middle = x0 + lean, x1 - lean, (y0 + y1) / 2
    return (
        f'<path class="e{a} e{b}" marker-end="url(#gan-tip)" '
        f'd="M{x0:g} {y0:g}C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"/>'
    )


def box(entry, i, part, address):
    """A chapter: a link with its name, in the colour of its part."""
    left, top, middle = place(entry["at"])
    name = entry["name"].removeprefix("The ").replace("–", "– ")
    name = name if name.startswith("f-") else name[:1].upper() + name[1:]
    words = textwrap.wrap(name, LETTERS, break_long_words=False, break_on_hyphens=False)
    first = top + BOX_HEIGHT / 2 - LINE * (len(words) - 1) / 2 + 4
    text = "".join(
        f'<tspan x="{middle + 2:g}" y="{first + LINE * k:g}">{html.escape(word)}</tspan> '
        for k, word in enumerate(words)
    )
    return (
        f'<a class="n{i}" href="{html.escape(address)}" style="--hue:{hue(part)}">'
        f'<rect x="{left:g}" y="{top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>'
        f'<rect class="strip" x="{left:g}" y="{top + 5:g}" width="3" height="{BOX_HEIGHT - 10}"/>'
        f"<text>{text.strip()}</text></a>"
    )


def as_list(parts):
    """The map in words, as MyST text."""
    known = names(parts)
    lines = []
    for part in parts:
        lines += [f"**{part['caption']}**", ""]
        for entry in part["chapters"]:
            bases = [known[base] for base in entry["rests"]]
            rests = (
                "Rests on " + ", ".join(f"*{base}*" for base in bases)
                if bases
                else "Needs no other chapter"
            )
            lines.append(f"- {{reading}}`{entry['file']}`: {entry['line']}. {rests}.")
        lines.append("")
    return "\n".join(lines)
