"""How fast is training? `make bench` prints tables; nothing here is a test, because times vary.

The contestants of a comparison take turns and the median over the turns counts. Time is the processor's, so
that whatever else the machine does hits all of them alike, and little; with two threads it is that of the
clock, and wants an idle machine. A turn includes making the networks; it is long enough for that not to
count. Memory is the peak of a process that does nothing else, less that of one that does nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST
from torchvision.transforms import Compose, Normalize, ToTensor

from benchmarks.cases import Bench
from gan_lib import data, images
from gan_lib.networks import mlp
from gan_lib.rng import member_seeds
from gan_lib.training import adam, train

BATCH, GENERATOR, CRITIC = 64, [128, 256, 784], [784, 256, 1]  # digits, float32


def library(steps: int, objective: str = "non-saturating") -> None:
    """`gan_lib.training.train` on digits."""
    g = mlp(GENERATOR, output="sigmoid", dtype=torch.float32, device="cpu")
    c = mlp(CRITIC, scalar=True, dtype=torch.float32, device="cpu")
    train(g, c, images.digits(), data.normal(GENERATOR[0]), objective, steps, batch=BATCH)


def layers(sizes: list[int], *output: nn.Module) -> nn.Sequential:
    """The networks of gan_lib from PyTorch's own layers."""
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    parts = [part for a, b in pairs for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts[:-1], *output)


def loop(steps: int, g: nn.Module, c: nn.Module, real: Callable, noise: Callable) -> None:
    """The work of `train` by hand: fused Adam, fakes without graph, critic frozen for the generator."""
    g_adam, c_adam = adam()(g.parameters()), adam()(c.parameters())
    for _ in range(steps):
        x = real()
        with torch.no_grad():
            fake = g(noise())
        c_adam.zero_grad()
        (softplus(-c(x)).mean() + softplus(c(fake)).mean()).backward()
        c_adam.step()
        c.requires_grad_(False)
        g_adam.zero_grad()
        softplus(-c(g(noise()))).mean().backward()
        g_adam.step()
        c.requires_grad_(True)


def bare(steps: int) -> None:
    """The bare loop on digits."""
    x = images.digits().x
    real = lambda: x[torch.randint(len(x), (BATCH,))]  # noqa: E731
    g, c = layers(GENERATOR, nn.Sigmoid()), layers(CRITIC)
    loop(steps, g, c, real, lambda: torch.randn(BATCH, GENERATOR[0]))


class Pictures(MNIST):
    """Our digits in torchvision's own class: each sample is made a picture, then transformed."""

    def __init__(self) -> None:
        self.data = (255 * images.digits().x).round().to(torch.uint8).reshape(-1, 28, 28)
        self.targets = torch.zeros(len(self.data), dtype=torch.int64)
        self.transform = Compose([ToTensor(), Normalize((0.5,), (0.5,))])
        self.target_transform = None


def textbook(steps: int, pictures: Pictures) -> None:
    """Most tutorials: a DataLoader, plain Adam, critic not frozen, losses read at each step."""
    g, c = layers(GENERATOR, nn.Tanh()), layers(CRITIC)
    g_adam, c_adam = (torch.optim.Adam(net.parameters(), 1e-3, (0.5, 0.9)) for net in (g, c))
    criterion = nn.BCEWithLogitsLoss()
    loader, losses = DataLoader(pictures, BATCH, shuffle=True, drop_last=True), []
    while len(losses) < steps:
        for (x, _), _ in zip(loader, range(steps - len(losses)), strict=False):
            fake = g(torch.randn(BATCH, GENERATOR[0]))
            ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
            c_adam.zero_grad()
            c_loss = criterion(c(x.flatten(1)), ones) + criterion(c(fake.detach()), zeros)
            c_loss.backward()
            c_adam.step()
            g_adam.zero_grad()
            g_loss = criterion(c(fake), ones)
            g_loss.backward()
            g_adam.step()
            losses.append((c_loss.item(), g_loss.item()))


def rings(steps: int, runs: list, hidden: int, batch: int) -> None:
    """Ring GANs in float64 by `train`, one call for each of `runs`: a seed, or many for an ensemble."""
    for seed in runs:
        g = mlp([2, hidden, hidden, 2], seed, device="cpu")
        c = mlp([2, hidden, hidden, 1], seed, scalar=True, device="cpu")
        train(g, c, data.ring(), data.normal(2), "non-saturating", steps, batch=batch, seed=seed)


