"""Checks that are too long for every day take turns: which share of them runs today, and how to choose."""

import os
import time

# variable: (number of shares, what a run reports)
ROTATIONS = {
    "GAN_TEST_COLAB": (12, "chapters run as on Colab"),
    "GAN_TEST_PROCESSOR": (3, "chapters run as on another processor"),
    "GAN_TEST_MUTATIONS": (5, "planted bugs"),
}
SEEDS = 9


def today():
    """Days since 1970, which every rotation counts by."""
    return int(time.time() // 86400)


def seed():
    """The seed of the papermill runs: 1 to 9, another one each day, or GAN_TEST_SEED."""
    return int(os.environ.get("GAN_TEST_SEED") or 1 + today() % SEEDS)


def turn(variable):
    """Which share is due: a number as text, or `all`; the variable itself chooses another."""
    shares, _ = ROTATIONS[variable]
    chosen = os.environ.get(variable) or str(today() % shares)
    if chosen != "all" and not (chosen.isdigit() and int(chosen) < shares):
        raise SystemExit(f"{variable}={chosen}: choose one of 0 to {shares - 1}, or all.")
    return chosen


def due(items, variable):
    """The items whose turn it is: every n-th one, so that each has its turn within n days."""
    chosen = turn(variable)
    return list(items) if chosen == "all" else list(items)[int(chosen) :: ROTATIONS[variable][0]]


def fix():
    """Decide now, so that a run over midnight and its workers agree."""
    os.environ["GAN_TEST_SEED"] = str(seed())
    for variable in ROTATIONS:
        os.environ[variable] = turn(variable)


def report():
    """Lines that tell what is due today and how to choose another share."""
    lines = [f"notebooks are re-run with seed {seed()} (choose another with GAN_TEST_SEED=n)"]
    for variable, (shares, what) in ROTATIONS.items():
        chosen = turn(variable)
        share = "all of them" if chosen == "all" else f"share {chosen} of 0 to {shares - 1}"
        lines.append(f"{what}: {share} ({variable}=n or all)")
    return lines
