"""Networks: an ensemble is a loop of single networks, and each layer is what its formula says."""

import math

import pytest
import torch
from torch.nn import functional as F

from gan_lib.networks import ACTIVATIONS, RANGES, Dropout, Maxout, maxout_mlp, mlp
from gan_lib.rng import Streams

SEEDS = [3, 11, 5]
NETWORKS = {
    "mlp": lambda seed: mlp([4, 16, 16, 3], seed, device="cpu"),
    "critic": lambda seed: mlp([4, 8, 1], seed, "leaky_relu", scalar=True, device="cpu"),
    "maxout": lambda seed: maxout_mlp(
        [4, 6, 5, 1], 3, seed=seed, dtype=torch.float64, device="cpu"
    ),
}
every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


@every_network
def test_weights_of_a_member_are_those_of_its_lone_seed(make):
    together = make(SEEDS)
    assert together.members == (3,)
    for i, seed in enumerate(SEEDS):
        lone = make(seed)
        assert lone.members == ()
        for a, b in zip(together.parameters(), lone.parameters(), strict=True):
            assert torch.equal(a[i], b)
    assert all(not torch.equal(p[0], p[1]) for p in together.parameters())


@every_network
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_ensemble_is_a_loop_of_single_networks(make, training):
    x = torch.randn(3, 20, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    together = make(SEEDS).train(training)
    out = [make(seed).train(training)(x[i]) for i, seed in enumerate(SEEDS)]
    torch.testing.assert_close(together(x), torch.stack(out), rtol=1e-12, atol=1e-12)


def test_mlp_is_the_composition_of_torch_layers():
    net = mlp([4, 8, 2], 0, "tanh", output="sigmoid", device="cpu")
    x = torch.randn(10, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    w1, b1, w2, b2 = net.parameters()
    expected = F.linear(F.linear(x, w1.T, b1[0]).tanh(), w2.T, b2[0]).sigmoid()
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("lead", [(), (7,), (2, 7)])
def test_lone_network_takes_any_leading_axes(lead):
    net, critic = mlp([4, 8, 2], device="cpu"), mlp([4, 8, 1], scalar=True, device="cpu")
    x = torch.randn(*lead, 5, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    assert net(x).shape == (*lead, 5, 2)
    assert critic(x).shape == (*lead, 5)
    torch.testing.assert_close(net(x).reshape(-1, 2), net(x.reshape(-1, 4)))


def test_scalar_only_drops_the_last_axis():
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    column, row = mlp([4, 8, 1], device="cpu"), mlp([4, 8, 1], scalar=True, device="cpu")
    assert torch.equal(column(x)[:, 0], row(x))
    assert row(x[:1]).shape == (1,), "a batch of one keeps its axis"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_their_formula(name):
    formula = {
        "relu": lambda x: x.clamp(min=0),
        "leaky_relu": lambda x: torch.where(x > 0, x, 0.2 * x),
        "tanh": torch.tanh,
        "sigmoid": lambda x: 1 / (1 + (-x).exp()),
        "softplus": lambda x: (1 + x.exp()).log(),
    }
    x = torch.linspace(-5, 5, 50, dtype=torch.float64).unsqueeze(-1)
    torch.testing.assert_close(ACTIVATIONS[name]()(x), formula[name](x))
    net = mlp([1, 4, 1], output=name, device="cpu")
    torch.testing.assert_close(net(x), formula[name](net[:-1](x)))


@pytest.mark.parametrize("output", RANGES)
def test_output_range_is_reached_and_kept(output):
    net = mlp([1, 1], output=output, scale=1.0, device="cpu")
    assert net.output_range == RANGES[output]
    y = net(torch.tensor([[-1e4], [1e4]], dtype=torch.float64))
    assert sorted(y.flatten().tolist()) == pytest.approx(RANGES[output], abs=1e-6)
    assert mlp([1, 1], device="cpu").output_range is None


@pytest.mark.parametrize("scale", [None, 0.01])
def test_weights_start_uniform_within_their_scale(scale):
    net = mlp([400, 300, 1], 0, scale=scale, device="cpu")
    for layer, inputs in ((net[0], 400), (net[2], 300)):
        bound = scale or 1 / math.sqrt(inputs)
        for p in layer.parameters():
            assert p.abs().max() <= bound
        spread = bound / math.sqrt(3)  # of a uniform distribution on ±bound
        assert layer.weight.std().item() == pytest.approx(spread, rel=0.1)
        assert abs(layer.weight.mean().item()) < 5 * spread / math.sqrt(layer.weight.numel())


def test_generator_and_critic_of_one_seed_start_from_different_numbers():
    g, c = mlp([2, 8, 2], 0, device="cpu"), mlp([2, 8, 1], 0, device="cpu")
    assert not torch.equal(g[0].weight, c[0].weight)


def test_maxout_is_the_largest_of_its_linear_maps():
    layer = Maxout(4, 6, 3, Streams(0, "x"))
    x = torch.randn(10, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    for unit in range(6):
        maps = [
            x @ layer.linear.weight[:, 3 * unit + piece] + layer.linear.bias[0, 3 * unit + piece]
            for piece in range(3)
        ]
        expected = torch.stack(maps).max(0).values
        torch.testing.assert_close(layer(x)[:, unit], expected)


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_dropout_keeps_the_share_it_says_and_the_mean(keep):
    layer = Dropout(keep, 0, "d", torch.device("cpu"))
    y = layer(torch.ones(200, 500))
    assert set(y.unique().tolist()) == {0.0, torch.tensor(1 / keep).item()}
    share = (y > 0).double().mean().item()
    assert abs(share - keep) < 5 * math.sqrt(keep * (1 - keep) / y.numel())
    assert not torch.equal(layer(torch.ones(200, 500)), y), "each pass draws anew"


def test_dropout_is_the_identity_in_evaluation_and_then_draws_nothing():
    layer = Dropout(0.5, 0, "d", torch.device("cpu"))
    state, x = layer.rng.state(), torch.randn(5, 3)
    assert layer.eval()(x) is x
    assert layer.rng.state() == state


def test_dropout_keeps_members_apart():
    ones = torch.ones(3, 30, 8)
    y = Dropout(0.5, SEEDS, "d", torch.device("cpu"))(ones)
    for i, seed in enumerate(SEEDS):
        assert torch.equal(y[i], Dropout(0.5, seed, "d", torch.device("cpu"))(ones[0]))
    assert not torch.equal(y[0], y[1])


def test_layers_of_dropout_are_independent():
    net = maxout_mlp([8, 8, 8, 1], 2, keep=[0.5] * 3, device="cpu")
    masks = [layer(torch.ones(50, 8)) for layer in net if isinstance(layer, Dropout)]
    assert not torch.equal(masks[0], masks[1]) and not torch.equal(masks[1], masks[2])


def test_state_dict_carries_the_dropout_stream():
    net = NETWORKS["maxout"](0)
    x = torch.randn(20, 4, dtype=torch.float64, generator=torch.manual_seed(0))
    net(x)
    other = NETWORKS["maxout"](1)
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(x), other(x))


def test_number_of_parameters():
    """Goodfellow's discriminator, and the multilayer perceptron of the first chapters."""
    count = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    assert count(mlp([128, 256, 784], device="cpu")) == 129 * 256 + 257 * 784
    assert count(mlp([2, 8, 1], [1, 2, 3], device="cpu")) == 3 * (3 * 8 + 9)
    five = maxout_mlp([784, 240, 240, 1], device="cpu")
    assert count(five) == 785 * 1200 + 241 * 1200 + 241
    assert max(p.abs().max() for p in five.parameters()) <= 0.005
    assert [layer.keep for layer in five if isinstance(layer, Dropout)] == [0.8, 0.5, 0.5]


ERRORS = {
    "activation": (lambda: mlp([1, 1], activation="gelu"), "unknown activation 'gelu'.*leaky_relu"),
    "output": (lambda: mlp([1, 1], output="softmax"), "unknown activation 'softmax'.*sigmoid"),
    "one size": (lambda: mlp([3]), "input and an output size"),
    "scalar": (lambda: mlp([3, 2], scalar=True), "end in 1"),
    "maxout scalar": (lambda: maxout_mlp([3, 2, 2], keep=[1, 1]), "end in 1"),
    "keep": (lambda: maxout_mlp([3, 2, 1]), "one a layer"),
    "device": (lambda: mlp([1, 1], device="abacus"), "'abacus' is not available"),
}


@pytest.mark.parametrize("make, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()
