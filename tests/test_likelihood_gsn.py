"""GSNs: the chain against its transition matrix, a chain that is solved, and series that are known."""

import math
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import chisquare

from gan_lib.callbacks import Anneal
from gan_lib.data import gaussian
from gan_lib.likelihood import (
    BitTable,
    autocorrelation,
    effective_sample_size,
    every_state,
    fit,
    gsn,
)
from gan_lib.rng import Streams
from gan_lib.training import adam

BITS, RATE = 3, 0.4
DATA = BitTable([0.25, 0.05, 0.05, 0.15, 0.02, 0.08, 0.1, 0.3])
STATES = every_state(BITS)


@lru_cache
def trained_at(rate):
    """A GSN on three bits, fitted until it reconstructs as well as it can."""
    net = gsn(BITS, [32], rate, device="cpu")
    slower = Anneal(lr=lambda step: 0.02 * 0.995**step)
    fit(net, DATA, 1200, batch=512, optimizer=adam(0.02), callbacks=[slower])
    return net


@pytest.fixture
def trained():
    return trained_at(RATE)


def corruption_matrix(rate):
    """C(x̃|x) of salt and pepper on three bits: a pixel stays with probability 1 − rate/2."""
    keep = lambda a, b: 1 - rate / 2 if a == b else rate / 2  # noqa: E731
    return np.array([[math.prod(map(keep, x, y)) for y in _rows()] for x in _rows()])


def draw_matrix(p):
    """P(x|x̃) of independent coins with p[x̃, i]."""
    return np.array(
        [
            [math.prod(q if b else 1 - q for q, b in zip(row, x, strict=True)) for x in _rows()]
            for row in np.asarray(p)
        ]
    )


def _rows():
    return STATES.tolist()


def best_reconstruction(rate):
    """P(x_i = 1 | x̃) from the data's table by Bayes' rule: what training should find."""
    joint = DATA.probabilities.numpy()[:, None] * corruption_matrix(rate)
    return (joint.T @ STATES.numpy()) / joint.sum(0)[:, None]


def stationary(transition):
    """The left eigenvector of eigenvalue 1, as a distribution; the second largest modulus."""
    values, vectors = np.linalg.eig(transition.T)
    first, second = np.argsort(-abs(values))[:2]
    pi = vectors[:, first].real
    return pi / pi.sum(), abs(values[second])


def transition_matrix(net):
    """T = C P, enumerated from the network's logits."""
    p = net(STATES, Streams(0, "unused")).sigmoid().detach()
    return corruption_matrix(net.corruption) @ draw_matrix(p)


# ------------------------------------------------------------------- a chain that is enumerated


def test_transition_matrix_is_stochastic(trained):
    transition = transition_matrix(trained)
    assert (transition > 0).all()
    np.testing.assert_allclose(transition.sum(1), 1, rtol=1e-12)


@pytest.mark.parametrize("start", [0, 3, 6])
def test_one_step_of_the_chain_is_a_row_of_the_matrix(trained, start):
    n = 20_000
    x = trained.chain(STATES[start].expand(n, BITS), 1, Streams(start, "c"))[0]
    counts = np.bincount(DATA.index(x), minlength=8)
    assert chisquare(counts, transition_matrix(trained)[start] * n).pvalue > 1e-4


def test_chains_settle_in_the_stationary_distribution(trained):
    pi, second = stationary(transition_matrix(trained))
    assert second**40 < 1e-3, "forty steps are enough to forget the start"
    last = trained.sample(20_000, Streams(1, "c"), steps=40)
    assert chisquare(np.bincount(DATA.index(last), minlength=8), pi * 20_000).pvalue > 1e-4
    far = trained.chain(STATES[5].expand(20_000, BITS), 40, Streams(2, "c"))[-1]
    assert chisquare(np.bincount(DATA.index(far), minlength=8), pi * 20_000).pvalue > 1e-4


def test_one_long_chain_tells_the_same_within_its_own_error(trained):
    pi, _ = stationary(transition_matrix(trained))
    x = trained.chain(STATES[:4], 4000, Streams(3, "c"))
    assert x.shape == (4000, 4, BITS)
    error = x.std(0) / effective_sample_size(x).sqrt()
    assert ((x.mean(0) - torch.tensor(pi) @ STATES).abs() < 5 * error).all()


def test_training_finds_the_best_reconstruction(trained):
    p = trained(STATES, Streams(0, "unused")).sigmoid().detach().numpy()
    np.testing.assert_allclose(p, best_reconstruction(RATE), atol=0.03)


