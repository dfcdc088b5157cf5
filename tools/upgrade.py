"""The command `upgrade-report`: run the chapters with other versions of the packages, and say what changed.

The other versions live in `.venv-upgrade`; neither `.venv` nor a notebook of the book is touched.
"""

import json
import os
import re
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name
from tqdm import tqdm

from tools import compare, environment, runner
from tools.notebooks import read
from tools.paths import BUILD, ROOT, chapter_name, chapters, recorded_times

FOLDER = ROOT / ".venv-upgrade"
PYTHON = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = FOLDER / "gan-course-setup.txt"
REPORT = BUILD / "upgrade-report.md"
SECTIONS = ("numbers", "notebooks")  # of requirements.txt: what a chapter runs on


def pinned(text, sections=SECTIONS):
    """Package -> version, from the named sections of requirements.txt (all lines if none are named)."""
    found, section = {}, None
    for line in text.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
        pin = re.fullmatch(r"([\w.-]+)==(\S+)", line.strip())
        if pin and (not sections or section in sections):
            found[canonicalize_name(pin[1])] = pin[2]
    return found


def wanted(pins, requirements, constraints):
    """Lines of the two files for pip: with `pins` replaced, or without any version if there are none."""
    required, others = pinned(requirements), pinned(constraints, None)
    if not pins:
        return sorted(required), []
    chosen = dict(pin.split("==") for pin in pins if pin.count("==") == 1)
    unknown = [
        p for p in pins if canonicalize_name(p.partition("==")[0]) not in required or "==" not in p
    ]
    if unknown:
        known = ", ".join(sorted(required))
        raise SystemExit(f"{unknown[0]}: give name==version, the name one of {known}.")
    chosen = {canonicalize_name(name): version for name, version in chosen.items()}
    kept = {n: v for n, v in (others | required | chosen).items() if n in chosen or n in others}
    return (
        sorted(f"{name}=={version}" for name, version in (required | chosen).items()),
        sorted(f"{name}=={version}" for name, version in kept.items()),
    )


def install(required, constraints):
    """Make `.venv-upgrade` from these lines, unless it is made of them already."""
    stamp = "\n".join([*required, "constraints", *constraints])
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == stamp and constraints:
        return
    print(f"[upgrade] installing into {FOLDER.name} (some 6 GB at first)", flush=True)
    if not PYTHON.exists():
        venv.create(FOLDER, with_pip=True)
    files = {"requirements.txt": required, "constraints.txt": constraints}
    for name, lines in files.items():
        (FOLDER / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "-r"]
    command += ["requirements.txt", "-c", "constraints.txt"]
    command += [] if constraints else ["--upgrade", "--upgrade-strategy", "eager"]
    command += [] if sys.stdout.isatty() else ["--quiet"]
    if subprocess.run(command, cwd=FOLDER).returncode:
        raise SystemExit(
            "[upgrade] pip found no set of packages with these versions; its lines above say which "
            "other pin stands in the way: give a version for it, too."
        )
    STAMP.write_text(stamp, encoding="utf-8")


def versions(path=None):
    """Installed packages and their versions, of a folder or of this environment."""
    found = metadata.distributions(path=[str(path)]) if path else metadata.distributions()
    return {canonicalize_name(package.metadata["Name"]): package.version for package in found}


def run(path):
    """Run a chapter in `.venv-upgrade`; returns its failure, its claims and the seconds."""
    began = time.perf_counter()
    result = subprocess.run(
        [str(PYTHON), "-m", "tools.upgrade", str(path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        return {"failure": last, "claims": [], "seconds": seconds}
    return json.loads(result.stdout.splitlines()[-1]) | {"seconds": seconds}


def inside(path):
    """What the process in `.venv-upgrade` does: run one chapter, print what `run` reads."""
    result = runner.run(path, first_cell=runner.GO_ON)
    failure = result.failure and str(result.failure)
    print(json.dumps({"failure": failure, "claims": result.claims}))


def one(path, recorded):
    """Run a chapter and compare it with what is committed."""
    name = chapter_name(path)
    before = recorded.get(name, {}).get("wall_seconds")
    return compare.change(name, runner.claims_of(read(path)), run(path), before)


def select(notebook=None, part=None):
    """The chapters to run: all, those of a part, or those that are named."""
    names = [name.strip() for name in (notebook or "").split(",") if name.strip()]
    found = [p for p in chapters(part) if not names or chapter_name(p) in names]
    if len(found) < len(names):
        raise SystemExit(f"Not all of {', '.join(names)} are chapters (write game/minimax).")
    return found


def main(pins=(), notebook=None, part=None, processes=2):
    """Command `upgrade-report`; returns 1 if a chapter stopped or a claim fell."""
    environment.prepare()
    paths = select(notebook, part)
    files = [
        (ROOT / f).read_text(encoding="utf-8") for f in ("requirements.txt", "constraints.txt")
    ]
    install(*wanted(pins, *files))
    recorded = recorded_times()
    changes = {}
    with ThreadPoolExecutor(processes) as pool, tqdm(total=len(paths), unit="chapter") as bar:
        waiting = {pool.submit(one, path, recorded): path for path in paths}
        for future in as_completed(waiting):
            changes[waiting[future]] = done = future.result()
            bar.write(f"{'STOPPED' if done.stopped else 'ran    '} {done.chapter}")
            bar.update()
    site = next(FOLDER.rglob("site-packages"))
    ordered = [changes[path] for path in paths]
    text = compare.report(ordered, versions(), versions(site), [p.partition("==")[0] for p in pins])
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(text, encoding="utf-8")
    print(f"\n{text}\nWritten to {REPORT.relative_to(ROOT)}.")
    fell = any(m.flipped and m.before["holds"] for change in ordered for m in change.moves)
    return int(fell or any(change.stopped for change in ordered))


if __name__ == "__main__":
    inside(Path(sys.argv[1]))
