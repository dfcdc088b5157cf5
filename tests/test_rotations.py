"""Long checks that take turns: other processors, planted bugs (`tools/rotation.py` says whose day it is)."""

import os
import subprocess
import sys

import nbformat
import pytest

from tools import failures, mutate, rotation
from tools.paths import ROOT, chapter_name, chapters

OTHER_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",  # no AVX
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
}
NBVAL = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with=tests/nbval.cfg"]


def command(variable, node):
    """What shows a failure again, whatever the day."""
    return f"{variable}=all {failures.PYTHON} -m pytest 'tests/test_rotations.py::{node}'"


def due_chapters():
    found = rotation.due(chapters(), "GAN_TEST_PROCESSOR")
    return [pytest.param(path, id=chapter_name(path)) for path in found]


def due_mutations():
    found = rotation.due(mutate.pairs(), "GAN_TEST_MUTATIONS")
    return [pytest.param(path, name, id=f"{chapter_name(path)}-{name}") for path, name in found]


def compare(path, environment):
    """The committed outputs against a run in this environment, as nbval does; returns the process."""
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *NBVAL]
    return subprocess.run(
        [*run, str(path)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("path", due_chapters())
def test_another_processor(path):
    result = compare(path, OTHER_PROCESSOR)
    if result.returncode:
        name = chapter_name(path)
        told = failures.first_of(result.stdout) or [
            name,
            failures.row("stopped", result.stdout[-300:]),
        ]
        again = command("GAN_TEST_PROCESSOR", f"test_another_processor[{name}]")
        message = failures.explain(f"{told[0]}, on another processor", told[1:], again)
        pytest.fail(message, pytrace=False)


@pytest.mark.parametrize("path, name", due_mutations())
def test_mutation_is_caught(path, name):
    caught, seen = mutate.try_one(path, name)
    if not caught:
        chapter = chapter_name(path)
        details = [
            failures.row("claim", f"a claim of this chapter notices the planted bug {name!r}"),
            failures.row("expected", "ClaimError"),
            failures.row("measured", seen),
        ]
        again = f"{failures.PYTHON} -m tools mutate --notebook {chapter} --mutation {name}"
        pytest.fail(failures.explain(chapter, details, again), pytrace=False)


def test_the_other_processor_reaches_the_kernel(tmp_path):
    """A notebook that prints what PyTorch takes the processor for: only the imitated one matches."""
    source = "import torch\nprint(torch.backends.cpu.get_cpu_capability())"
    for printed, expected in (("DEFAULT", 0), ("AVX512", 1)):
        output = nbformat.v4.new_output("stream", name="stdout", text=printed + "\n")
        cell = nbformat.v4.new_code_cell(source, execution_count=1, outputs=[output])
        path = tmp_path / f"{printed}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
        assert compare(path, OTHER_PROCESSOR).returncode == expected, printed
