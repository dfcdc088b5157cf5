"""The appendix `reproductions`: published numbers beside ours, with a verdict that is computed."""

import json
import math
import re

import yaml

from tools.notebooks import code_cells, read, title
from tools.paths import BOOK, ROOT
from tools.runner import claims_of

PAGE, MARK = "appendices/reproductions", "% the reproductions"
FILE = ROOT / "reproductions.yml"


def load():
    """The entries of `reproductions.yml`."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def notebook(chapter):
    """The file of a chapter, which may not exist yet."""
    return BOOK / f"{chapter}.ipynb"


def source_of(ours):
    """The file that a number of ours comes from."""
    return ROOT / "results" / ours["results"] if "results" in ours else notebook(ours["chapter"])


def measured(ours):
    """The numbers that a claim recorded, or that a file in `results/` holds."""
    if "results" in ours:
        found = [json.loads(source_of(ours).read_text(encoding="utf-8"))]
        for step in ours["path"]:
            found = [x for item in found for x in (item if step == "*" else [item[step]])]
        return found
    records = [c for c in claims_of(read(source_of(ours))) if c["text"] == ours["claim"]]
    if len(records) != 1:
        raise LookupError(f"{len(records)} claims {ours['claim']!r} in {ours['chapter']}")
    return records[0]["measured"][slice(*ours.get("take", (None, None)))]


def published(check, count):
    """The published numbers, one for each of ours; empty if there is only a bound."""
    value = check.get("published", [])
    return value if isinstance(value, list) else [value] * count


def numbers(check, found):
    """Ours, on the scale of the published numbers."""
    if not check.get("difference"):
        return found
    return [theirs + x for theirs, x in zip(published(check, len(found)), found, strict=True)]


def quoted(check):
    """Whether the chapter, which measured a difference, took it from these same published numbers."""
    code = "\n".join(cell.source for cell in code_cells(read(source_of(check["ours"]))))
    inside = r",\s*".join(re.escape(f"{x:.12g}") + "0*" for x in check["published"])
    return re.search(rf"(?<![\d.]){inside}(?!\d)", code) is not None


def within(check, values):
    """Whether every number of ours keeps what the check asks."""
    if "tolerance" in check:
        pairs = zip(values, published(check, len(values)), strict=True)
        return all(abs(x - theirs) <= check["tolerance"] for x, theirs in pairs)
    low, high = check.get("at_least", float("-inf")), check.get("at_most", float("inf"))
    return all(low <= x <= high for x in values)


def verdict(entry, outcomes):
    """What the outcomes of its checks say of an entry."""
    if not outcomes:
        return "open"
    part = f"{sum(outcomes)} of {len(outcomes)} checks within tolerance"
    if "reduced" in entry:
        return f"reduced run, {part}"
    return "reproduced" if all(outcomes) else f"not reproduced, {part}"


def format_of(check):
    """How to write ours: with the digits that the tolerance can tell apart."""
    if "tolerance" not in check:
        return ".3g"
    size = -math.log10(check["tolerance"])
    return ".0e" if size > 8 else f".{max(0, math.floor(size) + 2)}f"


def plain(text):
    """A number's text with a real minus."""
    return text.replace("-", "−")


def text_of(values, form):
    """Our numbers for a cell of a table: a few in full, many or equal ones in short."""
    written = [f"{x:{form}}" for x in values]
    written = ["0" if float(x) == 0 else x for x in written]
    if len(set(written)) == 1 < len(values):
        return plain(f"{written[0]} ({len(values)} values)")
    if len(values) > 5:
        low, high = (written[values.index(end)] for end in (min(values), max(values)))
        return plain(f"{low} to {high} ({len(values)} values)")
    return plain(", ".join(written))


def asked(check):
    """The published numbers and how close ours have to come, in words."""
    theirs = plain(", ".join(f"{x:.12g}" for x in published(check, 1)))
    if "tolerance" in check:
        return theirs + plain(f" ±\u00a0{check['tolerance']:g}")
    bound = (
        f"at least {check['at_least']}" if "at_least" in check else f"at most {check['at_most']}"
    )
    return f"{theirs}, here {bound}" if theirs else bound


def table(checks):
    """(outcomes, lines of Markdown) of the checks of an entry."""
    outcomes, lines = [], ["| quantity | published, and how close | ours | verdict |"]
    lines.append("|" + " --- |" * 4)
    for check in checks:
        if check.get("difference") and not quoted(check):
            raise LookupError(f"{check['quantity']}: the chapter has other published numbers")
        values = numbers(check, measured(check["ours"]))
        outcomes.append(within(check, values))
        ours, word = text_of(values, format_of(check)), "within" if outcomes[-1] else "outside"
        lines.append(f"| {check['quantity']} | {asked(check)} | {ours} | {word} |")
    return outcomes, lines


def section(entry):
    """(verdict, Markdown) of one entry."""
    checks = entry.get("checks", [])
    outcomes, rows = table(checks)
    found = verdict(entry, outcomes)
    lines = [
        f"(reproduction-{entry['row']})=",
        f"## {entry['row']}. {entry['title']}\n",
        f"**{found[0].upper()}{found[1:]}.** Published: {entry['reference']}\n",
        f"Protocol: {entry['protocol']}\n",
    ]
    if "reduced" in entry:
        lines.append(f"Reduced: {entry['reduced']}\n")
    if checks:
        names = dict.fromkeys(c["ours"].get("chapter", entry["chapter"]) for c in checks)
        links = ", ".join(f"[{title(notebook(name))}](../{name}.ipynb)" for name in names)
        lines += [*rows, "", f"Computed in {links}.\n"]
    else:
        lines.append("The chapter that will run it is not written yet.\n")
    return found, "\n".join(lines)


def page():
    """The generated part of the page: an overview, then one section an entry."""
    entries = load()
    made = [section(entry) for entry in entries]
    overview = [  # a list, because links in a striped table are too pale in the dark
        f"{e['row']}. [{e['title']}](#reproduction-{e['row']}): {found}"
        for e, (found, _) in zip(entries, made, strict=True)
    ]
    return "\n".join([*overview, "", *(text for _, text in made)])


def fill(app, docname, source):
    """Put the generated part into the page before it is parsed."""
    if docname != PAGE:
        return
    for file in (FILE, *(source_of(c["ours"]) for e in load() for c in e.get("checks", []))):
        app.env.note_dependency(str(file))
    source[0] = source[0].replace(MARK, page())


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
