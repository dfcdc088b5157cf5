"""Plant each known bug under the chapters that must notice it; a survivor is a failure."""

import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.mutations import MUTATIONS, apply
from tools import runner
from tools.notebooks import read
from tools.paths import ROOT, chapter_name, chapters

GUARD = """\
import gan_lib, pathlib
assert pathlib.Path(gan_lib.__file__).is_relative_to({folder!r}), "the mutated copy is not in use"
"""


def try_one(path, name):
    """Run one chapter under one mutation; returns (caught, what was seen)."""
    mutation = MUTATIONS.get(name)
    if mutation is None:
        return False, "not in tests/mutations.py"
    with tempfile.TemporaryDirectory() as folder:
        folder = str(Path(folder).resolve())
        shutil.copytree(ROOT / "gan_lib", Path(folder, "gan_lib"))
        for beside in ("statements.yml",):
            if (ROOT / beside).exists():
                shutil.copy(ROOT / beside, folder)
        try:
            apply(mutation, folder)
        except ValueError as error:
            return False, str(error)
        failure = runner.run_with_path(path, folder, GUARD.format(folder=folder)).failure
    if failure is None:
        return False, "SURVIVED: every claim still held"
    if failure.name != "ClaimError":
        return False, f"stopped, but not by a claim: {failure}"
    return True, failure.message.splitlines()[0]


def pairs(notebook=None, mutation=None, part=None):
    """(path, mutation name) for all that the chapters list in their metadata."""
    found = []
    for path in chapters(part):
        listed = read(path).metadata.get("gan_book", {}).get("mutations", [])
        chosen = notebook is None or notebook in (chapter_name(path), str(path))
        chosen = chosen or Path(notebook).resolve() == path
        names = [mutation] if mutation and notebook else listed
        found += [(path, n) for n in names if chosen and mutation in (None, n)]
    return found


def main(notebook=None, mutation=None, part=None, processes=2):
    """Command `mutate`; returns 1 if any mutation was not caught by a claim."""
    todo = pairs(notebook, mutation, part)
    if not todo:
        print("No chapter lists such a mutation.")
        return 1
    survivors = 0
    with ProcessPoolExecutor(processes) as pool:
        results = pool.map(try_one, *zip(*todo, strict=True))
        for (path, name), (caught, seen) in zip(todo, results, strict=True):
            survivors += not caught
            verdict = "caught  " if caught else "NOT CAUGHT"
            print(f"{verdict} {chapter_name(path):32} {name:28} {seen}", flush=True)
    print(f"{len(todo) - survivors} of {len(todo)} mutations were caught by a claim.")
    return 1 if survivors else 0
