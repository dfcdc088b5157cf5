"""What failed, in a few lines: chapter, claim, expected, measured, and the command that shows it again."""

import re

LINES = 8
FAILURES = 10
WIDTH = 200
PYTHON = ".venv/bin/python"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CLAIM = re.compile(
    r"(?s)ClaimError: (?P<claim>.*): expected (?P<expected>.*), measured (?P<measured>.*)"
)
HEAD = "chapter   "
TITLE = "what, where, and how to see it again"


def row(label, text):
    """One labelled line, cut to a readable width."""
    text = " ".join(str(text).split())
    return f"{label:<9} {text if len(text) <= WIDTH else text[: WIDTH - 1] + '…'}"


def what_stopped(text):
    """Claim, expected and measured if a claim stopped the run; otherwise the reason as it is."""
    found = CLAIM.search(text)
    if not found:
        return [row("stopped", text)]
    claim, expected, measured = (found[key] for key in ("claim", "expected", "measured"))
    return [
        row("claim", claim),
        row("expected", expected),
        row("measured", measured.splitlines()[0]),
    ]


def explain(chapter, details, again):
    """The message of a failed chapter; `details` are lines made by `row` or `what_stopped`."""
    return "\n".join([row("chapter", chapter), *details, row("again", again)])


def summary(reports):
    """The last lines of a failed run: one block for each failure, a notebook's cells together."""
    blocks, later = {}, {}
    for report in reports:
        key = report.nodeid.partition("::")[0] if _is_cell(report) else report.nodeid
        if key in blocks:
            later[key] = later.get(key, 0) + 1
        else:
            blocks[key] = _block(report)
    for key, more in later.items():
        blocks[key].insert(-1, row("also", f"{more} more cells of this notebook"))
    shown = [_short(block) for block in list(blocks.values())[:FAILURES]]
    lines = ["", f"===== {len(blocks)} failed: {TITLE} ====="]
    for number, block in enumerate(shown, 1):
        lines += [
            f"[{number}] {block[0]}",
            *(" " * len(f"[{number}] ") + line for line in block[1:]),
        ]
    if len(blocks) > len(shown):
        lines.append(f"and {len(blocks) - len(shown)} more failures, listed above")
    return lines


def first_of(output):
    """The first failure in the summary of another run: its chapter, and the lines about it."""
    _, _, told = output.partition(TITLE)
    block = re.search(r"(?ms)^\[1\] (.*?)(?=^\[2\]|^and |\Z)", told)
    if not block:
        return []
    chapter, *details, _ = [line.strip() for line in block[1].splitlines() if line.strip()]
    return [chapter.removeprefix(HEAD), *details]


def _short(block):
    """At most LINES lines; the last one, the command, always stays."""
    return block if len(block) <= LINES else [*block[: LINES - 1], block[-1]]


def _is_cell(report):
    return report.nodeid.partition("::")[0].endswith(".ipynb")


def _block(report):
    text = COLOUR.sub("", report.longreprtext)
    told = re.search(rf"(?ms)^{HEAD}.*", text)  # behind a line in which xdist names its worker
    if told:
        return told[0].splitlines()
    if _is_cell(report):
        return _cell(report.nodeid, text)
    again = f"{PYTHON} -m pytest '{report.nodeid}'"
    errors = "\n".join(line[1:].strip() for line in text.splitlines() if line.startswith("E "))
    return [row("test", report.nodeid), *what_stopped(errors or text), row("again", again)]


def _cell(nodeid, text):
    """A cell under nbval: a claim that broke, another error, or outputs that differ."""
    file, _, cell = nodeid.partition("::")
    options = "--nbval --nbval-current-env --nbval-sanitize-with=tests/nbval.cfg"
    chapter = f"{file.removeprefix('book/').removesuffix('.ipynb')}, {cell}, run as committed"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    committed = [line[2:] for line in lines if line.startswith("+ ")]
    now = [line[2:] for line in lines if line.startswith("- ")]
    if "Cell outputs differ" in text and (committed or now):
        source = lines[lines.index("Input:") + 1]
        details = [row("claim", f"the output of the cell that begins {source!r} stays the same")]
        details += [row("expected", " / ".join(committed)), row("measured", " / ".join(now))]
    elif "Cell outputs differ" in text:
        details = [row("stopped", " ".join(lines[lines.index("Traceback:") + 1 :]))]
    else:
        details = what_stopped(lines[-1])
    return [row("chapter", chapter), *details, row("again", f"{PYTHON} -m pytest {options} {file}")]
