"""Where every random number of the book comes from: named, seeded streams, one per member."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Seed = int | Sequence[int]


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
    Different names (noise, data, weights, ...) give independent streams of the same seed.
    """

    def __init__(self, seed: Seed, name: str, device: torch.device | str = "cpu"):
        seeds = [seed] if isinstance(seed, int) else list(seed)
        if not seeds:
            raise ValueError("seed is an empty sequence; give an int or at least one seed.")
        self.members: tuple[int, ...] = () if isinstance(seed, int) else (len(seeds),)
        self.device = torch.device(device)
        self.generators = [
            torch.Generator(self.device).manual_seed(_derive(s, name)) for s in seeds
        ]

    def normal(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Standard normal numbers, `(*members, *shape)`."""
        return self._draw(torch.randn, shape, dtype)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Numbers uniform on [0, 1), `(*members, *shape)`."""
        return self._draw(torch.rand, shape, dtype)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers uniform on 0 … high − 1, `(*members, *shape)`."""
        return self._stack(lambda g: torch.randint(high, shape, generator=g, device=self.device))

    def state(self) -> list[Tensor]:
        """The position of every member's stream, to be stored in a checkpoint."""
        return [g.get_state() for g in self.generators]

    def load(self, state: list[Tensor]) -> None:
        """Continue where `state` was taken. Raises ValueError if the number of members differs."""
        if len(state) != len(self.generators):
            raise ValueError(
                f"the stored random state has {len(state)} members, this run has "
                f"{len(self.generators)}; resume with the seeds of the first run."
            )
        for generator, saved in zip(self.generators, state, strict=True):
            generator.set_state(saved)

    def _draw(self, sampler: Callable, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        # Drawn in float64 and cast: float32 draws differ between processors. MPS has no float64.
        wide = torch.float32 if self.device.type == "mps" else torch.float64
        draw = self._stack(lambda g: sampler(shape, generator=g, dtype=wide, device=self.device))
        return draw.to(dtype)

    def _stack(self, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        if not self.members:
            return draw(self.generators[0])
        return torch.stack([draw(generator) for generator in self.generators])


def _derive(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