@pytest.mark.parametrize("rate, far", [(0.1, 0.05), (RATE, 0.16)])
def test_chain_settles_near_the_data_and_nearer_for_less_corruption(rate, far):
    """What the best independent coins would do, and how far that is from the data (total variation)."""
    pi, _ = stationary(transition_matrix(trained_at(rate)))
    ideal, _ = stationary(corruption_matrix(rate) @ draw_matrix(best_reconstruction(rate)))
    truth = DATA.probabilities.numpy()
    assert abs(pi - ideal).sum() / 2 < 0.025
    assert abs(pi - truth).sum() / 2 < far
    independent = draw_matrix([truth @ STATES.numpy()])[0]
    assert abs(independent - truth).sum() / 2 > 0.29, "what a model of single bits would reach"


# ------------------------------------------------------------------------------------ the loss


class Recorder(torch.nn.Module):
    """A reconstruction that is far too sure of all ones, and what it was shown."""

    members = ()

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.full((1,), 50.0, dtype=torch.float64))
        self.seen = []

    def __iter__(self):
        return iter([self])

    def forward(self, x):
        self.seen.append(x)
        return self.bias.expand(x.shape)


def test_walkback_corrupts_its_own_draws_and_asks_for_the_original():
    net = gsn(BITS, corruption=0.1, walkback=4, device="cpu")
    net.network = Recorder()
    x = torch.zeros(500, BITS, dtype=torch.float64)
    loss = net.loss(x, Streams(0, "w"))
    shares = [seen.mean().item() for seen in net.network.seen]
    assert len(shares) == 4
    assert shares[0] < 0.1, "first the data itself is corrupted, and it is all zeros"
    assert min(shares[1:]) > 0.9, "then what the network drew, and that is all ones"
    assert 0 < shares[0] and max(shares[1:]) < 1, "corrupted, each time"
    assert loss.item() == pytest.approx(BITS * 50), "but zeros are what it should have said"


def test_loss_by_hand_for_one_step():
    net = gsn(BITS, [4], RATE, device="cpu")
    x = DATA.sample(50, Streams(0, "x"))
    corrupted = net.corrupt(x, Streams(1, "l"))
    p = net(corrupted, Streams(1, "l")).sigmoid()
    expected = -torch.where(x == 1, p, 1 - p).log().sum(-1).mean()
    torch.testing.assert_close(net.loss(x, Streams(1, "l")), expected)


@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_salt_and_pepper_flips_half_of_what_it_hits(rate):
    net = gsn(2, [4], rate, device="cpu")
    x = torch.tensor([0.0, 1.0]).double().expand(40_000, 2)
    flipped = (net.corrupt(x, Streams(0, "c")) != x).double().mean(0)
    assert ((flipped - rate / 2).abs() < 5 * math.sqrt(rate / 2 / 40_000)).all()


def test_noise_enters_each_hidden_layer():
    net = gsn(2, [3, 3], noise=0.5, device="cpu")
    x, rng = torch.rand(5, 2, dtype=torch.float64), Streams(0, "n")
    a, b, c = (layer for layer in net.network if hasattr(layer, "weight"))
    first, second = rng.normal(5, 3), rng.normal(5, 3)
    h = (a(x) + 0.5 * first).tanh()
    expected = c((b(h) + 0.5 * second).tanh())
    torch.testing.assert_close(net(x, Streams(0, "n")), expected)
    assert not torch.equal(net(x, Streams(1, "n")), expected)


# --------------------------------------------------------------------------- a chain that is solved


@pytest.fixture(scope="module")
def solved():
    """Data N(0, 1), corrupted by N(0, ½²): P(x|x̃) = N(.8 x̃, .2), so the chain is an AR(1), ρ = .8."""
    net = gsn(1, (), corruption=0.5, std=math.sqrt(0.2), device="cpu")
    with torch.no_grad():
        net.network[0].weight.fill_(0.8)
        net.network[0].bias.zero_()
    return net


def test_gaussian_chain_keeps_the_data_and_its_autocorrelation(solved):
    x0 = gaussian().sample(400, Streams(0, "x0"))
    x = solved.chain(x0, 1000, Streams(0, "c")).squeeze(-1)
    rho = autocorrelation(x, 5).mean(-1)
    assert rho.tolist() == pytest.approx([0.8**t for t in range(6)], abs=0.015)
    ess = 400 * 1000 * (1 - 0.8) / (1 + 0.8)
    assert abs(x.mean().item()) < 5 / math.sqrt(ess)
    assert x.var().item() == pytest.approx(1, abs=5 * math.sqrt(2 / ess))


def test_gaussian_gsn_learns_the_posterior_mean():
    net = gsn(1, (), corruption=0.5, std=math.sqrt(0.2), seed=[0, 1, 2], device="cpu")
    fit(net, gaussian(2.0), 800, batch=256, optimizer=adam(2e-2), seed=[0, 1, 2])
    layer = net.network[0]
    assert layer.weight.flatten().tolist() == pytest.approx([0.8] * 3, abs=0.03)
    assert layer.bias.flatten().tolist() == pytest.approx([0.4] * 3, abs=0.08)


