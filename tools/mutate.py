"""Plant known bugs one by one under the chapters, or the unit tests, that must notice them."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.mutations import MUTATIONS, apply
from tests.mutations_chapters import CHAPTER_MUTATIONS
from tools import runner
from tools.notebooks import read
from tools.paths import ROOT, chapter_name, chapters

GUARD = """\
import gan_lib, pathlib
assert pathlib.Path(gan_lib.__file__).is_relative_to({folder!r}), "the mutated copy is not in use"
"""


def listed(path):
    """Names of a chapter's mutations: those of the library that its metadata name, then its own."""
    own = [m.name for m in CHAPTER_MUTATIONS.values() if ROOT / m.file == path]
    return read(path).metadata.get("gan_book", {}).get("mutations", []) + own


def find(name):
    """The mutation of this name; raises ValueError when the registries have none."""
    mutation = (MUTATIONS | CHAPTER_MUTATIONS).get(name)
    if mutation is None:
        raise ValueError(f"{name} is neither in tests/mutations.py nor in mutations_chapters.py")
    return mutation


def run_planted(path, name, first_cell=""):
    """Run a chapter with one mutation, in a copy of the library or of the chapter; returns a `runner.Result`.

    Raises ValueError when there is no such mutation or its text is not found exactly once.
    """
    mutation = find(name)
    with tempfile.TemporaryDirectory() as folder:
        folder = str(Path(folder).resolve())
        shutil.copytree(ROOT / "gan_lib", Path(folder, "gan_lib"))
        copy = Path(folder, Path(path).relative_to(ROOT))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
        apply(mutation, folder)
        return runner.run_with_path(path, folder, GUARD.format(folder=folder) + first_cell, copy)


def try_one(path, name):
    """Run one chapter under one mutation; returns (caught, what was seen)."""
    try:
        failure = run_planted(path, name, runner.NO_PICTURES).failure
    except ValueError as error:
        return False, str(error)
    if failure is None:
        return False, "SURVIVED: every claim still held"
    if failure.name != "ClaimError":
        return False, f"stopped, but not by a claim: {failure}"
    return True, failure.message.splitlines()[0]


def pairs(notebook=None, mutation=None, part=None):
    """(path, mutation name) for all mutations of the chapters."""
    found = []
    for path in chapters(part):
        chosen = notebook is None or notebook in (chapter_name(path), str(path))
        chosen = chosen or Path(notebook).resolve() == path
        names = [mutation] if mutation and notebook else listed(path)
        found += [(path, n) for n in names if chosen and mutation in (None, n)]
    return found


def tests_of(file):
    """The unit tests of a module: tests/test_x*.py for gan_lib/x.py, of a package those of its name."""
    name = Path(file).with_suffix("").parts[1]
    return sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests").glob(f"test_{name}*.py"))


def try_tests(where, name):
    """Run the module's unit tests under one mutation; returns (caught, first test that failed)."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("gan_lib", "tests", "tools", "benchmarks"):
            shutil.copytree(ROOT / part, Path(folder, part))
        for file in ("conftest.py", "pyproject.toml", "_config.yml", "_toc.yml"):
            shutil.copy(ROOT / file, folder)
        try:
            apply(MUTATIONS[name], folder)
        except ValueError as error:
            return False, str(error)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *where]
        environment = os.environ | {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
        result = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True
        )
    failed = re.search(r"^FAILED (\S+)", result.stdout, re.MULTILINE)
    if result.returncode == 1 and failed:
        return True, failed[1]
    if result.returncode == 0:
        return False, "SURVIVED: every test still passed"
    return False, f"pytest ended with {result.returncode}: {result.stdout[-300:]}"


def main(notebook=None, mutation=None, part=None, battery=False, processes=2):
    """Command `mutate`; returns 1 if any mutation was not caught by a claim (or a unit test)."""
    if battery:
        chosen = [m for name, m in MUTATIONS.items() if mutation in (None, name)]
        todo = [(tests_of(m.file), m.name) for m in chosen]
    else:
        todo = pairs(notebook, mutation, part)
    if not todo:
        print("There is no such mutation." if battery else "No chapter lists such a mutation.")
        return 1
    survivors = 0
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(try_tests if battery else try_one, *zip(*todo, strict=True))
        for (where, name), (caught, seen) in zip(todo, results, strict=True):
            survivors += not caught
            verdict = "caught  " if caught else "NOT CAUGHT"
            place = MUTATIONS[name].file if battery else chapter_name(where)
            print(f"{verdict} {place:32} {name:28} {seen}", flush=True)
    judge = "a unit test" if battery else "a claim"
    print(f"{len(todo) - survivors} of {len(todo)} mutations were caught by {judge}.")
    return 1 if survivors else 0
