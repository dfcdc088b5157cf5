"""What an upgrade changed: claims matched by their text, moves measured against the room of the bound."""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

from packaging.utils import canonicalize_name

LISTED = 40
NUMBER = re.compile(r"[-−]?\d+(?:\.\d+)?(?:e[-+−]?\d+)?")


@dataclass(frozen=True)
class Move:
    """One claim before and after: how far its worst value moved, and what that means for its bound."""

    text: str
    before: dict
    after: dict
    moved: float  # the largest absolute change of a measured value
    used: (
        float | None
    )  # share of the room towards the bound that the change took; below 0: more room
    left: float | None  # distance to the bound that is left; None if the bound is no number

    @property
    def flipped(self):
        return self.before["holds"] != self.after["holds"]


def numbers(required):
    """The numbers in the words of a requirement; its minus signs are typographic."""
    return [float(n.replace("−", "-")) for n in NUMBER.findall(required)]


def slacks(claim):
    """How far inside its bound each measured value is, or None where a bound is no number."""
    values, kind, bounds = claim["measured"], claim["kind"], numbers(claim["required"])
    if kind == "above":
        return [x - bounds[0] for x in values]
    if kind == "below":
        return [bounds[0] - x for x in values]
    if kind == "between":
        return [min(x - bounds[0], bounds[1] - x) for x in values]
    if kind in ("increasing", "decreasing"):
        sign = 1 if kind == "increasing" else -1
        return [sign * (b - a) for a, b in pairwise(values)]
    return None  # `equals` is written with 4 digits, often fewer than its tolerance needs


def room(claim):
    """The distance to the bound that decides: of the worst value among those that must keep it."""
    found = slacks(claim)
    if not found:
        return None
    together = claim["kind"] in ("increasing", "decreasing")
    needed = len(found) if together else min(claim["needed"], len(found))
    return sorted(found, reverse=True)[needed - 1]


def tolerance(claim):
    """The ± of an `equals`; 0 if it must be exact."""
    _, sign, margin = claim["required"].partition("±")
    return numbers(margin)[0] if sign else 0.0


def move(before, after):
    """Compare one claim of the committed chapter with the same claim of the new run."""
    pairs = zip(before["measured"], after["measured"], strict=False)
    steps = [0.0 if a == b else abs(b - a) for a, b in pairs]  # ∞ − ∞ is not a number
    same_number = len(before["measured"]) == len(after["measured"])
    if not same_number or any(math.isnan(step) for step in steps):
        return Move(before["text"], before, after, math.inf, None, None)
    moved, used, left = max(steps), None, None
    if before["kind"] == "equals" and (margin := tolerance(before)):
        used = moved / margin
    elif (had := room(before)) is not None and (left := room(after)) is not None:
        used = (had - left) / had if 0 < had < math.inf else None
    return Move(before["text"], before, after, moved, used, left)


def keyed(claims):
    """Claims by text; a text that occurs again gets a number."""
    found, seen = {}, {}
    for claim in claims:
        text = claim["text"]
        seen[text] = seen.get(text, 0) + 1
        found[text, seen[text]] = claim
    return found


@dataclass(frozen=True)
class Change:
    """A chapter before and after."""

    chapter: str
    stopped: str
    moves: list
    gone: list
    new: list
    seconds: float
    seconds_before: float | None = None


def change(chapter, committed, run, seconds_before=None):
    """Compare the committed claims of a chapter with a run: `failure`, `claims` and `seconds`."""
    old, new = keyed(committed), keyed(run["claims"])
    moves = [move(old[key], new[key]) for key in old if key in new]
    return Change(
        chapter,
        run["failure"] or "",
        moves,
        [key[0] for key in old if key not in new],
        [key[0] for key in new if key not in old],
        run["seconds"],
        seconds_before,
    )


def weight(item):
    """Order of what matters: flips, then values without a common length, then the room that was used."""
    used = item.used if item.used is not None else (1.0 if item.moved else 0.0)
    return item.flipped, item.moved == math.inf, used


