"""Binary data: images turned into zeros and ones, and small distributions that can be enumerated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan_lib.images import Images
from gan_lib.rng import Streams


def binarised(images: Images, threshold: float = 0.5) -> Images:
    """The same images with x in {0, 1}: a pixel is 1 where its grey value lies above `threshold`.

    Raises ValueError unless 0 ≤ threshold < 1. Likelihoods are comparable only between models that
    saw the same binarisation; published numbers mostly use a random one (see `Rebinarised`).
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold={threshold}: grey values lie in [0, 1]; use one below 1.")
    return replace(images, x=(images.x > threshold).to(images.x.dtype))


@dataclass(frozen=True)
class Rebinarised:
    """Images whose pixels are tossed anew for each batch: 1 with the probability of the grey value.

    The data of Burda et al. (2016); toss once and keep the result for that of Germain et al. (2015).
    """

    images: Images

    @property
    def dim(self) -> int:
        return self.images.dim

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float32) -> Tensor:
        """m binary images `(*members, m, dim)`."""
        grey = self.images.sample(m, rng, dtype=torch.float64)
        return (rng.uniform(m, self.dim) < grey).to(dtype)

    def to(self, device: torch.device | str) -> Rebinarised:
        return Rebinarised(self.images.to(device))


def every_state(dim: int) -> Tensor:
    """All 2^dim binary vectors `(2^dim, dim)`, float64, in the order of binary numbers.

    Raises ValueError for dim outside 1 … 20.
    """
    if not 1 <= dim <= 20:
        raise ValueError(f"dim={dim}: 2^dim states are listed for 1 ≤ dim ≤ 20 only.")
    places = torch.arange(dim - 1, -1, -1)
    return (torch.arange(2**dim).unsqueeze(-1) >> places & 1).double()


@dataclass(frozen=True)
class BitTable:
    """A distribution on {0, 1}^dim given by its 2^dim probabilities, in the order of `every_state`.

    Raises ValueError if they are not 2^dim numbers ≥ 0 that sum to one.
    """

    probabilities: Tensor | Sequence[float]

    def __post_init__(self) -> None:
        p = torch.as_tensor(self.probabilities, dtype=torch.float64)
        object.__setattr__(self, "probabilities", p / p.sum())  # single precision sums to 1 ± 1e-7
        if p.ndim != 1 or len(p) < 2 or len(p) != 2**self.dim:
            raise ValueError(f"a table of shape {tuple(p.shape)}: give 2^dim probabilities.")
        if (p < 0).any() or abs(p.sum() - 1) > 1e-6:
            raise ValueError(f"probabilities must be ≥ 0 and sum to 1; they sum to {p.sum():.6g}.")

    @property
    def dim(self) -> int:
        return len(self.probabilities).bit_length() - 1

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float64) -> Tensor:
        """m states `(*members, m, dim)`."""
        edges = self.probabilities.cumsum(0)[:-1].to(rng.device)
        drawn = torch.bucketize(rng.uniform(m), edges, right=True)  # never a state without mass
        return every_state(self.dim).to(rng.device)[drawn].to(dtype)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats for x `(..., dim)` in {0, 1}."""
        return self.probabilities.to(x.device).log()[self.index(x)]

    def index(self, x: Tensor) -> Tensor:
        """The place of x `(..., dim)` in `every_state`, `(...)`: for counting what was sampled."""
        places = 2 ** torch.arange(self.dim - 1, -1, -1, device=x.device)
        return (x.long() * places).sum(-1)
