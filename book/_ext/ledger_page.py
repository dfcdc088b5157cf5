"""The appendix `claims`: every `verify` of the book, with how often it held and what breaks it."""

import re
from html import escape
from pathlib import PurePosixPath

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

from tools import ledger, mutate
from tools.notebooks import claim_outputs, read, title
from tools.paths import ROOT, chapter_name, chapters

LINE = re.compile(r"^[✓✗] .* ⟨(?P<measured>.*)⟩ (?P<required>.*)$", re.DOTALL)

CONTROLS = """<div class="gan-ledger-bar" role="search" hidden>
<label>Search <input type="search" placeholder="words, a statement, a mutation"></label>
<label>Show <select><option value="">all claims</option>
<option value="slip">about a slip of a source</option>
<option value="unbroken">that no planted bug breaks</option>
<option value="failed">that failed with some seed</option></select></label>
<output aria-live="polite"></output></div>"""

SCRIPT = """<script>(() => {
  const root = document.querySelector(".gan-ledger"), bar = root.querySelector(".gan-ledger-bar");
  const [words, kind, told] = ["input", "select", "output"].map((name) => bar.querySelector(name));
  const rows = [...root.querySelectorAll("li")].map((row) => [row, row.textContent.toLowerCase()]);
  const update = () => {
    const parts = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const [row, text] of rows) {
      const fits = parts.every((part) => text.includes(part) || row.dataset.chapter.includes(part));
      row.hidden = !fits || (kind.value && !row.classList.contains(kind.value));
      shown += !row.hidden;
    }
    const all = !parts.length && !kind.value;
    for (const box of root.querySelectorAll("details")) {
      box.hidden = !box.querySelector("li:not([hidden])");
      box.open = !all && shown <= 200;
    }
    told.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} claims`;
  };
  for (const control of [words, kind]) control.addEventListener("input", update);
  bar.hidden = false;
  update();
})();</script>"""


def entries(path, stored):
    """(record, measured, required, outcomes) of each claim of a chapter."""
    found = []
    for i, (record, output) in enumerate(claim_outputs(read(path))):
        seen = LINE.match(output["data"]["text/plain"])
        found.append((record, seen["measured"], seen["required"], history(stored, i)))
    return found


def history(stored, i):
    """What the runs say of claim i: seeds held, seeds run, its range over seeds, what breaks it."""
    runs = {s: r for s, r in stored["seeds"].items() if i not in r["missing"]}
    tried = [r for r in stored["mutations"].values() if i not in r["missing"]]
    medians = [r["medians"][i] for r in runs.values() if r["medians"][i] is not None]
    return {
        "failed": [seed for seed, r in runs.items() if i in r["failed"]],
        "runs": len(runs),
        "range": (min(medians), max(medians)) if medians else None,
        "broken": [name for name, r in stored["mutations"].items() if i in r["failed"]],
        "tried": len(tried),
    }


def breakers(past):
    """What breaks a claim, in words; a run that stopped before the claim has said nothing."""
    if past["broken"]:
        return ", ".join(past["broken"])
    return (
        f"none of {past['tried']} planted bugs" if past["tried"] else "no run with a bug reached it"
    )


def row(path, entry, statements):
    """One claim as a list item."""
    record, measured, required, past = entry
    slips = any(statements.get(name, {}).get("slip") for name in record["statement"])
    unbroken = past["tried"] and not past["broken"]
    marks = {"slip": slips, "failed": past["failed"], "unbroken": unbroken}
    classes = " ".join(name for name, is_so in marks.items() if is_so)
    held = f"{past['runs'] - len(past['failed'])} of {past['runs']} seeds"
    if past["failed"]:
        held += f" (not {', '.join(past['failed'])})"
    if past["range"] and record["kind"] != "holds" and past["range"][0] != past["range"][1]:
        held += f", median {past['range'][0]:g} to {past['range'][1]:g}"
    ids = [
        f'<span title="{escape(statements.get(name, {}).get("says", ""))}">{escape(name)}</span>'
        for name in record["statement"]
    ]
    facts = [
        f"<b>measured</b> {escape(measured)}",
        f"<b>required</b> {escape(required)}",
        f"<b>held</b> {held}",
        f"<b>statement</b> {', '.join(ids) or 'none'}",
        f"<b>broken by</b> {escape(breakers(past))}",
    ]
    if record["source"]:
        facts.insert(4, f"<b>source</b> {escape(record['source'])}")
    return (
        f'<li class="{classes}" data-chapter="{chapter_name(path)}">'
        f"<p>{escape(record['text'])}</p><p>{' · '.join(facts)}</p></li>"
    )


def totals(books, statements):
    """The sentence on top: all counted, nothing typed."""
    claims = [entry for _, found, _ in books for entry in found]
    named = {name for record, *_ in claims for name in record["statement"]}
    existing = {chapter_name(path) for path, *_ in books}
    home = {k: s for k, s in statements.items() if s["chapter"] in existing}
    sources = {k for k, s in home.items() if s["source"] != "book"}
    excused = {k for k in sources - named if "why_not" in home[k]}
    runs = sum(past["runs"] for *_, past in claims)
    failed = sum(len(past["failed"]) for *_, past in claims)
    planted = [r for *_, stored in books for r in stored["mutations"].values()]
    listed = sum(len(mutate.listed(path)) for path, *_ in books)
    made = sum(len(stored["seeds"]) for *_, stored in books)
    noticed = sum(bool(r["failed"]) for r in planted)
    broken = sum(bool(past["broken"]) for *_, past in claims)
    return (
        f"<dl class='gan-ledger-totals'><dt>Claims</dt><dd>{len(claims):,} in {len(books)} chapters</dd>"
        f"<dt>Statements</dt><dd>{len(sources & named)} of the {len(sources)} statements of the sources that "
        f"belong to these chapters ({len(excused)} cannot be tested, with a written reason), and "
        f"{len(named - sources)} of the book's own or from other chapters</dd>"
        f"<dt>Held</dt><dd>{runs - failed:,} of {runs:,} (claim, seed) pairs, from {made} of "
        f"{len(books) * len(ledger.SEEDS)} runs of a chapter with a seed</dd>"
        f"<dt>Planted bugs</dt><dd>{len(planted)} of {listed} (chapter, mutation) pairs run: "
        f"{noticed} noticed by a claim, {broken:,} claims broken by at least one</dd></dl>"
    )


class Ledger(Directive):
    """`{ledger}`: the totals, the filter and one folded list a chapter."""

    def run(self):
        statements = yaml.safe_load((ROOT / "statements.yml").read_text(encoding="utf-8"))
        env = self.state.document.settings.env
        here = PurePosixPath(env.docname).parent
        env.note_dependency(str(ROOT / "statements.yml"))
        kept = {path: ledger.load(path) for path in chapters()}
        books = [(path, entries(path, stored), stored) for path, stored in kept.items()]
        parts = [totals(books, statements), CONTROLS]
        for path, found, _ in books:
            env.note_dependency(str(path))
            env.note_dependency(str(ledger.file_of(path)))
            link = "../" * len(here.parts) + f"{chapter_name(path)}.html"
            parts.append(
                f"<details><summary>{escape(title(path))} · {len(found)} claims"
                f'</summary><p><a class="reference internal" href="{link}">Open the chapter</a></p>'
                f"<ul>{''.join(row(path, entry, statements) for entry in found)}</ul></details>"
            )
        body = "\n".join(parts)
        return [nodes.raw("", f'<div class="gan-ledger">{body}</div>{SCRIPT}', format="html")]


def setup(app):
    """Called by Sphinx."""
    app.add_directive("ledger", Ledger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