def test_means_are_of_the_same_chain(solved):
    x0 = gaussian().sample(6, Streams(0, "x0"))
    x = solved.chain(x0, 8, Streams(0, "c"))
    means = solved.chain(x0, 8, Streams(0, "c"), mean=True)
    noise = (x - means) / math.sqrt(0.2)
    assert noise.std().item() == pytest.approx(1, abs=0.4) and noise.mean().abs() < 0.6
    assert torch.equal(solved.chain(x0, 3, Streams(0, "c")), x[:3])
    last = solved.sample(6, Streams(0, "c"), steps=8, mean=True)
    assert last.shape == (6, 1)


def test_chain_has_steps_first_and_members_next():
    net = gsn(BITS, [4], seed=[0, 1], device="cpu")
    x = net.chain(STATES[:5], 7, Streams([0, 1], "c"))
    assert x.shape == (7, 2, 5, BITS) and not x.requires_grad
    lone = gsn(BITS, [4], seed=1, device="cpu").chain(STATES[:5], 7, Streams(1, "c"))
    assert torch.equal(x[:, 1], lone)
    own = net.chain(torch.stack([STATES[:5], STATES[3:]]), 7, Streams([0, 1], "c"))
    assert torch.equal(own[:, 0], x[:, 0])


# ------------------------------------------------------------------------------------- series


def ar1(rho, n, chains, seed=0):
    """A stationary AR(1) of variance one, `(n, chains)`."""
    noise = np.random.default_rng(seed).standard_normal((n, chains))
    noise[1:] *= math.sqrt(1 - rho**2)
    return torch.tensor(lfilter([1.0], [1.0, -rho], noise, axis=0))


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_effective_sample_size_of_an_ar1(rho):
    series = ar1(rho, 20_000, 40)
    share = effective_sample_size(series) / 20_000
    assert share.shape == (40,)
    assert share.mean().item() == pytest.approx((1 - rho) / (1 + rho), rel=0.06)
    lags = autocorrelation(series, 4).mean(-1)
    assert lags.tolist() == pytest.approx([rho**t for t in range(5)], abs=0.01)


@given(st.integers(2, 40), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_autocorrelation_by_loops(n, seed):
    x = np.random.default_rng(seed).standard_normal((n, 2)) + 5
    rho = autocorrelation(torch.tensor(x), n - 1)
    for j in range(2):
        c = x[:, j] - x[:, j].mean()
        expected = [sum(c[i] * c[i + t] for i in range(n - t)) / (c @ c) for t in range(n)]
        np.testing.assert_allclose(rho[:, j], expected, atol=1e-10)


def test_geyers_sum_stops_at_the_first_pair_that_is_not_positive():
    series = torch.tensor([1.0, 3, 2, 5, 4, 4, 1, 0, 2, 1]).double()
    rho = autocorrelation(series, 9).tolist()
    total = 0.0
    for a, b in zip(rho[::2], rho[1::2], strict=True):
        if a + b <= 0:
            break
        total += a + b
    later = sum(a + b for a, b in zip(rho[::2], rho[1::2], strict=True) if a + b > 0)
    assert total < later, "a pair after the stop is positive again: it must not be counted"
    assert effective_sample_size(series).item() == pytest.approx(10 / (2 * total - 1))


# ------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"dim": 0}, "dim=0"),
        ({"walkback": 0}, "walkback=0"),
        ({"corruption": 0.0}, "corruption=0.0"),
        ({"corruption": 1.1}, "at most 1 for salt and pepper"),
        ({"noise": -1.0}, "noise=-1.0"),
        ({"noise": 1.0, "hidden": ()}, "needs a hidden layer"),
        ({"std": 0.0}, "must be positive"),
    ],
)
def test_nonsense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        gsn(**{"dim": 3, "device": "cpu", **arguments})
    assert gsn(3, corruption=2.0, std=1.0, device="cpu").corruption == 2.0


def test_chains_that_cannot_run_are_refused():
    net = gsn(BITS, device="cpu")
    with pytest.raises(ValueError, match="steps=0"):
        net.chain(STATES, 0, Streams(0, "c"))
    with pytest.raises(ValueError, match=r"give \(batch, 3\)"):
        net.chain(torch.zeros(4, 2), 3, Streams(0, "c"))
    with pytest.raises(ValueError, match="use the same seeds"):
        net.chain(STATES, 3, Streams([0], "c"))


def test_series_without_an_answer_are_refused():
    moving = ar1(0.5, 50, 2)
    for lag in (0, 50):
        with pytest.raises(ValueError, match=f"max_lag={lag}: give 1 … 49"):
            autocorrelation(moving, lag)
    with pytest.raises(ValueError, match="constant"):
        effective_sample_size(torch.cat([moving, torch.full((50, 1), 0.1)], -1))
    with pytest.raises(ValueError, match="at least 4"):
        effective_sample_size(moving[:3])
