"""Execute stale notebooks in parallel, write them back in canonical form, note what they took."""

import datetime
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from tools import notebooks, runner
from tools.freshness import stamp, why_stale
from tools.machine import processor
from tools.paths import BOOK, TIMES, chapter_name, chapters, recorded_times


def children_seconds():
    """CPU seconds of the processes that this one has started and seen end; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def execute(path):
    """Run one notebook and write it back; on failure the old file stays as it is."""
    began, cpu = time.perf_counter(), children_seconds()
    result = runner.run(path)
    if result.failure is None:
        notebooks.write(stamp(notebooks.normalise(result.nb)), path)
    spent = {"wall_seconds": round(time.perf_counter() - began, 1)}
    if cpu is not None:  # the kernel has ended and was waited for: all that it used is counted
        spent["cpu_seconds"] = round(children_seconds() - cpu, 1)
    return result.failure, len(result.claims), spent


def record(path, spent, processes, file=TIMES):
    """Keep what one execution of a chapter took; the newest one replaces the one before."""
    if not path.is_relative_to(BOOK):
        return
    stored = recorded_times(file)
    today = datetime.date.today().isoformat()
    stored[chapter_name(path)] = spent | {
        "date": today,
        "hardware": f"{processor()}, one thread",
        "processes": processes,
    }
    temporary = file.with_name(file.name + ".part")
    temporary.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(file)


def choose(names, part, force):
    """(notebook, reason) for each notebook that has to run."""
    if names:
        missing = [n for n in names if not Path(n).exists()]
        if missing:
            raise SystemExit(f"There is no notebook {missing[0]}.")
    paths = [Path(n).resolve() for n in names] or chapters(part)
    for path in paths:
        notebooks.renew_colab_cell(path)
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
            failure, claims, spent = future.result()
            if failure is None:
                record(path, spent, min(processes, len(todo)))
            verdict = (
                f"FAILED   {chapter_name(path)}" if failure else f"done     {chapter_name(path)}"
            )
            bar.write(f"{verdict} in {spent['wall_seconds']:.0f} s, {claims} claims verified")
            bar.update()
            failures += [(path, failure)] if failure else []
    for path, failure in failures:
        print(f"\n{chapter_name(path)} was left as it was. It stopped at {failure}")
    return 1 if failures else 0
