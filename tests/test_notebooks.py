"""The committed notebooks: complete, fresh, canonical, described, and free of this machine."""

import re
import subprocess

import papermill
import pytest

from tests.mutations import MUTATIONS, REGISTRY, occurrences
from tests.mutations_chapters import BUGS, CHAPTER_MUTATIONS
from tools.freshness import inputs_hash
from tools.mutate import find
from tools.notebooks import code_cells, colab_cell, dumps, normalise, outputs_hash, read, tags
from tools.paths import ROOT, chapter_name, chapters
from tools.runner import claims_of

PARAMETERS = ["seed", "scale", "device"]
LONGEST_CELL = 35
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|work|farm|Users|tmp)/[\w.-]+")


@pytest.fixture
def nb(chapter):
    """The chapter under test, as committed."""
    return read(chapter)


def outputs(nb):
    """(cell, output) for every output."""
    return [(cell, output) for cell in code_cells(nb) for output in cell.outputs]


def where(cell):
    """Name a cell in a message by its first line."""
    return cell.source.strip().splitlines()[0]


def test_every_code_cell_was_executed(nb):
    missing = [where(c) for c in code_cells(nb) if c.execution_count is None]
    assert not missing, f"never executed (run `make execute`): {missing}"


def test_outputs_are_those_of_the_run(nb):
    stored = nb.metadata["gan_book"].get("outputs")
    assert stored == outputs_hash(nb), "outputs were changed by hand: run `make execute`"


def test_outputs_are_fresh(nb):
    stored = nb.metadata["gan_book"].get("inputs")
    assert stored == inputs_hash(nb), "code, gan_lib or pins changed: run `make execute`"


def test_file_is_canonical(chapter, nb):
    canonical = dumps(normalise(nb))
    assert chapter.read_text(encoding="utf-8") == canonical, (
        "not in canonical form: `python -m tools text` and `new`, then `make execute`"
    )


def test_no_error_and_no_stderr_in_outputs(nb):
    bad = [
        where(c) for c, o in outputs(nb) if o.output_type == "error" or o.get("name") == "stderr"
    ]
    assert not bad, f"these cells show an error or a warning: {bad}"


def test_no_object_is_dumped(nb):
    """What a cell shows was made to be looked at: a bare Python object has no HTML."""
    bad = [
        where(c)
        for c, o in outputs(nb)
        if o.output_type == "execute_result" and "text/html" not in o.data
    ]
    assert not bad, f"these cells end in an expression nobody meant to show: {bad}"


def test_parameters_come_first(chapter, nb):
    assert "parameters" in tags(code_cells(nb)[0]), "the first code cell must set the parameters"
    assert list(papermill.inspect_notebook(str(chapter))) == PARAMETERS


def test_colab_cell_is_the_common_one(nb):
    second = code_cells(nb)[1]
    assert tags(second) == ["hide-cell", "colab"]
    assert second.source == colab_cell().source, "run `make execute`"


def test_pictures_are_described(nb):
    for cell, output in outputs(nb):
        if "image/png" not in output.get("data", {}):
            continue
        shown = cell.metadata.get("mystnb", {})
        alt = shown.get("image", {}).get("alt", "")
        assert len(alt) >= 20, f"no alternative text of 20 characters or more: {where(cell)}"
        assert not re.search(r"\.(png|svg|jpe?g)$|^\S+$", alt), f"not a description: {alt}"
        assert shown.get("figure", {}).get("caption"), f"no caption: {where(cell)}"


def test_pictures_inside_html_are_described(nb):
    for cell, output in outputs(nb):
        html = output.get("data", {}).get("text/html", "")
        for image in re.findall(r"<img\b[^>]*>", html):
            assert re.search(r'\balt="[^"]{20,}"', image), f"<img> without alt: {where(cell)}"


def test_claims_exercises_and_cell_lengths(nb):
    assert len(claims_of(nb)) >= 4, "fewer than four verified claims"
    for cell in code_cells(nb):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= LONGEST_CELL, f"{len(lines)} lines of code in one cell: {where(cell)}"
    text = "\n".join(c.source for c in nb.cells if c.cell_type == "markdown")
    exercises = re.findall(r"\{exercise(?:-start)?\}.*?\n:label: *(\S+)", text)
    solutions = re.findall(r"\{solution(?:-start)?\} *(\S+)", text)
    assert len(exercises) >= 3, "fewer than three exercises"
    assert sorted(exercises) == sorted(solutions), "exercises and solutions do not pair up"


def test_some_solutions_are_executed(nb):
    inside, executed = False, 0
    for cell in nb.cells:
        if cell.cell_type == "code":
            executed += inside
        else:
            marks = re.findall(r"\{solution-(start|end)\}", cell.source)
            inside = marks[-1] == "start" if marks else inside
    assert executed >= 2, "fewer than two code cells stand inside solutions"


def test_mutations_are_known(nb):
    listed = nb.metadata["gan_book"].get("mutations", [])
    assert len(set(listed)) >= 2, "list at least two mutations that must break this chapter"
    assert set(listed) <= set(MUTATIONS), set(listed) - set(MUTATIONS)


@pytest.mark.parametrize("name", sorted(MUTATIONS | CHAPTER_MUTATIONS))
def test_mutation_still_applies(name):
    assert occurrences(find(name), ROOT) == 1, "its old text must occur exactly once"


def test_no_two_mutations_share_a_name():
    own = [name for edits in BUGS.values() for name, *_ in edits]
    every = [*own, *(mutation.name for mutation in REGISTRY)]
    assert len(every) == len(set(every))


def test_no_path_of_a_machine_in_outputs(nb):
    for cell, output in outputs(nb):
        text = str({k: v for k, v in output.get("data", {}).items() if k != "image/png"})
        found = MACHINE_PATH.search(text + str(output.get("text", "")))
        assert not found, f"{found and found[0]} in the output of: {where(cell)}"


def test_no_path_of_a_machine_in_the_repository():
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    for name in listing.stdout.decode().split("\0"):
        file = ROOT / name
        if not file.is_file() or file.suffix in {".png", ".npz", ".pt", ".ipynb"}:
            continue
        found = MACHINE_PATH.search(file.read_text(encoding="utf-8", errors="ignore"))
        assert not found, f"{found[0]} in {name}"


def test_labels_are_unique_over_the_book():
    seen = {}
    for path in chapters():
        text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
        for label in re.findall(r"\n:label: *(\S+)", text):
            assert label not in seen, f"{label} in {chapter_name(path)} and in {seen[label]}"
            seen[label] = chapter_name(path)
