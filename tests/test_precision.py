"""Networks in bfloat16: products are narrow, everything else stays float32."""

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from gan_lib import critics, data, images
from gan_lib.networks import Linear, autocast, maxout_mlp, mlp
from gan_lib.regularizers import gradient_penalty
from gan_lib.spectral import singular_values, spectral_normalize
from gan_lib.training import train

SEEDS = [3, 11]
lone_and_ensemble = pytest.mark.parametrize("seed", [0, SEEDS], ids=["lone", "ensemble"])
NARROW = {
    "mlp": lambda seed: mlp([4, 16, 16, 3], seed, dtype=torch.float32, device="cpu"),
    "maxout": lambda seed: maxout_mlp([4, 6, 5, 1], 3, seed=seed, device="cpu").eval(),
    "tuple": lambda seed: critics.feature_critic(
        [4, 16, 16, 1], seed, dtype=torch.float32, device="cpu"
    ),
}
every_narrow = pytest.mark.parametrize("make", NARROW.values(), ids=NARROW)


def inputs(seed, *shape):
    members = () if isinstance(seed, int) else (len(seed),)
    return torch.randn(*members, *shape, generator=torch.manual_seed(0))


@lone_and_ensemble
def test_autocast_rounds_as_bfloat16_and_accumulates_wide(seed):
    """A product's factors lose a relative 2⁻⁹ each, and so do its bias and its result; no more."""
    layer = mlp([300, 50], seed, dtype=torch.float32, device="cpu")
    x = inputs(seed, 20, 300)
    w, b = (p.detach().double() for p in layer.parameters())
    exact = x.double() @ w + b
    error = (autocast(layer)(x).detach().double() - exact).abs()
    bound = 2**-8 * (x.double().abs() @ w.abs()) + 2**-9 * (b.abs() + exact.abs())
    assert (error <= 1.01 * bound).all()
    assert error.mean() > 2**-11 * exact.abs().mean(), "these are float32 numbers"
    assert (layer(x).detach().double() - exact).abs().max() < 1e-5, "the network is as it was"


@lone_and_ensemble
@every_narrow
def test_autocast_multiplies_in_bfloat16_and_returns_float32(make, seed):
    network, seen = make(seed), []
    for module in network.modules():
        if isinstance(module, Linear):
            module.register_forward_hook(lambda _, x, y: seen.append(y.dtype))
    x = inputs(seed, 20, 4)
    wide, wide_seen = network(x), seen.copy()
    seen.clear()
    narrow = autocast(network)(x)
    assert set(wide_seen) == {torch.float32} and set(seen) == {torch.bfloat16}
    assert type(narrow) is type(wide)
    for a, b in zip(tree_leaves(narrow), tree_leaves(wide), strict=True):
        assert a.dtype == torch.float32
        assert not torch.equal(a, b)
        assert (a - b).norm() < 1e-2 * b.norm()
    assert not torch.is_autocast_enabled("cpu"), "nothing outside the network is narrow"


@every_narrow
def test_autocast_gradients_are_float32_and_close(make):
    network, x = make(SEEDS), inputs(SEEDS, 20, 4)
    slopes = []
    for way in (network, autocast(network)):
        out = sum((y - 1).square().mean() for y in tree_leaves(way(x)))
        slopes.append(torch.autograd.grad(out, list(network.parameters())))
    for wide, narrow in zip(*slopes, strict=True):
        assert narrow.dtype == torch.float32 and narrow.isfinite().all()
        assert (narrow - wide).norm() < 3e-2 * wide.norm()


def test_autocast_tells_train_what_the_network_tells():
    squashed = mlp([2, 2], SEEDS, output="tanh", dtype=torch.float32, device="cpu")
    narrow = autocast(squashed)
    assert (narrow.members, narrow.scalar, narrow.output_range) == ((2,), False, (-1.0, 1.0))
    assert not hasattr(narrow, "pack")
    scores = mlp([4, 1], SEEDS, scalar=True, dtype=torch.float32, device="cpu")
    assert autocast(critics.packed(scores, 2)).pack == 2
    assert not hasattr(autocast(nn.Linear(2, 2)), "members")
    assert list(narrow.parameters())[0] is squashed[0].weight


def test_autocast_leaves_integers_alone():
    class Counts(nn.Linear):
        def forward(self, x):
            return super().forward(x), (x > 0).sum()

    y, n = autocast(Counts(2, 2))(torch.ones(5, 2))
    assert y.dtype == torch.float32 and n.dtype == torch.int64


TRAINS = {
    "ring": (SEEDS, [2, 16, 2], [2, 16, 1], data.ring(), {}),
    "ring, penalty": (SEEDS, [2, 16, 2], [2, 16, 1], data.ring(), "penalty"),
    "digits": (0, [2, 32, 784], [784, 32, 1], images.digits(), {}),
}


@pytest.mark.parametrize("seed, g, c, real, extra", TRAINS.values(), ids=TRAINS)
def test_autocast_trains(seed, g, c, real, extra):
    options = {"dtype": torch.float32, "device": "cpu"}
    more = {"regularizers": [gradient_penalty(1.0)]} if extra else {}
    runs = []
    for narrow in (lambda network: network, autocast):
        players = mlp(g, seed, **options), mlp(c, seed, scalar=True, **options)
        players = [narrow(p) for p in players]
        h = train(*players, real, data.normal(2), "non-saturating", 50, seed=seed, **more)
        assert h.critic_loss.dtype == torch.float32
        assert all(p.isfinite().all() and p.dtype == torch.float32 for p in players[0].parameters())
        runs.append(torch.stack([h.critic_loss, h.generator_loss]))
    wide, narrow = runs
    assert narrow.isfinite().all() and not torch.equal(wide, narrow)
    assert (narrow - wide).abs().max() < 0.1


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: autocast(mlp([2, 1], device="cpu")), "torch.float64: make .*dtype=torch.float32"),
        (lambda: autocast(nn.Linear(2, 1).bfloat16()), "bfloat16: make .*dtype=torch.float32"),
        (
            lambda: autocast(nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1).double())),
            "torch.float32, torch.float64",
        ),
        (lambda: autocast(nn.ReLU()), "these are none"),
        (lambda: autocast(nn.Linear(2, 1), torch.float16), "float16 is not bfloat16.*scaled"),
    ],
    ids=["float64", "bfloat16", "mixed", "none", "float16"],
)
def test_autocast_refuses(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_spectral_normalisation_stays_float32_under_autocast():
    """Eight bits would be all that u and v have, and float32 weights would no longer fit them."""
    made = {"dtype": torch.float32, "device": "cpu"}
    critic = spectral_normalize(mlp([2, 32, 1], scalar=True, **made))
    players = autocast(mlp([2, 8, 2], **made)), autocast(critic)
    train(*players, data.ring(), data.normal(2), "hinge", 60)
    assert {b.dtype for b in critic.buffers()} == {torch.float32}
    assert all(0.99 < s < 1.15 for s in map(float, singular_values(critic)))