def bare_rings(steps: int, n: int, hidden: int, batch: int) -> None:
    """n ring GANs, one after the other, in the bare loop."""
    means = data.ring().means
    noise = lambda: torch.randn(batch, 2, dtype=torch.float64)  # noqa: E731
    real = lambda: means[torch.randint(8, (batch,))] + 0.05 * noise()  # noqa: E731
    for _ in range(n):
        g, c = (layers([2, hidden, hidden, out]).double() for out in (2, 1))
        loop(steps, g, c, real, noise)


def peak(work: Callable | None, threads: int) -> float:
    """The most memory that this process has held, in MiB, after a few steps of `work`."""
    torch.set_num_threads(threads)
    if work:
        work(20)
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # on Linux a new process starts with the getrusage peak of the one that made it
        return int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts in bytes


def memory(work: Callable, threads: int) -> float:
    """What `work` needs beyond an idle process, in MiB; each is measured in a fresh one."""
    fresh = multiprocessing.get_context("spawn")
    found = []
    for task in (None, work):
        with fresh.Pool(1) as pool:
            found.append(pool.apply(peak, (task, threads)))
    return found[1] - found[0]


def compare(
    title: str,
    contestants: dict[str, Callable],
    steps: int,
    turns: int,
    threads: int = 1,
    weigh: bool = False,
) -> None:
    """Let contestants take turns; print the median time a step, its ratio to the first's, memory."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    times = {name: [] for name in contestants}
    for turn in range(turns + 1):  # the first turn warms up
        for name, work in contestants.items():
            start = clock()
            work(steps)
            if turn:
                times[name].append(1e3 * (clock() - start) / steps)
    first = next(iter(times.values()))
    for name, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent, first, strict=True))
        line = f"{title:<28} {name:<40} {statistics.median(spent):9.3f} {ratio:7.3f}"
        weight = f" {memory(contestants[name], threads):7.0f}" if weigh else ""
        print(line + weight, flush=True)


def players(turns: int) -> None:
    """`train` against the same work by hand and against the textbook's form."""
    forms = {"bare loop": bare, "gan_lib train": library}
    forms["textbook form, with DataLoader"] = partial(textbook, pictures=Pictures())
    compare("digits 784-256, batch 64", forms, 300, turns)


def ensembles(turns: int) -> None:
    """16 seeds at once against one after the other."""
    seeds = member_seeds(0, 16)
    for threads in (1, 2):
        for hidden, m in ((32, 64), (64, 128)):
            size = {"hidden": hidden, "batch": m}
            contest = {"one ensemble of 16": partial(rings, runs=[seeds], **size)}
            contest["16 runs of train"] = partial(rings, runs=seeds, **size)
            contest["16 bare loops, nn.Sequential"] = partial(bare_rings, n=16, **size)
            title = f"rings {hidden}, batch {m}, {threads} threads"
            compare(title, contest, 100, turns, threads, weigh=True)


def costs(turns: int) -> None:
    """What a step of everything costs, relative to a plain GAN with the same networks."""
    for title, bench in {
        "ring 2-16-16, float64": Bench(),
        "digits 784-256, float32": Bench(dtype=torch.float32, digits=True),
    }.items():
        plain = {"plain GAN": bench.objective("non-saturating")}
        plain["plain GAN, dropout as regularisers"] = bench.with_dropout
        compare(title, {**plain, **bench.all()}, 60, turns)


PARTS = {"players": (players, 9), "ensembles": (ensembles, 5), "costs": (costs, 5)}

if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    arguments.add_argument("--turns", type=int, help="turns each contestant takes")
    options = arguments.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        arguments.error(f"unknown part {', '.join(unknown)}; choose from {', '.join(PARTS)}.")
    title = f"{'torch ' + torch.__version__:<28} {'':<40}"
    print(f"{title} {'ms/step':>9} {'ratio':>7} {'MiB':>7}")
    for name in options.parts or PARTS:
        part, turns = PARTS[name]
        part(options.turns or turns)
