"""Every registered objective against oracles that share no code with it: value, gradient, extremes."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, log_expit
from torch.distributions import Normal
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from gan_lib.objectives import OBJECTIVES, Objective, get_objective, value

mpmath.mp.dps = 60


def mp_sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def mp_cross_entropy(real, fake):
    """−V and its slopes in every logit, from the definition, in 60 digits."""
    n, m = len(real), len(fake)
    value = -sum(mpmath.log(mp_sigmoid(r)) for r in real) / n
    value -= sum(mpmath.log(1 - mp_sigmoid(f)) for f in fake) / m
    return value, [-(1 - mp_sigmoid(r)) / n for r in real], [mp_sigmoid(f) / m for f in fake]


# name → (critic loss with slopes, generator's loss of one logit, its slope), in closed form.
ORACLES = {
    "minimax": (
        mp_cross_entropy,
        lambda x: mpmath.log(1 - mp_sigmoid(x)),
        lambda x: -mp_sigmoid(x),
    ),
    "non-saturating": (
        mp_cross_entropy,
        lambda x: -mpmath.log(mp_sigmoid(x)),
        lambda x: -(1 - mp_sigmoid(x)),
    ),
    "maximum-likelihood": (
        mp_cross_entropy,
        lambda x: -mp_sigmoid(x) / (1 - mp_sigmoid(x)),
        lambda x: -mpmath.exp(x),
    ),
}

# exp(100) is not a float32; the docstring says so and asks for float64. No other exception.
OVERFLOWS_FLOAT32_AT_100 = {"maximum-likelihood"}

LOGITS = [-100.0, -40.0, -7.5, -1.0, -1e-9, 0.0, 0.3, 2.0, 11.0, 39.0, 100.0]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def gradients(loss, *inputs):
    """The gradients of a summed loss, zeros for an input that it does not use."""
    return torch.autograd.grad(loss.sum(), inputs, allow_unused=True, materialize_grads=True)


def test_every_objective_has_an_oracle():
    assert set(ORACLES) == set(OBJECTIVES), "add the closed form of a new objective to ORACLES"
    assert all(name == objective.name for name, objective in OBJECTIVES.items())


@every_objective
def test_critic_loss_and_slopes_in_closed_form(objective):
    oracle = ORACLES[objective.name][0]
    real = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    fake = torch.tensor(LOGITS[::-1][:6], dtype=torch.float64, requires_grad=True)
    loss = objective.critic_loss(real, fake)
    expected = oracle([mpmath.mpf(x) for x in LOGITS], [mpmath.mpf(x) for x in LOGITS[::-1][:6]])
    np.testing.assert_allclose(loss.item(), float(expected[0]), rtol=1e-14)
    for slope, exact in zip(gradients(loss, real, fake), expected[1:], strict=True):
        np.testing.assert_allclose(slope, [float(e) for e in exact], rtol=1e-12)


@every_objective
@pytest.mark.parametrize("logit", LOGITS)
def test_generator_loss_and_slope_in_closed_form(objective, logit):
    _, loss_oracle, slope_oracle = ORACLES[objective.name]
    fake = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    loss = objective.generator_loss(None, fake)
    np.testing.assert_allclose(loss.item(), float(loss_oracle(mpmath.mpf(logit))), rtol=1e-13)
    slope = gradients(loss, fake)[0]
    np.testing.assert_allclose(slope.item(), float(slope_oracle(mpmath.mpf(logit))), rtol=1e-12)


@every_objective
def test_critic_loss_is_the_cross_entropy_of_a_classifier(objective):
    real, fake = torch.randn(2, 3, 40, dtype=torch.float64, generator=torch.manual_seed(0))
    expected = [
        bce(r, torch.ones(40)) + bce(f, torch.zeros(40)) for r, f in zip(real, fake, strict=True)
    ]
    torch.testing.assert_close(objective.critic_loss(real, fake), torch.stack(expected).double())


@every_objective
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_finite_where_the_sigmoid_has_rounded(objective, dtype, logit):
    real = torch.full((4,), -logit, dtype=dtype, requires_grad=True)
    fake = torch.full((4,), logit, dtype=dtype, requires_grad=True)
    losses = {
        "critic": objective.critic_loss(real, fake),
        "generator": objective.generator_loss(real, fake),
    }
    for player, loss in losses.items():
        finite = all(t.isfinite().all() for t in (loss, *gradients(loss, real, fake)))
        overflow = objective.name in OVERFLOWS_FLOAT32_AT_100 and dtype == torch.float32
        if player == "generator" and overflow and logit > 0:
            assert not finite, "no longer an exception: take it off the list"
        else:
            assert finite, player


@every_objective
def test_slopes_do_not_vanish_where_they_must_not(objective):
    """The critic learns from a confident mistake at full slope: no clamp, no ε inside a log."""
    real = torch.tensor([-100.0], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([100.0], dtype=torch.float64, requires_grad=True)
    slopes = gradients(objective.critic_loss(real, fake), real, fake)
    assert [s.item() for s in slopes] == [-1.0, 1.0]


@every_objective
def test_members_never_mix(objective):
    real, fake = (
        t.requires_grad_()
        for t in torch.randn(2, 2, 3, 5, dtype=torch.float64, generator=torch.manual_seed(1))
    )
    for loss in (objective.critic_loss(real, fake), objective.generator_loss(real, fake)):
        assert loss.shape == (2, 3)
        for slope in torch.autograd.grad(
            loss[0, 1], (real, fake), retain_graph=True, allow_unused=True, materialize_grads=True
        ):
            slope = slope.clone()
            slope[0, 1] = 0
            assert not slope.any()
    alone = objective.generator_loss(real[1, 2], fake[1, 2])
    torch.testing.assert_close(
        alone, objective.generator_loss(real, fake)[1, 2], rtol=1e-14, atol=0
    )


@every_objective
def test_batch_sizes_may_differ(objective):
    real, fake = torch.zeros(7), torch.zeros(3)
    torch.testing.assert_close(objective.critic_loss(real, fake).item(), math.log(4))


def test_undecided_critic_has_value_minus_log_4():
    zeros = torch.zeros(9, dtype=torch.float64)
    assert value(zeros, zeros).item() == pytest.approx(-math.log(4), abs=1e-15)


def test_sure_and_right_critic_has_value_zero_sure_and_wrong_loses_its_logits():
    sure = torch.full((3,), 100.0, dtype=torch.float64)
    assert value(sure, -sure).item() == pytest.approx(0, abs=1e-40)
    assert value(-sure, sure).item() == -200


# The population: p_data = N(0, 1), p_g = N(μ, s²), critic ℓ(x) = a + bx. The batch is a fine grid of
# quantiles, whose mean is the expectation to about 1e-5; the oracle integrates with SciPy.
MU, S, A, B = 0.7, 1.3, 0.2, -0.6
QUANTILES = Normal(0.0, 1.0).icdf((torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000)


def normal_pdf(x, mean=0.0, std=1.0):
    return math.exp(-(((x - mean) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))


def expect(f, mean=0.0, std=1.0):
    return quad(
        lambda x: f(x) * normal_pdf(x, mean, std), mean - 12 * std, mean + 12 * std, epsabs=1e-12
    )[0]


@every_objective
def test_population_value_and_gradient_of_the_critic(objective):
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (A, B))
    fake = MU + S * QUANTILES
    loss = objective.critic_loss(a + b * QUANTILES, a + b * fake)
    line = lambda x: A + B * x  # noqa: E731
    exact = -expect(lambda x: log_expit(line(x))) - expect(lambda x: log_expit(-line(x)), MU, S)
    assert loss.item() == pytest.approx(exact, abs=1e-5)
    slope_a = -expect(lambda x: expit(-line(x))) + expect(lambda x: expit(line(x)), MU, S)
    slope_b = -expect(lambda x: x * expit(-line(x))) + expect(lambda x: x * expit(line(x)), MU, S)
    found = torch.autograd.grad(loss, (a, b))
    assert [g.item() for g in found] == pytest.approx([slope_a, slope_b], abs=2e-5)


def log_ratio(x, mean):
    """log p_data − log p_g, the logit of the optimal critic."""
    return -(x**2) / 2 + ((x - mean) / S) ** 2 / 2 + math.log(S)


def js(mean):
    """Twice the Jensen–Shannon divergence of the two normals, less log 4: V at the optimal critic."""
    real = expect(lambda x: log_expit(log_ratio(x, mean)))
    return real + expect(lambda x: log_expit(-log_ratio(x, mean)), mean, S)


def slope(f, h=1e-4):
    return (f(MU + h) - f(MU - h)) / (2 * h)


# What the generator descends at the optimal critic, from the literature: KL(p_data‖p_g) has the slope
# μ/s² in μ, KL(p_g‖p_data) the slope μ (Goodfellow 2014, 2016; Arjovsky and Bottou 2017, Theorem 2.5).
DESCENDS = {
    "minimax": lambda: slope(js),
    "non-saturating": lambda: MU - slope(js),
    "maximum-likelihood": lambda: MU / S**2,
}


@every_objective
def test_generator_descends_its_divergence_at_the_optimal_critic(objective):
    mu = torch.tensor(MU, dtype=torch.float64, requires_grad=True)
    loss = objective.generator_loss(None, log_ratio(mu + S * QUANTILES, MU))
    found = torch.autograd.grad(loss, mu)[0].item()
    assert found == pytest.approx(DESCENDS[objective.name](), abs=1e-4)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError) as error:
        get_objective("least-cubes")
    assert "least-cubes" in str(error.value)
    assert all(name in str(error.value) for name in OBJECTIVES)


@every_objective
def test_found_by_name_or_given_as_it_is(objective):
    assert get_objective(objective.name) is objective
    assert objective.source
    own = Objective("own", objective.critic_loss, objective.generator_loss, "")
    assert get_objective(own) is own
