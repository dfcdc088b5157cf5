"""What every stored result says of its making, and the command line of the scripts that make one."""

import argparse
import datetime
import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch

from tools.machine import processor

RESULTS = Path(__file__).resolve().parents[1] / "results"


def provenance(script: str, **arguments: int) -> dict:
    """Command (the arguments in the order given), date, hardware and versions of a one-thread run."""
    given = " ".join(f"--{name} {value}" for name, value in arguments.items())
    return {
        "command": f"python -m benchmarks.{script} {given}",
        "date": datetime.date.today().isoformat(),
        "hardware": f"{processor()}, one thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def store(script: str, about: str, steps: int, make: Callable[[int, int], dict]) -> None:
    """Run `make(steps, seed)` as the command line asks; keep what it returns in results/<script>.json."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / f"{script}.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    made = provenance(script, steps=args.steps, seed=args.seed)
    run = {"seed": args.seed, **made, **make(args.steps, args.seed)}
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(args.out, run["cpu_minutes"], "CPU minutes")
