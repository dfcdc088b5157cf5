"""The committed feature network is the one that its record describes, and treats images one by one."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch

import gan_lib.features
from benchmarks.train_features import accuracy, distorted, train_features
from gan_lib import images
from gan_lib.features import WEIGHTS, DigitFeatures, feature_network
from gan_lib.rng import Streams

RECORD = json.loads(WEIGHTS.with_suffix(".json").read_text())
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def network():
    return feature_network("cpu")


@pytest.mark.parametrize("split", images.SPLITS)
def test_accuracy_is_the_one_on_record(network, split):
    """Up to one image, which another processor may round to the other side."""
    one_image = 1 / len(images.digits(split))
    assert accuracy(network, split) == pytest.approx(
        RECORD["accuracy"][split], abs=1.01 * one_image
    )


def test_record_tells_how_the_weights_came_about(network):
    assert RECORD["accuracy"]["test"] >= 0.95
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == RECORD["sha256"]
    assert WEIGHTS.stat().st_size < 150_000
    assert sum(p.numel() for p in network.parameters()) == RECORD["parameters"]
    assert RECORD["command"].startswith("python -m benchmarks.train_features ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", RECORD["date"]) and RECORD["hardware"]


def test_every_file_that_ships_is_declared():
    assert 'gan_lib = ["weights/*"]' in (ROOT / "pyproject.toml").read_text()
    shipped = {WEIGHTS.name, WEIGHTS.with_suffix(".json").name}
    assert {f.name for f in WEIGHTS.parent.iterdir()} == shipped


@pytest.mark.parametrize("lead", [(5,), (3, 4), (2, 3, 2)])
def test_members_and_samples_do_not_mix(network, lead):
    x = Streams(0, "x").uniform(*lead, 784, dtype=torch.float32)
    assert network(x).shape == (*lead, 64) and network.num_features == 64
    assert network.probabilities(x).shape == (*lead, 10)
    flat = x.reshape(-1, 784)
    alone = torch.cat([network(one[None]) for one in flat])
    torch.testing.assert_close(network(x).reshape(-1, 64), alone)


def test_each_output_is_made_of_the_one_before(network):
    x = images.digits("valid").x[:20]
    head = network.head[1]
    values = network(x)
    logits = torch.where(values > 0, values, 0.2 * values) @ head.weight.T + head.bias
    torch.testing.assert_close(network.logits(x), logits)
    exp = logits.exp()
    torch.testing.assert_close(network.probabilities(x), exp / exp.sum(-1, keepdim=True))


def test_every_feature_says_something(network):
    """Features that are constant on digits would make covariances singular for nothing."""
    spread = network(images.digits("valid").x).std(0)
    assert spread.min() > 0.1 * spread.max()


def test_loading_costs_no_random_numbers():
    before = torch.get_rng_state()
    feature_network("cpu")
    assert torch.equal(before, torch.get_rng_state())


def test_network_is_frozen_but_lets_gradients_pass_to_the_images(network):
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    x = images.digits("valid").x[:2].clone().requires_grad_()
    network.logits(x).sum().backward()
    assert x.grad.abs().sum() > 0


def test_any_precision_is_understood(network):
    x = images.digits("valid").x[:50]
    wide = feature_network("cpu", torch.float64)
    assert network(x.double()).dtype == torch.float32 and wide(x).dtype == torch.float64
    torch.testing.assert_close(wide(x).float(), network(x), rtol=1e-4, atol=1e-4)
    assert torch.equal(feature_network("cpu")(x), network(x)), "each call loads the same"


def test_images_are_read_row_by_row():
    network = DigitFeatures()
    seen = []
    network.body[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    x = torch.zeros(1, 784)
    x[0, 28 * 3 + 5] = 1
    network(x)
    assert seen[0].shape == (1, 1, 28, 28) and seen[0].nonzero().tolist() == [[0, 0, 3, 5]]


def test_a_few_steps_of_the_recipe_learn():
    assert accuracy(train_features(40, 0), "valid") > 0.4  # chance is 0.1


def test_distortions_are_small_and_different_for_each_image():
    x = images.digits("train").x[:1].repeat(400, 1)
    y = distorted(x, Streams(0, "d"))
    assert y.shape == x.shape and y.min() >= 0 and y.max() <= 1 + 1e-6
    assert not torch.equal(y[0], y[1])
    line = torch.arange(28.0)
    for axis in (-1, -2):  # centres of mass move by about a pixel and a half, in both directions
        mass = y.reshape(-1, 28, 28).sum(axis)
        moved = (mass * line).sum(-1) / mass.sum(-1)
        start = x[0].reshape(28, 28).sum(axis)
        moved = moved - (start * line).sum() / start.sum()
        assert abs(moved.mean().item()) < 0.4 and 1.0 < moved.std().item() < 2.0


def test_wrong_input_is_explained(network, monkeypatch):
    with pytest.raises(ValueError, match="784 pixels in a row, not 28"):
        network(torch.zeros(3, 28, 28))
    monkeypatch.setattr(gan_lib.features, "WEIGHTS", Path("nowhere.npz"))
    with pytest.raises(
        FileNotFoundError, match="nowhere.npz is missing.*benchmarks.train_features"
    ):
        feature_network("cpu")
