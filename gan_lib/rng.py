"""Where every random number of the book comes from: named, seeded streams, one per member."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

Seed = int | Sequence[int]
BLOCK, MOST_DRAWS = 2**15, 64  # numbers a member in one block, draws in one block


def member_seeds(seed: int, n: int) -> list[int]:
    """`n` seeds for an ensemble, disjoint for different `seed`, so that re-runs are independent."""
    return [1000 * seed + i for i in range(n)]


def resolve_device(device: str = "auto", dtype: torch.dtype = torch.float64) -> torch.device:
    """Turn "auto" into the best device that is here: CUDA, MPS (float32 only), else the CPU.

    Raises ValueError, naming what is available, when the device asked for is not there.
    """
    has_mps = torch.backends.mps.is_available() and dtype != torch.float64
    here = ["cpu"] + ["mps"] * has_mps + ["cuda"] * torch.cuda.is_available()
    if device == "auto":
        return torch.device(here[-1])
    if device.split(":")[0] not in [*here, "meta"]:  # before torch.device: it knows no "gpu"
        raise ValueError(
            f"device {device!r} is not available for {dtype} on this machine; "
            f"use device='auto' or one of {', '.join(here)}."
        )
    return torch.device(device)


class Streams:
    """A named random stream, or one per member when `seed` is a sequence.

    Draws have shape `(*members, *shape)`, where `members` is `()` for an int and `(len(seed),)` for a
    sequence. Member i draws exactly what a lone stream with `seed[i]` and the same name draws, whatever
    the other members do: that is what makes an ensemble equal to a loop of single runs.
    Different names (noise, data, weights, ...), and different shapes, give independent numbers.

    Small draws are made in blocks, many at a time: the call costs more than the numbers. Each block has
    a generator seeded by its place, so where a stream stands is just how often each shape was drawn.
    """

    def __init__(self, seed: Seed, name: str, device: torch.device | str = "cpu"):
        self.seeds = [seed] if isinstance(seed, int) else list(seed)
        if not self.seeds:
            raise ValueError("seed is an empty sequence; give an int or at least one seed.")
        self.name = name
        self.members: tuple[int, ...] = () if isinstance(seed, int) else (len(self.seeds),)
        self.device = torch.device(device)
        self.drawn: dict[str, int] = {}
        self._blocks: dict[str, Tensor] = {}

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Standard normal numbers, `(*members, *shape)`; float64 (float32 on MPS) unless `dtype` says."""
        return self._draw(torch.randn, "normal", shape).to(dtype=dtype)

    def uniform(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Numbers uniform on [0, 1), `(*members, *shape)`; dtype as for `normal`."""
        return self._draw(torch.rand, "uniform", shape).to(dtype=dtype)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers uniform on 0 … high − 1, `(*members, *shape)`."""
        return self._draw(partial(torch.randint, high), f"below {high}", shape, torch.int64)

    def state(self) -> dict:
        """The seeds and how often each kind of draw was made: all that a checkpoint needs."""
        return {"seeds": self.seeds, "name": self.name, "drawn": dict(self.drawn)}

    def load(self, state: dict) -> None:
        """Go on as the stream whose `state` this is. Raises ValueError for another number of members."""
        if len(state["seeds"]) != len(self.seeds):
            raise ValueError(
                f"the stored random state has {len(state['seeds'])} members, this run has "
                f"{len(self.seeds)}: resume with the seeds of the first run."
            )
        self.seeds, self.name = list(state["seeds"]), state["name"]
        self.drawn, self._blocks = dict(state["drawn"]), {}

    def _draw(
        self, sampler: Callable, kind: str, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        key = f"{kind} {shape}"
        size = max(1, min(MOST_DRAWS, BLOCK // max(1, math.prod(shape))))
        block, place = divmod(self.drawn.get(key, 0), size)
        if place == 0 or key not in self._blocks:
            # Drawn in float64 and cast: float32 draws differ between processors. MPS has no float64.
            wide = torch.float32 if self.device.type == "mps" else torch.float64
            seeds = [_derive(s, f"{self.name}/{key}/{block}") for s in self.seeds]
            draw = partial(sampler, (size, *shape), dtype=dtype or wide, device=self.device)
            self._blocks[key] = self._stack([draw(generator=self._generator(s)) for s in seeds])
        self.drawn[key] = self.drawn.get(key, 0) + 1
        return self._blocks[key][place]

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed)

    def _stack(self, draws: list[Tensor]) -> Tensor:
        return torch.stack(draws, 1) if self.members else draws[0]


def _derive(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