def short(value):
    """A number for a table cell."""
    return "no common measure" if value == math.inf else f"{value:.2g}"


def percent(value):
    return "unknown" if value is None else f"{100 * value:+.0f} %"


def summary(claim):
    """The measured values of a record: one number, or median and range."""
    values = sorted(claim["measured"])
    if len(values) == 1:
        return f"{values[0]:.6g}"
    return f"{values[len(values) // 2]:.4g} ({values[0]:.4g} to {values[-1]:.4g})"


def cell(text):
    return " ".join(str(text).split()).replace("|", "\\|")


def table(header, rows):
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return [*lines, *(f"| {' | '.join(cell(c) for c in row)} |" for row in rows), ""]


def version_rows(before, after, first):
    """Packages whose versions differ, those that were asked for first."""
    asked = {canonicalize_name(name) for name in first}
    changed = [n for n in before if n in after and before[n] != after[n]]
    rows = [(n, before[n], after[n]) for n in sorted(changed, key=lambda n: (n not in asked, n))]
    return rows or [("no package", "", "")]


def chapter_rows(changes):
    for c in changes:
        held = sum(m.after["holds"] for m in c.moves)
        moved = sum(m.moved > 0 for m in c.moves)
        before = "unknown" if c.seconds_before is None else f"{c.seconds_before:.0f}"
        state = f"**stopped**: {c.stopped[:200]}" if c.stopped else "ran"
        yield (
            c.chapter,
            state,
            f"{held} of {len(c.moves) + len(c.gone)}",
            moved,
            before,
            f"{c.seconds:.0f}",
        )


def move_rows(found):
    for chapter, m in found:
        verdict = ("**fell**" if m.before["holds"] else "**rose**") if m.flipped else "holds"
        values = f"{summary(m.before)} → {summary(m.after)}"
        left = "unknown" if m.left is None else short(m.left)
        yield (
            chapter,
            m.text,
            verdict,
            values,
            m.after["required"],
            short(m.moved),
            percent(m.used),
            left,
        )


def report(changes, before, after, first=()):
    """The report as Markdown: versions, chapters, claims that moved, claims that came and went."""
    moves = [(c.chapter, m) for c in changes for m in c.moves if m.moved or m.flipped]
    moves.sort(key=lambda pair: weight(pair[1]), reverse=True)
    listed = moves[:LISTED]
    stopped, flips = sum(bool(c.stopped) for c in changes), sum(m.flipped for _, m in moves)
    claims = sum(len(c.moves) for c in changes)
    lines = ["# Upgrade report", ""]
    lines += [
        f"{len(changes)} chapters ran, {stopped} of them stopped; {claims} claims were compared: "
    ]
    lines += [f"{flips} verdicts changed and {len(moves)} measured values moved.", ""]
    lines += [
        "## Versions that differ",
        "",
        *table(("package", "book", "here"), version_rows(before, after, first)),
    ]
    header = (
        "chapter",
        "result",
        "claims that hold",
        "moved",
        "seconds, committed",
        "seconds, here",
    )
    lines += ["## Chapters", "", *table(header, chapter_rows(changes))]
    order = "Changed verdicts come first, then those that lost most of the room to their bound."
    lines += ["## Claims that moved", "", order if listed else "None.", ""]
    header = (
        "chapter",
        "claim",
        "verdict",
        "measured",
        "required",
        "moved by",
        "room used",
        "room left",
    )
    lines += table(header, move_rows(listed)) if listed else []
    if len(moves) > len(listed):
        lines += [f"{len(moves) - len(listed)} other claims moved, by less of their room.", ""]
    lines += ["## Claims that came or went", ""]
    for c in changes:
        why = " (not reached)" if c.stopped else ""
        lines += [f"- {c.chapter}: gone{why}: {text}" for text in c.gone]
        lines += [f"- {c.chapter}: new: {text}" for text in c.new]
    if not any(c.gone or c.new for c in changes):
        lines.append("None.")
    return "\n".join(lines) + "\n"
