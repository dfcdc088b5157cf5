"""The appendix `times`: what each chapter takes to run and to load, from records and file sizes."""

import re
from collections import Counter
from pathlib import Path
from statistics import median

from sphinx.util.docutils import SphinxDirective

from tools.notebooks import read
from tools.paths import chapter_name, chapters, recorded_times
from tools.runner import claims_of

PAGE = "appendices/times"
# Pages are written after this one is read: their sizes are filled in when the build has finished.
SIZE = '<span class="page-size" data-page="{}">?</span>'
PLACE = re.compile(r'(<span class="page-size" data-page="([^"]+)">)[^<]*(</span>)')
IMAGE = re.compile(r'<img\b[^>]*\bsrc="([^":]+)"')
MEDIAN_SECONDS, CORE_MINUTES = 35, 20
HEADER = ("Chapter", "Seconds", "CPU seconds", "Claims", "Notebook, kB", "Page, kB")


def measured():
    """One dictionary a chapter, in the order of the book; what was not recorded is None."""
    stored = recorded_times()
    return [
        {
            "name": chapter_name(path),
            "wall": stored.get(chapter_name(path), {}).get("wall_seconds"),
            "cpu": stored.get(chapter_name(path), {}).get("cpu_seconds"),
            "claims": len(claims_of(read(path))),
            "size": path.stat().st_size / 1000,
            "record": stored.get(chapter_name(path)),
        }
        for path in chapters()
    ]


def number(value):
    """A whole number; a word where nothing was recorded, because cells should not be empty."""
    return "none" if value is None else f"{value:.0f}"


def over(rows, key, reduce):
    """A sum or a median of what was recorded."""
    known = [row[key] for row in rows if row[key] is not None]
    return reduce(known) if known else None


def line(*cells):
    return f"| {' | '.join(cells)} |"


def table(rows):
    """The Markdown of the table."""
    lines = [line(*HEADER), line("---", *["---:"] * 5)]
    keys = ("wall", "cpu", "claims", "size")
    for row in rows:
        cells = [number(row[key]) for key in keys]
        lines.append(line(f"[](/{row['name']}.ipynb)", *cells, SIZE.format(row["name"])))
    for what, reduce in (("median", median), ("sum", sum)):
        cells = [number(over(rows, key, reduce)) for key in keys]
        lines.append(line(f"**{what.capitalize()}**", *cells, SIZE.format(f"*{what}")))
    return lines


def budget(rows):
    """Sentences: the budget and what it is compared with, and where the seconds come from."""
    known = [row["record"] for row in rows if row["record"]]
    if not known:
        return ["No chapter has been executed with its time recorded."]
    wall, cpu = over(rows, "wall", median), (over(rows, "cpu", sum) or 0) / 60
    dates = sorted(record["date"] for record in known)
    machines = Counter((r["hardware"], r["processes"]) for r in known)
    where = "; ".join(
        f"{count} {'chapter' if count == 1 else 'chapters'} on {hardware}, "
        + ("alone" if side == 1 else f"{side} at a time")
        for (hardware, side), count in machines.most_common()
    )
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    return [
        f"The budget is a median of {MEDIAN_SECONDS} seconds and {CORE_MINUTES} core-minutes in all. "
        f"The median above is {wall:.0f} seconds, and the CPU seconds make {cpu:.1f} minutes.",
        "",
        f"Recorded for {len(known)} of {len(rows)} chapters, {when}: {where}.",
    ]


class Times(SphinxDirective):
    """`{times}`: the table and the sentences below it."""

    def run(self):
        self.env.note_reread()
        rows = measured()
        return self.parse_text_to_nodes("\n".join([*table(rows), "", *budget(rows)]))


def size(page):
    """Bytes of a page and of the pictures beside it, in kB."""
    html = page.read_text(encoding="utf-8")
    files = {(page.parent / source).resolve() for source in IMAGE.findall(html)}
    pictures = sum(file.stat().st_size for file in files if file.is_file())
    return (page.stat().st_size + pictures) / 1000


def fill_sizes(app, exception):
    """Write the sizes of the finished pages into the page with the table."""
    page = Path(app.outdir, f"{PAGE}.html")
    if exception or app.builder.format != "html" or not page.exists():
        return
    text = page.read_text(encoding="utf-8")
    names = [name for _, name, _ in PLACE.findall(text) if not name.startswith("*")]
    sizes = {name: size(Path(app.outdir, f"{name}.html")) for name in names}
    known = list(sizes.values())
    sizes |= {"*median": median(known), "*sum": sum(known)} if known else {}
    page.write_text(
        PLACE.sub(lambda m: f"{m[1]}{number(sizes[m[2]])}{m[3]}", text), encoding="utf-8"
    )


def setup(app):
    """Called by Sphinx."""
    app.add_directive("times", Times)
    app.connect("build-finished", fill_sizes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
