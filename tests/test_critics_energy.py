"""EBGAN and loss-sensitive GAN against loops over samples, hand numbers and principal components."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_lib.critics import (
    Judged,
    Reconstruction,
    autoencoder_critic,
    energy_based,
    loss_sensitive,
    pretrain,
    pulling_away,
    with_samples,
)
from gan_lib.data import ring
from gan_lib.networks import mlp


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed))


# ---- the autoencoder -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["mean", "norm"])
@pytest.mark.parametrize("output", [None, "sigmoid"])
def test_energy_is_the_error_of_each_sample(kind, output):
    critic = autoencoder_critic([3, 5, 2], 0, "tanh", output, kind, device="cpu")
    w = [p.detach().numpy() for p in critic.parameters()]
    assert [m.shape for m in w[::2]] == [(3, 5), (5, 2), (2, 5), (5, 3)]
    x = randn(7, 3)
    energy, code = critic(x)
    for i in range(7):
        c = np.tanh(x[i].numpy() @ w[0] + w[1][0]) @ w[2] + w[3][0]
        y = np.tanh(c @ w[4] + w[5][0]) @ w[6] + w[7][0]
        y = 1 / (1 + np.exp(-y)) if output else y
        squares = sum((a - b) ** 2 for a, b in zip(y, x[i].tolist(), strict=True))
        expected = squares / 3 if kind == "mean" else math.sqrt(squares)
        np.testing.assert_allclose(energy[i].item(), expected, rtol=1e-12)
        np.testing.assert_allclose(code[i].detach(), c, rtol=1e-12)


def test_shapes_with_members():
    energy, code = autoencoder_critic([3, 5, 2], [0, 1], device="cpu")(randn(2, 7, 3))
    assert energy.shape == (2, 7) and code.shape == (2, 7, 2)


@pytest.mark.parametrize("kind", ["mean", "norm"])
def test_perfect_reconstruction_has_energy_and_slope_zero(kind):
    critic = autoencoder_critic([2, 2], energy=kind, device="cpu")
    for p in critic.parameters():
        p.data.copy_(torch.eye(2) if p.shape == (2, 2) else torch.zeros_like(p))
    x = randn(4, 2).requires_grad_()
    energy = critic(x).energy
    energy.sum().backward()
    assert not energy.any() and not x.grad.any()


# ---- the objective -------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.7, torch.tensor([0.7, 0.3], dtype=torch.float64)])
def test_critic_loss_and_slopes_by_a_loop(margin):
    real, fake = randn(2, 2, 5).abs().requires_grad_().unbind(0)
    real, fake = real.detach().requires_grad_(), fake.detach().requires_grad_()
    loss = energy_based(margin).critic_loss(Reconstruction(real, None), Reconstruction(fake, None))
    slopes = torch.autograd.grad(loss.sum(), (real, fake))
    for member in range(2):
        m = float(margin[member]) if isinstance(margin, torch.Tensor) else margin
        hinges = [max(0.0, m - e) for e in fake[member].tolist()]
        expected = sum(real[member].tolist()) / 5 + sum(hinges) / 5
        assert loss[member].item() == pytest.approx(expected, rel=1e-14)
        assert slopes[0][member].tolist() == [0.2] * 5
        assert slopes[1][member].tolist() == [-0.2 if h > 0 else 0.0 for h in hinges]
    assert 0 < sum(slopes[1].flatten() < 0) < 10, "some samples on either side of the margin"


def test_no_loss_once_data_is_free_and_samples_are_beyond_the_margin():
    zero, far = torch.zeros(4), torch.tensor([1.0, 2.0, 5.0, 1.5])
    loss = energy_based(1.0).critic_loss(Reconstruction(zero, None), Reconstruction(far, None))
    assert loss.item() == 0


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_generator_pays_its_energy_and_its_sameness(weight):
    code, energy = randn(3, 6, 2), randn(3, 6, seed=1).abs()
    loss = energy_based(1.0, weight).generator_loss(None, Reconstruction(energy, code))
    expected = [sum(e) / 6 + weight * sameness(c) for e, c in zip(energy, code, strict=True)]
    torch.testing.assert_close(loss, torch.stack(expected))


def sameness(code):
    """The mean squared cosine of all ordered pairs of different samples, by a double loop."""
    pairs = [(a, b) for i, a in enumerate(code) for j, b in enumerate(code) if i != j]
    cosines = [torch.dot(a, b) / math.sqrt(torch.dot(a, a) * torch.dot(b, b)) for a, b in pairs]
    return sum(c**2 for c in cosines) / len(pairs)


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_pulling_away_by_a_double_loop(n, c, seed):
    code = randn(2, n, c, seed=seed)
    expected = torch.stack([sameness(member) for member in code])
    torch.testing.assert_close(pulling_away(code), expected, rtol=1e-9, atol=1e-12)


def test_pulling_away_is_0_for_orthogonal_and_1_for_parallel_codes():
    assert pulling_away(torch.eye(4)).item() == 0
    line = torch.tensor([[1.0, 2.0], [-2.0, -4.0], [0.5, 1.0]])
    assert pulling_away(line).item() == pytest.approx(1, abs=1e-6)


def test_pulling_away_slopes():
    assert torch.autograd.gradcheck(pulling_away, randn(2, 4, 3).requires_grad_())
    code = torch.zeros(3, 2, requires_grad=True)
    pulling_away(code).backward()
    assert code.grad.isfinite().all(), "codes that a rectifier has silenced"


def test_pulling_away_needs_company():
    with pytest.raises(ValueError, match="at least 2"):
        pulling_away(torch.ones(1, 3))


# ---- pre-training --------------------------------------------------------------------------------


class Table:
    """Data that is always given whole."""

    def __init__(self, x):
        self.x = x

    def sample(self, m, rng, dtype):
        return self.x.expand(*rng.members, *self.x.shape).to(dtype)


def test_pretrained_linear_autoencoder_finds_the_principal_component():
    """The least error a code of one number can reach is the variance it leaves out."""
    x = randn(200, 3) @ torch.diag(torch.tensor([2.0, 0.5, 0.3], dtype=torch.float64))
    variances = np.linalg.eigvalsh(np.cov(x.T, bias=True))
    critic = autoencoder_critic([3, 1], device="cpu")
    losses = pretrain(
        critic, Table(x), 600, optimizer=lambda p: torch.optim.Adam(p, 0.02, (0.9, 0.99))
    )
    assert losses.shape == (600,)
    assert losses[-1].item() == pytest.approx(variances[:2].sum() / 3, rel=1e-3)
    torch.testing.assert_close(losses[-1], critic(x).energy.mean().detach(), rtol=1e-3, atol=0)


def test_pretraining_an_ensemble_is_a_loop():
    together = autoencoder_critic([2, 4, 1], [3, 5], device="cpu")
    losses = pretrain(together, ring(), 30, batch=8, seed=[3, 5])
    for i, seed in enumerate((3, 5)):
        lone = autoencoder_critic([2, 4, 1], seed, device="cpu")
        torch.testing.assert_close(losses[:, i], pretrain(lone, ring(), 30, batch=8, seed=seed))
    assert not torch.equal(losses[:, 0], losses[:, 1])


# ---- loss-sensitive ------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("shape", [(4, 2), (3, 4, 2)])
def test_loss_sensitive_critic_by_a_loop(p, shape):
    weight, scale = 2.5, 0.4
    losses, samples = randn(2, *shape[:-1]), randn(2, *shape, seed=1)
    objective = loss_sensitive(weight, scale, p)
    real, fake = (Judged(a, x) for a, x in zip(losses, samples, strict=True))
    found = objective.critic_loss(real, fake).reshape(-1)
    flat = [(t.reshape(-1, 4), s.reshape(-1, 4, 2)) for t, s in (real, fake)]
    for member, value in enumerate(found.tolist()):
        total = 0.0
        for i in range(4):
            (lx, x), (lg, g) = ((t[member, i].item(), s[member, i].tolist()) for t, s in flat)
            distance = sum(abs(a - b) ** p for a, b in zip(x, g, strict=True)) ** (1 / p)
            total += lx + weight * max(0.0, scale * distance + lx - lg)
        assert value == pytest.approx(total / 4, rel=1e-12)
    torch.testing.assert_close(objective.generator_loss(None, fake), losses[1].mean(-1))


def test_loss_sensitive_by_hand():
    """x = (0, 0), G(z) = (3, 4): margins 7 and 5; L(x) = 1, L(G(z)) = 2."""
    real = Judged(torch.tensor([1.0]), torch.tensor([[0.0, 0.0]]))
    fake = Judged(torch.tensor([2.0]), torch.tensor([[3.0, 4.0]]))
    assert loss_sensitive().critic_loss(real, fake).item() == 1 + 6
    assert loss_sensitive(p=2).critic_loss(real, fake).item() == 1 + 4
    assert loss_sensitive(10, 0.5).critic_loss(real, fake).item() == 1 + 10 * 2.5
    far = Judged(torch.tensor([8.0]), fake.sample)
    assert loss_sensitive().critic_loss(real, far).item() == 1, "a margin of 7 is kept"


def test_margin_covers_all_pixels_of_an_image():
    real = Judged(torch.zeros(2, 3), torch.zeros(2, 3, 1, 4, 4))
    fake = Judged(torch.zeros(2, 3), torch.ones(2, 3, 1, 4, 4))
    assert loss_sensitive().critic_loss(real, fake).tolist() == [16, 16]


def test_loss_sensitive_slopes():
    def loss(a, b, x, y):
        return loss_sensitive(1.5, 0.7).critic_loss(Judged(a, x), Judged(b, y))

    inputs = [t.requires_grad_() for t in (randn(5), randn(5, seed=1), randn(5, 2), randn(5, 2))]
    inputs[3] = (inputs[3] + 1).detach().requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


def test_with_samples_returns_both():
    critic = mlp([2, 4, 1], [0, 1], scalar=True, device="cpu")
    x = randn(2, 5, 2)
    loss, sample = with_samples(critic)(x)
    assert torch.equal(loss, critic(x)) and sample is x


ERRORS = {
    "energy": (lambda: autoencoder_critic([2, 1], energy="cube"), "unknown energy 'cube'.*norm"),
    "no code": (lambda: autoencoder_critic([2]), "a code size"),
    "margin": (lambda: energy_based(0.0), "must be positive"),
    "a member's margin": (lambda: energy_based(torch.tensor([1.0, -1.0])), "must be positive"),
    "pull": (lambda: energy_based(1.0, -0.1), "weight ≥ 0"),
    "members": (
        lambda: pretrain(autoencoder_critic([2, 1], [0, 1]), ring(), 1, seed=0),
        "same seeds",
    ),
    "steps": (lambda: pretrain(autoencoder_critic([2, 1]), ring(), 0), "steps=0"),
    "weight": (lambda: loss_sensitive(0.0), "weight=0.0.*positive"),
    "scale": (lambda: loss_sensitive(scale=-1.0), "scale=-1.0.*positive"),
    "norm": (lambda: loss_sensitive(p=0.5), "p ≥ 1"),
}


@pytest.mark.parametrize("make, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()
