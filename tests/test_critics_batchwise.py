"""Minibatch discrimination by a double loop; packing by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_lib.critics import (
    MinibatchDiscrimination,
    loss_sensitive,
    minibatch_critic,
    packed,
    with_samples,
)
from gan_lib.data import normal, ring
from gan_lib.networks import mlp
from gan_lib.rng import Streams
from gan_lib.training import train


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed))


# ---- minibatch discrimination --------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_nearness_by_a_double_loop(n, kernels, dims, seed):
    layer = MinibatchDiscrimination(4, kernels, dims, Streams([seed, 7], "x"))
    x = randn(2, n, 4, seed=seed)
    out = layer(x)
    assert out.shape == (2, n, 4 + kernels) and torch.equal(out[..., :4], x)
    tensor = layer.tensor.detach().reshape(2, 4, kernels, dims)
    for m in range(2):
        rows = torch.einsum("na,abc->nbc", x[m], tensor[m]).tolist()
        for i in range(n):
            for b in range(kernels):
                near = [
                    math.exp(-sum(abs(u - v) for u, v in zip(rows[i][b], other[b], strict=True)))
                    for other in rows
                ]
                assert out[m, i, 4 + b].item() == pytest.approx(sum(near), rel=1e-12)


def test_nearness_counts_the_sample_itself_and_all_its_copies():
    layer = MinibatchDiscrimination(3, 5, 2, Streams(0, "x"))
    x = randn(1, 3)
    assert layer(x)[0, 3:].tolist() == [1] * 5
    assert layer(x.repeat(8, 1))[:, 3:].flatten().tolist() == [8] * 40
    spread = layer(1e6 * randn(8, 3))[:, 3:]
    torch.testing.assert_close(spread, torch.ones_like(spread))


def test_order_in_the_batch_does_not_matter():
    layer = MinibatchDiscrimination(3, 2, 2, Streams(0, "x"))
    x, order = randn(6, 3), torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(layer(x[order]), layer(x)[order])


def test_nearness_slopes_once_and_twice():
    layer = MinibatchDiscrimination(3, 2, 2, Streams([0, 1], "x"))
    x = randn(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x), "a gradient penalty differentiates twice"


def test_minibatch_critic_is_its_layers():
    critic = minibatch_critic([2, 6, 5, 1], 3, 2, [0, 4], device="cpu")
    body = mlp([2, 6, 5], [0, 4], "leaky_relu", output="leaky_relu", device="cpu")
    x = randn(2, 7, 2)
    near = critic[-2](body(x))
    assert near.shape == (2, 7, 5 + 3)
    torch.testing.assert_close(critic(x), (near @ critic[-1].weight + critic[-1].bias)[..., 0])
    for i, seed in enumerate((0, 4)):
        lone = minibatch_critic([2, 6, 5, 1], 3, 2, seed, device="cpu")
        torch.testing.assert_close(critic(x)[i], lone(x[i]))


# ---- packing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, [1, 2]])
def test_packing_by_one_changes_nothing(seed):
    critic = mlp([2, 4, 1], seed, scalar=True, device="cpu")
    x = randn(6, 2) if isinstance(seed, int) else randn(2, 6, 2)
    assert torch.equal(packed(critic, 1)(x), critic(x))
    assert packed(critic, 1).members == critic.members


@pytest.mark.parametrize("m", [2, 3])
def test_successive_samples_are_judged_together(m):
    critic = mlp([2 * m, 4, 1], [1, 2], scalar=True, device="cpu")
    x = randn(2, 6, 2)
    score = packed(critic, m)(x)
    assert score.shape == (2, 6 // m)
    for group in range(6 // m):
        together = torch.cat([x[:, m * group + i] for i in range(m)], -1)
        torch.testing.assert_close(score[:, group], critic(together.unsqueeze(1))[:, 0])


def test_images_are_packed_by_channel():
    seen = []
    network = torch.nn.Flatten()
    network.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = randn(6, 1, 4, 4)
    packed(network, 3)(x)
    assert seen[0].shape == (2, 3, 4, 4) and torch.equal(seen[0][1, 2], x[5, 0])


def test_packed_slopes_stay_in_their_group():
    x = randn(2, 4, 2).requires_grad_()
    score = packed(mlp([4, 4, 1], [1, 2], "tanh", scalar=True, device="cpu"), 2)(x)
    score[1, 0].backward()
    assert x.grad[1, :2].all() and not x.grad[1, 2:].any() and not x.grad[0].any()


def test_a_loss_sensitive_critic_can_be_packed():
    critic = packed(with_samples(mlp([4, 8, 1], scalar=True)), 2)
    history = train(mlp([2, 2]), critic, ring(), normal(2), loss_sensitive(), 3, batch=8)
    assert history.critic_loss.isfinite().all()


def start(critic, batch=8):
    return train(mlp([2, 2]), critic, ring(), normal(2), "non-saturating", 1, batch=batch)


ERRORS = {
    "remainder": (lambda: start(packed(mlp([4, 1], scalar=True), 2), 7), "7 cannot be packed by 2"),
    "width": (lambda: start(packed(mlp([2, 1], scalar=True), 2)), r"input size 2 · 2 = 4"),
    "no samples": (lambda: packed(mlp([2, 1]), 0), "m=0"),
    "not whole": (lambda: packed(mlp([2, 1]), 1.5), "m=1.5"),
    "no hidden layer": (lambda: minibatch_critic([2, 1]), "hidden"),
    "not a score": (lambda: minibatch_critic([2, 3, 2]), "hidden …, 1"),
}


@pytest.mark.parametrize("make, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_a_penalty_per_sample_is_refused_where_samples_mix():
    from gan_lib.regularizers import wgan_gp

    generator, critic = mlp([2, 4, 2]), minibatch_critic([2, 4, 1])
    with pytest.raises(ValueError, match="looks at the whole batch"):
        train(generator, critic, ring(), normal(2), "non-saturating", 1, regularizers=[wgan_gp()])
