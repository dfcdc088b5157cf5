"""Execute stale notebooks in parallel and write them back in canonical form."""

import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from tools import notebooks, runner
from tools.freshness import stamp, why_stale
from tools.paths import chapter_name, chapters


def execute(path):
    """Run one notebook and write it back; on failure the old file stays as it is."""
    began = time.perf_counter()
    result = runner.run(path)
    if result.failure is None:
        notebooks.write(stamp(notebooks.normalise(result.nb)), path)
    return result.failure, len(result.claims), time.perf_counter() - began


def choose(names, part, force):
    """(notebook, reason) for each notebook that has to run."""
    if names:
        missing = [n for n in names if not Path(n).exists()]
        if missing:
            raise SystemExit(f"There is no notebook {missing[0]}.")
    paths = [Path(n).resolve() for n in names] or chapters(part)
    reasons = {path: "asked for" if force else why_stale(path) for path in paths}
    fresh = [path for path in paths if not reasons[path]]
    for path in fresh:
        print(f"fresh    {chapter_name(path)}")
    return [(path, reasons[path]) for path in paths if reasons[path]]


def main(names=(), part=None, force=False, processes=2):
    """Command `execute`; returns the exit status."""
    todo = choose(names, part, force)
    for path, reason in todo:
        print(f"stale    {chapter_name(path)}: {reason}")
    if not todo:
        print("Nothing to execute: every notebook is fresh.")
        return 0
    failures = []
    with ProcessPoolExecutor(processes) as pool, tqdm(total=len(todo), unit="notebook") as bar:
        waiting = {pool.submit(execute, path): path for path, _ in todo}
        for future in as_completed(waiting):
            path = waiting[future]
            failure, claims, seconds = future.result()
            verdict = (
                f"FAILED   {chapter_name(path)}" if failure else f"done     {chapter_name(path)}"
            )
            bar.write(f"{verdict} in {seconds:.0f} s, {claims} claims verified")
            bar.update()
            failures += [(path, failure)] if failure else []
    for path, failure in failures:
        print(f"\n{chapter_name(path)} was left as it was. It stopped at {failure}")
    return 1 if failures else 0
