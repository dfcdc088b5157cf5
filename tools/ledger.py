"""How often each claim holds: every chapter over seeds 0 to 9, and under each mutation that it lists.

`ledger/<part>/<chapter>.json` keeps the outcomes, with a hash of all that decides them. A file whose
hash is old is begun anew; what is there already is not run again, so a run may be stopped at any time.
"""

import ast
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial

import numpy as np
from tqdm import tqdm

from tools import mutate, runner
from tools.freshness import inputs_hash
from tools.notebooks import code_cells, digest, read
from tools.paths import ROOT, chapter_name, chapters

FOLDER = ROOT / "ledger"
SEEDS = range(10)

# What a run begins with: it goes on after a claim that fails, and draws no pictures.
FIRST_CELL = runner.GO_ON + runner.NO_PICTURES


class WithoutTies(ast.NodeTransformer):
    """Drops what a claim names (`statement`, `source`): renaming it does not change whether it holds."""

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "verify":
            node.keywords = [k for k in node.keywords if k.arg not in ("statement", "source")]
        return node


def runs_hash(nb):
    """Hash of all that decides whether a notebook's claims hold."""
    bare = nb.copy()
    bare.cells = [cell.copy() for cell in nb.cells]
    for cell in code_cells(bare):
        cell.source = ast.unparse(WithoutTies().visit(ast.parse(cell.source)))
    return digest([inputs_hash(bare)])


def edit_hash(name):
    """Hash of what a mutation replaces; a run of another edit under the same name does not count."""
    mutation = mutate.find(name)
    return digest([mutation.file, mutation.old, mutation.new], 8)


def file_of(path):
    """Where the outcomes of a chapter are kept."""
    return FOLDER / f"{chapter_name(path)}.json"


def load(path):
    """The outcomes of one chapter; without runs if there are none for its present code."""
    nb = read(path)
    claims = runner.claims_of(nb)
    new = {
        "hash": runs_hash(nb),
        "claims": [c["text"] for c in claims],
        "seeds": {},
        "mutations": {},
    }
    file = file_of(path)
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if stored.get("hash") != new["hash"] or stored.get("claims") != new["claims"]:
        new["seeds"]["0"] = outcome(new["claims"], claims, None)  # the committed run
        return new
    now = {name: edit_hash(name) for name in mutate.listed(path)}
    runs = stored["mutations"].items()
    return stored | {"mutations": {k: run for k, run in runs if now.get(k) == run["edit"]}}


def outcome(texts, claims, failure):
    """What one run says of each claim: its median, which failed, which were never reached, and why."""
    found = {c["text"]: c for c in claims}
    medians = [found.get(text, {}).get("measured") for text in texts]
    return {
        "medians": [None if m is None else middle(m) for m in medians],
        "failed": [i for i, text in enumerate(texts) if not found.get(text, {}).get("holds", True)],
        "missing": [i for i, text in enumerate(texts) if text not in found],
        "stopped": None if failure is None else f"{failure.name}: {failure.message}"[:200],
    }


def middle(measured):
    """The median with four digits; None where it is infinite or not a number."""
    value = float(np.median(measured))
    return float(f"{value:.4g}") if np.isfinite(value) else None


def run(path, kind, key, texts):
    """One run of one chapter: a seed, or a mutation."""
    began = time.perf_counter()
    if kind == "seeds":
        result, edit = runner.run(path, {"seed": int(key)}, FIRST_CELL), {}
    else:
        result, edit = mutate.run_planted(path, key, FIRST_CELL), {"edit": edit_hash(key)}
    found = outcome(texts, result.claims, result.failure) | edit
    return found, time.perf_counter() - began


def missing(path, kinds):
    """(path, kind, key, texts) for each run that a chapter's file lacks."""
    stored = load(path)
    wanted = {"seeds": map(str, SEEDS), "mutations": mutate.listed(path)}
    return [
        (path, kind, key, stored["claims"])
        for kind in kinds
        for key in wanted[kind]
        if key not in stored[kind]
    ]


def save(path, stored):
    """Write the outcomes of a chapter."""
    file = file_of(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text_of(stored), encoding="utf-8", newline="\n")


def keep(path, kind, key, found, before):
    """Add one outcome to the chapter's file; False if the chapter was edited since its hash was `before`."""
    stored = load(path)
    if stored["hash"] != before:
        return False
    stored[kind] = dict(sorted((stored[kind] | {key: found}).items()))
    save(path, stored)
    return True


def text_of(stored):
    """JSON with one run a line, which makes readable diffs."""
    dumps = partial(json.dumps, ensure_ascii=False, separators=(",", ":"))
    parts = [f'"hash":{dumps(stored["hash"])}']
    parts.append('"claims":[\n' + ",\n".join(dumps(text) for text in stored["claims"]) + "]")
    for kind in ("seeds", "mutations"):
        runs = [f"{dumps(key)}:{dumps(found)}" for key, found in stored[kind].items()]
        parts.append(f'"{kind}":{{\n' + ",\n".join(runs) + "}")
    return "{" + ",\n".join(parts) + "}\n"


def say(task, found, seconds):
    """One line on one run."""
    path, kind, key, texts = task
    failed = [texts[i] for i in found["failed"]]
    verdict = f"{len(failed)} failed, {len(found['missing'])} not reached"
    stop = f"; stopped: {found['stopped']}" if found["stopped"] else ""
    which = f": {failed[0]}" if failed and kind == "seeds" else ""
    return f"{chapter_name(path):40} {kind[:-1]} {key}: {verdict}{which}{stop} ({seconds:.0f} s)"


def main(notebook=None, part=None, kinds=("seeds", "mutations"), processes=2):
    """Command `ledger`: run what is missing; returns the exit status."""
    hashes = {}
    for path in [p for p in chapters(part) if notebook in (None, chapter_name(p))]:
        stored = load(path)
        hashes[path] = stored["hash"]
        save(path, stored)  # also where nothing has to run: the committed run counts as seed 0
    todo = [task for path in hashes for task in missing(path, kinds)]
    failures = []
    with ProcessPoolExecutor(processes) as pool, tqdm(total=len(todo), unit="run") as bar:
        waiting = {pool.submit(run, *task): task for task in todo}
        for future in as_completed(waiting):
            task = path, kind, key, _ = waiting[future]
            bar.update()
            if error := future.exception():  # the other runs go on
                failures.append(f"{chapter_name(path)}, {kind[:-1]} {key}: {error!r}")
                bar.write(failures[-1])
                continue
            found, seconds = future.result()
            if keep(path, kind, key, found, hashes[path]):
                bar.write(say(task, found, seconds))
    if failures:
        print(*failures, f"{len(failures)} runs could not be made.", sep="\n")
    return int(bool(failures))
