"""What to do beside training, every so many steps: look, measure, show progress, save.

A callback has `every` and is called with the `Run` at step 0, at each multiple of `every` and at the end.
None of them draws from the run's random streams, so looking never changes what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.std import tqdm

from gan_lib.training import Run, sample


class Snapshots:
    """Keep what the generator makes of the same noise `z` `(*members, n, dim)` in `history.snapshots`."""

    def __init__(self, z: Tensor, every: int):
        self.z, self.every = z, every

    def __call__(self, run: Run) -> None:
        run.history.snapshots.append((run.step, sample(run.generator, self.z).cpu()))


class Metric:
    """Keep `fn(generator, critic)`, a number or tensor, in `history.metrics[name]`.

    `fn` is called without gradients. A `Checkpoint` can hold numbers, tensors and lists of them.
    """

    def __init__(self, name: str, fn: Callable, every: int):
        self.name, self.fn, self.every = name, fn, every

    def __call__(self, run: Run) -> None:
        with torch.no_grad():
            measured = self.fn(run.generator, run.critic)
        if isinstance(measured, np.generic | np.ndarray):  # a checkpoint holds tensors and numbers
            measured = torch.as_tensor(measured) if measured.ndim else measured.item()
        run.history.metrics.setdefault(self.name, []).append((run.step, measured))


class Anneal:
    """Set options of both optimisers as functions of the step: `Anneal(lr=lambda t: .1 * .99**t)`."""

    every = 1

    def __init__(self, **schedules: Callable[[int], float]):
        self.schedules = schedules

    def __call__(self, run: Run) -> None:
        for optimizer in run.optimizers.values():
            for group in optimizer.param_groups:
                for option, schedule in self.schedules.items():
                    if option not in group:
                        raise ValueError(f"the optimiser has no option {option!r} to anneal.")
                    group[option] = schedule(run.step)


class Progress:
    """A progress bar, shown once a run takes longer than two seconds; silent if GAN_PROGRESS=0."""

    def __init__(self, label: str = "training", every: int = 20):
        self.label, self.every, self.bar = label, every, None

    def __call__(self, run: Run) -> None:
        if self.bar is None:
            off = os.environ.get("GAN_PROGRESS") == "0"
            self.bar = tqdm(
                total=run.total,
                initial=run.step,
                desc=self.label,
                unit="step",
                delay=2,
                disable=off,
            )
        self.bar.update(run.step - self.bar.n)
        if run.step == run.total:
            self.bar.close()
            self.bar = None


class Checkpoint:
    """Save the whole run to `path` every so many steps; go on with `train(..., resume=path)`."""

    last = True

    def __init__(self, path: str | Path, every: int):
        self.path, self.every = Path(path), every

    def __call__(self, run: Run) -> None:
        if run.step:
            run.save(self.path)
