"""Spectral normalisation against decompositions: what σ is, what it bounds, and when u and v move."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from gan_lib import data
from gan_lib.callbacks import Checkpoint
from gan_lib.networks import maxout_mlp, mlp
from gan_lib.regularizers import wgan_gp
from gan_lib.rng import Streams
from gan_lib.spectral import (
    lipschitz_bound,
    singular_values,
    spectral_normalize,
    weight_layers,
    weight_matrix,
)
from gan_lib.training import frozen, sample, train

SEEDS = [3, 11, 5]
NOISE, RING = data.normal(2), data.ring()


def critic(seed=0, sizes=(2, 16, 16, 1), **options):
    return mlp(list(sizes), seed, scalar=True, scale=1.0, device="cpu", **options)


def torch_critic():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(1),
        nn.Linear(75, 1),
        nn.Flatten(0),
    ]
    return nn.Sequential(*layers).double()


def points(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed))


NETWORKS = {  # constructor and an input
    "lone": (critic, points(9, 2)),
    "ensemble": (lambda: critic(SEEDS), points(3, 9, 2)),
    "maxout": (lambda: maxout_mlp([2, 6, 1], 3, [1, 1], 0, 1.0, torch.float64), points(9, 2)),
    "torch layers": (torch_critic, points(9, 1, 5, 5)),
}
every_network = pytest.mark.parametrize("make, x", NETWORKS.values(), ids=NETWORKS)
exact_or_not = pytest.mark.parametrize("exact", [False, True], ids=["iterated", "exact"])


def norms(network, which="weight"):
    """The largest singular value of each layer by NumPy, a list of arrays; `which`: "original" too."""
    found = []
    for layer in weight_layers(network):
        w = layer.weight if which == "weight" else layer.parametrizations.weight.original
        w = w.detach().numpy()
        w = w.reshape(len(w), -1) if isinstance(layer, (nn.Linear, nn.Conv2d)) else w
        found.append(np.linalg.svd(w, compute_uv=False)[..., 0])
    return found


def state(network):
    return {k: v.clone() if torch.is_tensor(v) else v for k, v in network.state_dict().items()}


def estimates(network):
    return [
        layer.parametrizations.weight[0].sigma(layer.parametrizations.weight.original).detach()
        for layer in weight_layers(network)
    ]


# -------------------------------------------------------------------------------------- what σ is


@every_network
def test_exact_normalises_every_layer_to_norm_one(make, x):
    plain, network = make(), spectral_normalize(make(), exact=True)
    for before, after in zip(norms(plain), norms(network), strict=True):
        np.testing.assert_allclose(after, np.ones_like(before), rtol=1e-12)
    for a, b in zip(weight_layers(plain), weight_layers(network), strict=True):
        ratio = a.weight / b.weight
        flat = ratio.flatten(1) if ratio.shape[0] == 3 and ratio.ndim == 3 else ratio.flatten()
        assert (flat.max(-1).values - flat.min(-1).values).max() < 1e-9, "only the scale changes"


@every_network
def test_power_iteration_converges_to_the_decomposition_from_below(make, x):
    network = spectral_normalize(make())
    truth = norms(network, "original")
    first = estimates(network)
    for a, b in zip(first, truth, strict=True):
        assert (a.numpy() <= b * (1 + 1e-12)).all()
    assert any((a.numpy() < 0.99 * b).any() for a, b in zip(first, truth, strict=True)), "too good"
    assert any((n > 1.01).any() for n in norms(network)), "an underestimate leaves a norm above 1"
    for _ in range(300):
        network(x)
    for a, b in zip(estimates(network), truth, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8)
    for value, oracle in zip(singular_values(network), norms(network), strict=True):
        np.testing.assert_allclose(value, oracle, rtol=1e-12)
        np.testing.assert_allclose(value, np.ones_like(oracle), rtol=1e-8)


def test_each_pass_makes_as_many_steps_as_asked():
    """Written out by NumPy: v = Wᵀu/‖·‖, u = Wv/‖·‖, once at the start and then once a pass."""
    for steps in (1, 3):
        network = spectral_normalize(critic(sizes=(4, 6, 1)), iterations=steps, seed=5)
        layer = weight_layers(network)[0]
        w = layer.parametrizations.weight.original.detach().numpy()
        u = Streams(5, "spectral 0").normal(4, 1).numpy()
        for _ in range(3):
            for _ in range(steps):
                v = w.T @ u / np.linalg.norm(w.T @ u)
                u = w @ v / np.linalg.norm(w @ v)
            np.testing.assert_allclose(layer.weight.detach(), w / (u.T @ w @ v), rtol=1e-12)
            network(points(2, 4))


def test_gradient_takes_u_and_v_as_constants():
    """Miyato et al. 2018, eq. 9-12: (1/σ)(G − ⟨G, W̄⟩ u vᵀ) for the slope G in W̄."""
    network = spectral_normalize(critic(sizes=(4, 6, 1))).eval()
    weight = weight_layers(network)[0].parametrizations.weight
    slope = points(4, 6)
    (found,) = torch.autograd.grad((slope * weight()).sum(), weight.original)
    u, v, w = weight[0].u, weight[0].v, weight.original.detach()
    sigma = (u.T @ w @ v).item()
    expected = (slope - (slope * w / sigma).sum() * (u @ v.T)) / sigma
    torch.testing.assert_close(found, expected)


def test_exact_is_differentiable_to_second_order():
    norm = spectral_normalize(critic(SEEDS, (3, 4, 1)), exact=True)[0].parametrizations.weight[0]
    w = points(3, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(norm, w) and torch.autograd.gradgradcheck(norm, w)


@exact_or_not
def test_a_layer_of_zeros_stays_finite(exact):
    network = spectral_normalize(mlp([2, 3, 1], scale=0.0, device="cpu"), exact=exact)
    network(points(4, 2)).sum().backward()
    assert all(p.grad.isfinite().all() and p.isfinite().all() for p in network.parameters())


# ---------------------------------------------------------------------------------- what it bounds


def slopes(network, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(network(x).sum(), x)[0]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "softplus"])
def test_no_slope_of_a_normalised_critic_exceeds_one(activation):
    x = 3 * points(3, 500, 2)
    plain = critic(SEEDS, activation=activation)
    assert (slopes(plain, x).norm(dim=-1).amax(-1) > 1.5).all(), "nothing to hold back"
    network = spectral_normalize(plain, exact=True)
    largest = slopes(network, x).norm(dim=-1).amax(-1)
    assert (largest <= 1 + 1e-12).all() and (largest > 0.05).all()
    torch.testing.assert_close(lipschitz_bound(network), torch.ones(3).double())


@every_network
def test_the_product_of_norms_bounds_every_slope(make, x):
    network = make()
    bound = lipschitz_bound(network)
    steepest = slopes(network, x).flatten(x.ndim - 1 if x.ndim == 3 else 1).norm(dim=-1).amax(-1)
    assert (steepest <= bound).all() and bound.shape == getattr(network, "members", ())
    if "Conv" not in str(network):
        np.testing.assert_allclose(bound, np.prod(norms(network), axis=0), rtol=1e-12)


def test_bound_is_reached_by_a_linear_chain():
    layers = [nn.Linear(3, 3, bias=False).double() for _ in range(2)]
    with torch.no_grad():
        for layer, values in zip(layers, ([5.0, 1.0, 0.1], [2.0, 1.0, 1.0]), strict=True):
            layer.weight.copy_(torch.diag(torch.tensor(values)))
    assert lipschitz_bound(nn.Sequential(*layers)).item() == pytest.approx(10.0)


@pytest.mark.parametrize("stride", [1, 2])
def test_norm_of_a_convolution_is_not_that_of_its_reshaped_kernel(stride):
    """The operator written out as a matrix, column by column: larger than σ, within √(h·w) of it."""
    torch.manual_seed(1)
    layer = nn.Conv2d(2, 3, 3, stride, padding=1, bias=False).double()
    with torch.no_grad():
        layer.weight.abs_()  # patches that overlap add up
    spectral_normalize(layer, exact=True)
    basis = torch.eye(2 * 8 * 8).double().reshape(-1, 2, 8, 8)
    operator = np.linalg.svd(layer(basis).detach().flatten(1).numpy(), compute_uv=False)[0]
    assert 1.2 < operator <= lipschitz_bound(layer).item() == pytest.approx(3.0)


# ------------------------------------------------------------------------------- when u and v move


@every_network
def test_evaluation_and_reading_move_nothing(make, x):
    network = spectral_normalize(make()).eval()
    before = state(network)
    for _ in range(2):
        sample(network, x), network(x), lipschitz_bound(network)
    network.train()
    for layer in weight_layers(network):
        _ = layer.weight, weight_matrix(layer)
    singular_values(network)
    assert all(torch.equal(v, before[k]) for k, v in state(network).items() if torch.is_tensor(v))
    network(x)
    moved = [k for k, v in state(network).items() if torch.is_tensor(v) and not v.equal(before[k])]
    assert moved and all(k[-2:] in (".u", ".v") for k in moved)


def test_two_passes_before_one_backward_keep_their_own_estimates():
    network = spectral_normalize(critic(sizes=(2, 8, 1)))
    x, y = points(2, 6, 2)
    weight = weight_layers(network)[0].parametrizations.weight
    old = weight[0].u
    kept = old.clone()
    separate = []
    for z in (x, y):
        twin = copy.deepcopy(network)
        if z is y:
            twin(x)
        twin(z).sum().backward()
        separate.append([p.grad for p in twin.parameters()])
    (network(x).sum() + network(y).sum()).backward()
    assert torch.equal(old, kept), "written in place"
    for p, a, b in zip(network.parameters(), *separate, strict=True):
        torch.testing.assert_close(p.grad, a + b, rtol=1e-12, atol=1e-12)


def test_members_are_normalised_apart():
    together = spectral_normalize(critic(SEEDS), seed=SEEDS)
    shared = spectral_normalize(critic(SEEDS), seed=4)
    assert together.members == (3,)
    x = points(3, 9, 2)
    out, out_shared = together(x), shared(x)
    for i, seed in enumerate(SEEDS):
        lone = spectral_normalize(critic(seed), seed=seed)
        assert lone.members == () and lone.scalar
        torch.testing.assert_close(out[i], lone(x[i]), rtol=1e-12, atol=1e-12)
        lone = spectral_normalize(critic(seed), seed=4)
        torch.testing.assert_close(out_shared[i], lone(x[i]), rtol=1e-12, atol=1e-12)


@exact_or_not
def test_state_dict_round_trip(exact):
    network = spectral_normalize(critic(), seed=1, exact=exact)
    for _ in range(3):
        network(points(5, 2))
    other = spectral_normalize(critic(7), seed=2, exact=exact)
    other.load_state_dict(network.state_dict())
    x = points(5, 2)
    for _ in range(2):
        assert torch.equal(network(x), other(x))
    assert len(state(network)) == (6 if exact else 12), "u and v of three layers travel along"


@exact_or_not
def test_frozen_passes_gradients_to_the_input_only(exact):
    network = spectral_normalize(critic(), exact=exact)
    x = points(5, 2).requires_grad_()
    with frozen(network):
        network(x).sum().backward()
    assert x.grad.any() and all(p.grad is None and p.requires_grad for p in network.parameters())


@exact_or_not
def test_training_moves_the_weights_resumes_bitwise_and_keeps_the_norms(exact, tmp_path):
    def go(steps, path):
        nets = (
            mlp([2, 6, 2], SEEDS, device="cpu"),
            spectral_normalize(critic(SEEDS, (2, 8, 1)), seed=SEEDS, exact=exact),
        )
        history = train(
            *nets, RING, NOISE, "non-saturating", steps, seed=SEEDS, batch=8, resume=path,
            regularizers=[wgan_gp()], callbacks=[Checkpoint(path, 10)],
        )  # fmt: skip
        return [*state(nets[0]).values(), *state(nets[1]).values(), history.critic_loss], nets[1]

    whole, network = go(40, tmp_path / "whole")
    go(20, tmp_path / "halves")
    halves, _ = go(40, tmp_path / "halves")
    assert all(torch.equal(a, b) for a, b in zip(whole, halves, strict=True))
    start = spectral_normalize(critic(SEEDS, (2, 8, 1)), exact=exact)
    for a, b in zip(network.parameters(), start.parameters(), strict=True):
        assert not torch.equal(a, b), "a parameter that is not trained"
    for values in norms(network):
        np.testing.assert_allclose(values, np.ones(3), rtol=1e-9 if exact else 1e-2)


def test_bias_and_other_parameters_are_left_alone():
    plain, network = critic(), spectral_normalize(critic())
    for a, b in zip(weight_layers(plain), weight_layers(network), strict=True):
        assert torch.equal(a.bias, b.bias)
        assert torch.equal(a.weight, b.parametrizations.weight.original)
    assert math.prod(p.numel() for p in plain.parameters()) == math.prod(
        p.numel() for p in network.parameters()
    )
    normalised = nn.Sequential(nn.Conv2d(1, 2, 3), nn.LayerNorm([2, 3, 3]), nn.BatchNorm2d(2))
    assert len(weight_layers(normalised)) == 1


WRONG = {
    "iterations": (lambda: spectral_normalize(critic(), 0), "iterations=0.*at least one"),
    "twice": (lambda: spectral_normalize(spectral_normalize(critic())), "parametrised already"),
    "no layer": (lambda: spectral_normalize(nn.ReLU()), "ReLU has no layer"),
    "unknown layer": (lambda: lipschitz_bound(nn.Embedding(3, 2)), "Embedding is not one of"),
    "seeds": (lambda: spectral_normalize(critic(SEEDS), seed=[1, 2]), "one seed a member"),
    "seeds of a lone one": (lambda: spectral_normalize(critic(), seed=[1]), "one seed a member"),
}


@pytest.mark.parametrize("make, says", WRONG.values(), ids=WRONG)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()
