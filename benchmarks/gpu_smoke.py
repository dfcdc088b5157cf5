"""Does everything train on this device, and how fast? One table; chapters at full scale on request.

    python -m benchmarks.gpu_smoke                  # the best device that is here
    python -m benchmarks.gpu_smoke --device cuda --chapters --save

Trains every objective, regulariser and critic for a few steps: on the ring in float32, and on digits in
float32 and under bfloat16 autocast. `--chapters` then runs every notebook with scale="full". `--save` writes
`results/gpu_smoke_<device>.json`. Exits with 1 if anything failed.

It has run on a CPU only: the repository holds no numbers of a GPU until somebody runs it on one.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
import sys
import time
from pathlib import Path

import torch

from benchmarks.cases import Bench, Case, as_it_is
from gan_lib.networks import autocast
from gan_lib.rng import resolve_device
from tools.machine import processor

ROOT = Path(__file__).resolve().parents[1]
TABLES = {  # title → what `Bench` is given
    "ring, float32": {"digits": False, "wrap": as_it_is},
    "ring, bfloat16": {"digits": False, "wrap": autocast},
    "digits, float32": {"digits": True, "wrap": as_it_is},
    "digits, bfloat16": {"digits": True, "wrap": autocast},
}


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {device.type}, {torch.get_num_threads()} threads"


def wait(device: torch.device) -> None:
    """Until the device has done what it was given: its clock is not ours."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()


def milliseconds_per_step(case: Case, steps: int, device: torch.device) -> float:
    """One run warms up, a second is timed. Raises ArithmeticError for a loss that is not finite."""
    case(steps)
    wait(device)
    start = time.perf_counter()
    history = case(steps)
    wait(device)
    spent = time.perf_counter() - start
    losses = torch.stack([history.critic_loss, history.generator_loss])
    if losses.device.type != device.type or not losses.isfinite().all():
        raise ArithmeticError(f"losses on {losses.device}, not all finite: {losses[:, -1]}")
    return 1e3 * spent / steps


def measure(steps: int, device: torch.device, only: str = "") -> dict[str, dict]:
    """name → table → milliseconds a step, or the error in a word."""
    results: dict[str, dict] = {}
    for title, choice in TABLES.items():
        cases = Bench(device, torch.float32, **choice).all()
        for name, case in cases.items():
            if not re.search(only, name):
                continue
            try:
                found = round(milliseconds_per_step(case, steps, device), 3)
            except Exception as error:  # the table is about what works: go on, and say what did not
                found = f"{type(error).__name__}: {error}"
            results.setdefault(name, {})[title] = found
    return results


def show(results: dict[str, dict]) -> list[str]:
    """Print the table; return a line for each failure."""
    print(f"{'ms a step':<44}" + "".join(f"{title:>18}" for title in TABLES))
    for name, row in results.items():
        cells = [row.get(title, "") for title in TABLES]
        shown = [f"{c:.2f}" if isinstance(c, float) else "failed" if c else "" for c in cells]
        print(f"{name:<44}" + "".join(f"{cell:>18}" for cell in shown))
    found = ((name, t, c) for name, row in results.items() for t, c in row.items())
    return [f"{name}, {title}: {cell}" for name, title, cell in found if isinstance(cell, str)]


def run_chapters(device: torch.device) -> tuple[dict[str, float], list[str]]:
    """Every notebook at full scale on the device: seconds, and what failed."""
    from tools import runner
    from tools.paths import chapter_name, chapters

    seconds, failures = {}, []
    for chapter in chapters():
        start = time.perf_counter()
        result = runner.run(chapter, parameters={"scale": "full", "device": str(device)})
        seconds[chapter_name(chapter)] = round(time.perf_counter() - start, 1)
        print(f"{chapter_name(chapter):<44}{seconds[chapter_name(chapter)]:>16.1f} s", flush=True)
        failures += [f"{chapter_name(chapter)}: {result.failure}"] if result.failure else []
    return seconds, failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=20, help="steps of each timed run")
    parser.add_argument("--only", default="", help="a pattern that names must contain")
    parser.add_argument("--chapters", action="store_true", help='run them all with scale="full"')
    parser.add_argument("--save", action="store_true", help="write results/gpu_smoke_<device>.json")
    parser.add_argument("--out", type=Path, help="write to this file instead")
    args = parser.parse_args(arguments)
    device = resolve_device(args.device, torch.float32)
    if device.type == "cpu":
        torch.set_num_threads(1)
    shown = sys.argv[1:] if arguments is None else arguments
    record = {
        "command": " ".join(["python -m benchmarks.gpu_smoke", *shown]),
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "milliseconds_per_step": measure(args.steps, device, args.only),
    }
    print(record["hardware"])
    failures = show(record["milliseconds_per_step"])
    if args.chapters:
        record["chapter_seconds"], failed = run_chapters(device)
        failures += failed
    out = args.out or (ROOT / "results" / f"gpu_smoke_{device.type}.json" if args.save else None)
    if out:
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps({**record, "failures": failures}, indent=1) + "\n")
        print(out)
    print("\n".join(failures) or "everything trained")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
