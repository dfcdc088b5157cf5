"""Every registered objective against oracles that share no code with it: value, gradient, extremes."""

import math

import mpmath
import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from gan_lib import data
from gan_lib.critics.energy import energy_based
from gan_lib.divergences import f_divergence, gaussian_f_divergence, jsd
from gan_lib.f_divergences import ROWS, weighted_jensen_shannon
from gan_lib.objectives import (
    OBJECTIVES,
    Objective,
    f_gan,
    get_objective,
    hinge,
    least_squares,
    least_squares_of,
    minimax,
    non_saturating,
    relativistic,
    relativistic_average,
    side_by_side,
    tempered,
    value,
    wasserstein,
)
from tests.test_f_divergences import fused_oracle

mpmath.mp.dps = 60


def mp_sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def separable(real_part, fake_part, generator_part):
    """The losses E a(real) + E b(fake) and E c(fake) with their slopes, from (value, slope) of a score."""

    def critic(real, fake):
        parts = [[real_part(x) for x in real], [fake_part(x) for x in fake]]
        means = [sum(v for v, _ in part) / len(part) for part in parts]
        return sum(means), *([s / len(part) for _, s in part] for part in parts)

    def generator(real, fake):
        parts = [generator_part(x) for x in fake]
        n = len(fake)
        return sum(v for v, _ in parts) / n, [0] * len(real), [s / n for _, s in parts]

    return critic, generator


def differentiated(f):
    return lambda x: (f(mpmath.mpf(x)), mpmath.diff(f, mpmath.mpf(x)))


def pairs(loss):
    """A loss that compares the two batches: the critic's of (real, fake), the generator's of (fake, real)."""

    def with_slopes(first, second):
        first, second = ([mpmath.mpf(x) for x in scores] for scores in (first, second))

        def slopes(change, scores):
            return [
                mpmath.diff(lambda x, i=i: change(scores[:i] + [x] + scores[i + 1 :]), scores[i])
                for i in range(len(scores))
            ]

        return (
            loss(first, second),
            slopes(lambda changed: loss(changed, second), first),
            slopes(lambda changed: loss(first, changed), second),
        )

    def generator(real, fake):
        total, of_fake, of_real = with_slopes(fake, real)
        return total, of_real, of_fake

    return with_slopes, generator


def mp_paired(better, worse):
    chosen = [mp_sigmoid(b - w) for b, w in zip(better, worse, strict=True)]
    return -sum(mpmath.log(c) for c in chosen) / len(chosen)


def mp_above_average(better, worse):
    high, low = sum(better) / len(better), sum(worse) / len(worse)
    loss = -sum(mpmath.log(mp_sigmoid(b - low)) for b in better) / len(better)
    return loss - sum(mpmath.log(1 - mp_sigmoid(w - high)) for w in worse) / len(worse)


def f_oracle(name, non_saturating=False):
    def given(x):
        t, slope, _, _ = fused_oracle(name, float(x))
        return -t, -slope

    def generated(x):
        return fused_oracle(name, float(x))[2:]

    def refused(x):
        return tuple(-y for y in generated(x))

    return separable(given, generated, given if non_saturating else refused)


CROSS_ENTROPY = (
    differentiated(lambda x: -mpmath.log(mp_sigmoid(x))),
    differentiated(lambda x: -mpmath.log(1 - mp_sigmoid(x))),
)
# name → (critic's, generator's): lists of scores (real, fake) → loss, slopes in real, slopes in fake.
ORACLES = {
    "minimax": separable(*CROSS_ENTROPY, differentiated(lambda x: mpmath.log(1 - mp_sigmoid(x)))),
    "non-saturating": separable(*CROSS_ENTROPY, CROSS_ENTROPY[0]),
    "maximum-likelihood": separable(
        *CROSS_ENTROPY, differentiated(lambda x: -mp_sigmoid(x) / (1 - mp_sigmoid(x)))
    ),
    "least-squares": separable(
        lambda x: ((x - 1) ** 2 / 2, x - 1),
        lambda x: (x**2 / 2, x),
        lambda x: ((x - 1) ** 2 / 2, x - 1),
    ),
    "wasserstein": separable(lambda x: (-x, -1), lambda x: (x, 1), lambda x: (-x, -1)),
    "hinge": separable(
        lambda x: (1 - x, -1) if x < 1 else (0, 0),
        lambda x: (1 + x, 1) if x > -1 else (0, 0),
        lambda x: (-x, -1),
    ),
    "relativistic": pairs(mp_paired),
    "relativistic-average": pairs(mp_above_average),
    **{f"f-gan {name}": f_oracle(name) for name in ROWS},
    **{f"f-gan {name} non-saturating": f_oracle(name, True) for name in ROWS},
}

# The registry, and what f_gan makes beyond it.
OTHERS = {o.name: o for o in (f_gan(row, non_saturating=True) for row in ROWS)}
EVERY = {**OBJECTIVES, **OTHERS}
ROW_OF = {f"f-gan {name}{end}": name for name in ROWS for end in ("", " non-saturating")}
LOGITS = [-100.0, -40.0, -7.5, -1.3, -1e-9, 0.0, 0.3, 2.0, 11.0, 39.0, 100.0]
CLASSIFIERS = ("minimax", "non-saturating", "maximum-likelihood", "f-gan GAN")
every_objective = pytest.mark.parametrize("objective", EVERY.values(), ids=EVERY)
every_classifier = pytest.mark.parametrize(
    "objective", [EVERY[name] for name in CLASSIFIERS], ids=CLASSIFIERS
)


def gradients(loss, *inputs):
    """The gradients of a summed loss, zeros for an input that it does not use."""
    return torch.autograd.grad(loss.sum(), inputs, allow_unused=True, materialize_grads=True)


def losses_of(objective, real, fake):
    given = real if objective.paired else None
    return objective.critic_loss(real, fake), objective.generator_loss(given, fake)


def test_every_objective_has_an_oracle():
    assert set(ORACLES) == set(EVERY), "add the closed form of a new objective to ORACLES"
    assert all(name == objective.name for name, objective in OBJECTIVES.items())
    assert {f"f-gan {name}" for name in ROWS} < set(OBJECTIVES)


def flat(objective):
    """The slope 1 − tanh² rounds to 0 beyond 18, and the oracle's u for 0 is e^−400: no other atol."""
    small = {"total variation": 2e-16, "Pearson": 1e-170}
    return small.get(ROW_OF.get(objective.name), 0)


@every_objective
def test_losses_and_slopes_in_closed_form(objective):
    real = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    fake = torch.tensor(LOGITS[3:] + LOGITS[:3], dtype=torch.float64, requires_grad=True)
    for oracle, loss in zip(ORACLES[objective.name], losses_of(objective, real, fake), strict=True):
        with mpmath.workdps(110):
            exact, *slopes = oracle(*([mpmath.mpf(x) for x in t.tolist()] for t in (real, fake)))
        np.testing.assert_allclose(loss.item(), float(exact), rtol=1e-13, atol=1e-15)
        for found, expected in zip(gradients(loss, real, fake), slopes, strict=True):
            np.testing.assert_allclose(
                found, [float(e) for e in expected], rtol=1e-12, atol=flat(objective)
            )


@every_objective
@pytest.mark.parametrize("logit", LOGITS)
def test_losses_and_slopes_of_one_score(objective, logit):
    """A batch of one, so that no large term hides a small one."""
    real = torch.tensor([-logit], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    with mpmath.workdps(110):
        exact, _, slope = ORACLES[objective.name][1]([-mpmath.mpf(logit)], [mpmath.mpf(logit)])
    loss = losses_of(objective, real, fake)[1]
    np.testing.assert_allclose(loss.item(), float(exact), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        gradients(loss, fake)[0].item(), float(slope[0]), rtol=1e-12, atol=flat(objective)
    )


@every_objective
def test_slopes_by_finite_differences_and_twice(objective):
    """No logit near a corner of the hinge; second derivatives are for gradient penalties."""
    real, fake = (
        t.requires_grad_()
        for t in 0.8 * torch.randn(2, 2, 3, dtype=torch.float64, generator=torch.manual_seed(4))
    )
    for i in (0, 1):
        loss = lambda r, f, i=i: losses_of(objective, r, f)[i]  # noqa: E731
        assert torch.autograd.gradcheck(loss, (real, fake))
        assert torch.autograd.gradgradcheck(loss, (real, fake))


@every_classifier
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
    """Infinite only if the loss or a slope is, in 60 digits, too large for the dtype: e^100 in float32."""
    real = torch.full((4,), -logit, dtype=dtype, requires_grad=True)
    fake = torch.full((4,), logit, dtype=dtype, requires_grad=True)
    for oracle, loss in zip(ORACLES[objective.name], losses_of(objective, real, fake), strict=True):
        assert loss.dtype == dtype
        with mpmath.workdps(110):
            exact, *slopes = oracle([-mpmath.mpf(logit)] * 2, [mpmath.mpf(logit)] * 2)
        largest = max(abs(float(x)) for x in (exact, *slopes[0], *slopes[1]))
        finite = all(t.isfinite().all() for t in (loss, *gradients(loss, real, fake)))
        assert finite == (largest < torch.finfo(dtype).max)
        assert finite or dtype == torch.float32


GENTLE = ["minimax", "non-saturating", "least-squares", "wasserstein", "hinge", "relativistic"]
GENTLE += ["relativistic-average", "f-gan GAN", "f-gan Jensen-Shannon", "f-gan weighted JS"]


@pytest.mark.parametrize("name", GENTLE)
def test_finite_at_ten_thousand(name):
    real = torch.full((4,), -1e4, requires_grad=True)
    fake = torch.full((4,), 1e4, requires_grad=True)
    for loss in losses_of(OBJECTIVES[name], real, fake):
        assert all(t.isfinite().all() for t in (loss, *gradients(loss, real, fake)))


@every_classifier
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
    for i, loss in enumerate(losses_of(objective, real, fake)):
        assert loss.shape == (2, 3)
        for slope in torch.autograd.grad(
            loss[0, 1], (real, fake), retain_graph=True, allow_unused=True, materialize_grads=True
        ):
            slope = slope.clone()
            slope[0, 1] = 0
            assert not slope.any()
        for j in np.ndindex(2, 3):
            alone = losses_of(objective, real[j], fake[j])[i]
            torch.testing.assert_close(alone, loss[j], rtol=1e-14, atol=1e-16)


@every_objective
def test_batch_sizes_may_differ_unless_samples_are_paired(objective):
    """A loss is a mean: each batch repeated so often leaves it as it is."""
    real, fake = torch.randn(2, 3, dtype=torch.float64, generator=torch.manual_seed(2))
    if objective is relativistic:
        with pytest.raises(ValueError, match="as many real samples as fakes.*relativistic-average"):
            objective.critic_loss(real, fake[:2])
        return
    for a, b in zip(
        losses_of(objective, real.repeat(5), fake.repeat(2)),
        losses_of(objective, real, fake),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)


def test_undecided_critic_has_value_minus_log_4():
    zeros = torch.zeros(9, dtype=torch.float64)
    assert value(zeros, zeros).item() == pytest.approx(-math.log(4), abs=1e-15)


def test_sure_and_right_critic_has_value_zero_sure_and_wrong_loses_its_logits():
    sure = torch.full((3,), 100.0, dtype=torch.float64)
    assert value(sure, -sure).item() == pytest.approx(0, abs=1e-40)
    assert value(-sure, sure).item() == -200


def test_hinge_is_per_sample():
    """A sample beyond its margin pays nothing and lends nothing to the others."""
    real = torch.tensor([-3.0, 5.0], dtype=torch.float64)  # mean 1: no loss, were it of the mean
    assert hinge.critic_loss(real, torch.tensor([-1.0, -1.0])).item() == 2.0
    assert hinge.critic_loss(-real.new_tensor([-1.0]), -real).item() == 2.0


def test_wasserstein_is_the_gap_of_the_means():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-1.0, 4.0, 0.0])
    assert wasserstein.critic_loss(real, fake).item() == -1.0
    assert wasserstein.generator_loss(None, fake).item() == -1.0


def test_relativistic_losses_depend_on_differences_alone():
    real, fake = torch.randn(2, 6, dtype=torch.float64, generator=torch.manual_seed(8))
    for objective in (relativistic, relativistic_average):
        assert objective.paired
        for a, b in zip(
            losses_of(objective, real, fake), losses_of(objective, real + 7, fake + 7), strict=True
        ):
            torch.testing.assert_close(a, b)


# The population: p = N(0, 1) is the data, q = N(μ, s²) what the generator makes. On a fine grid of x each
# point is a member with a batch of one, so the loss at a point is a(score) + b(score of fakes); weighted
# with p and q and summed, that is the expectation, to all digits (the trapezium rule on smooth bells).
MU, S = 0.7, 1.3
P, Q = data.gaussian(0.0, 1.0), data.gaussian(MU, S)
X = torch.linspace(-16, 16, 3201, dtype=torch.float64).unsqueeze(-1)
STEP = (X[1] - X[0]).item()
LOG_P, LOG_Q = P.log_prob(X), Q.log_prob(X)
WITH_OPTIMUM = {
    name: o
    for name, o in EVERY.items()
    if o.optimal and name not in ("relativistic", "f-gan total variation non-saturating")
}
every_optimum = pytest.mark.parametrize("objective", WITH_OPTIMUM.values(), ids=WITH_OPTIMUM)


def pointwise(objective, score):
    """p (a(s) + b(0)) + q (a(0) + b(s)) at every point: what depends on s is the critic's loss."""
    score = score.unsqueeze(-1)
    zero = torch.zeros_like(score)
    real, fake = objective.critic_loss(score, zero), objective.critic_loss(zero, score)
    return LOG_P.exp() * real + LOG_Q.exp() * fake


def critic_loss_in_population(objective, score):
    a0, b0 = halves_at_zero(objective)
    return (pointwise(objective, score) - LOG_P.exp() * b0 - LOG_Q.exp() * a0).sum().item() * STEP


def halves_at_zero(objective):
    """(a(0), b(0))."""
    critic = ORACLES[objective.name][0]
    total = critic([mpmath.mpf(0)], [mpmath.mpf(0)])[0]
    far = {"hinge": (1, 1), "least-squares": (0.5, 0)}.get(objective.name)
    if far is None and objective.name.startswith("f-gan"):
        t, _, best, _ = fused_oracle(ROW_OF[objective.name], 0.0)
        far = (-t, best)
    far = far or (math.log(2), math.log(2))
    assert sum(far) == pytest.approx(float(total), abs=1e-14)
    return far


@every_optimum
def test_optimal_score_is_a_fixed_point(objective):
    """p a′(s) + q b′(s) = 0 at every x; at the hinge's corner, 0 lies between the two slopes."""
    score = objective.optimal(LOG_P - LOG_Q).unsqueeze(-1)

    def slopes(at):
        real, fake = at.clone().requires_grad_(), at.clone().requires_grad_()
        a, b = gradients(objective.critic_loss(real, fake), real, fake)
        return LOG_P.exp() * a.squeeze(-1), LOG_Q.exp() * b.squeeze(-1)

    if objective.name == "hinge":
        below, above = sum(slopes(score - 1e-9)), sum(slopes(score + 1e-9))
        assert (below <= 0).all() and (above >= 0).all()
        return
    a, b = slopes(score)
    assert (a + b).abs().max() < 1e-14
    rounding = 1e-12 * (a.abs() + b.abs()) + 1e-15 * torch.maximum(LOG_P, LOG_Q).exp()
    assert ((a + b).abs() <= rounding).all()


@every_optimum
def test_no_other_score_has_a_smaller_loss_at_any_point(objective):
    best = pointwise(objective, objective.optimal(LOG_P - LOG_Q))
    others = [torch.full_like(LOG_P, s) for s in torch.linspace(-6, 6, 41).tolist()]
    shifts = (-1.0, -0.03, 0.03, 1.0)
    others += [objective.optimal(LOG_P - LOG_Q) + d for d in shifts]
    for other in others:
        assert (best <= pointwise(objective, other) + 1e-12 * (1 + best.abs())).all()


def test_optimal_relativistic_score_is_the_log_ratio():
    """Over all pairs of a real and a fake: the slope in the score of every x is 0, which no other has."""
    x, step = X[::80], STEP * 80
    p, q = (d.log_prob(x).exp() * step for d in (P, Q))

    def slope(score):
        score = score.clone().requires_grad_()
        real, fake = torch.broadcast_tensors(score[:, None], score[None, :])
        losses = relativistic.critic_loss(real.unsqueeze(-1), fake.unsqueeze(-1))
        return torch.autograd.grad((p[:, None] * q[None, :] * losses).sum(), score)[0].abs().max()

    best = relativistic.optimal(P.log_prob(x) - Q.log_prob(x))
    assert slope(best) < 1e-15 and slope(best + 3) < 1e-15
    assert slope(1.1 * best) > 1e-3


@pytest.mark.parametrize("row", ROWS)
def test_least_loss_of_an_f_gan_is_minus_its_divergence(row):
    objective = f_gan(row)
    best = critic_loss_in_population(objective, objective.optimal(LOG_P - LOG_Q))
    low, high = (-30, 30) if row == "Neyman" else (-16, 16)
    exact = f_divergence(row, P, Q, low, high)
    accuracy = {"total variation": 1e-5, "Neyman": 1e-4}.get(row, 1e-9)  # a kink; a tail beyond 16
    assert best == pytest.approx(-exact, abs=accuracy)
    if row in ("KL", "reverse KL", "Jeffrey", "Pearson", "squared Hellinger"):
        exact = gaussian_f_divergence(row, (0, 1), (MU, S))
        assert best == pytest.approx(-exact, abs=1e-9)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_least_cross_entropy_is_log_4_less_twice_the_jsd(name):
    objective = OBJECTIVES[name]
    best = critic_loss_in_population(objective, objective.optimal(LOG_P - LOG_Q))
    assert best == pytest.approx(math.log(4) - 2 * jsd(P, Q, -16, 16), abs=1e-9)


def test_least_squares_at_its_best_measures_a_chi_square():
    """¼ − ¼ χ²(p‖m) with m = (p + q)/2 for the labels 0 and 1. With a = −1, b = 1, c = 0 the generator's
    two terms are ½ χ²(p + q‖2q) in the convention of Mao et al. (2017, eq. 8): ∫ (p − q)²/(p + q)/2."""
    p, q = LOG_P.exp(), LOG_Q.exp()
    m = data.mixture([0.5, 0.5], [0.0, MU], [1.0, S])
    best = critic_loss_in_population(least_squares, least_squares.optimal(LOG_P - LOG_Q))
    chi_square = f_divergence("Pearson", P, m, -16, 16)
    assert best == pytest.approx(0.25 - 0.25 * chi_square, abs=1e-9)
    symmetric = least_squares_of(-1.0, 1.0, 0.0)
    score = symmetric.optimal(LOG_P - LOG_Q)
    on_any = symmetric.generator_loss(None, score.unsqueeze(-1))
    found = ((p + q) * on_any).sum().item() * STEP
    assert found == pytest.approx(0.5 * ((p - q) ** 2 / (p + q)).sum().item() * STEP, abs=1e-12)
    assert found == pytest.approx(chi_square, abs=1e-9)


def test_least_squares_labels():
    real, fake = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 5.0])
    own = least_squares_of(a=-1.0, b=3.0, c=2.0)
    assert own.critic_loss(real, fake).item() == 0.5 * (1 + 20)
    assert own.generator_loss(None, fake).item() == 0.5 * 5


# What the generator descends at the optimal critic, from the literature: KL(p‖q) has the slope μ/s² in μ,
# KL(q‖p) the slope μ (Goodfellow 2014, 2016; Arjovsky and Bottou 2017, Theorem 2.5); an f-GAN its own D_f,
# and its non-saturating form for KL, −E g(v) = −E log p/q − 1, that of KL(q‖p).


def slope(divergence, h=1e-3):
    """d/dμ of a divergence of p and N(μ, S²), to fourth order in h."""
    d = [divergence(data.gaussian(MU + k * h, S)) for k in (-2, -1, 1, 2)]
    return (d[0] - 8 * d[1] + 8 * d[2] - d[3]) / (12 * h)


def of(row):
    width = 40 if row == "Neyman" else 16
    return lambda q: f_divergence(row, P, q, -width, width, rtol=1e-11)


JS_SLOPE = slope(lambda q: 2 * jsd(P, q, -16, 16))
DESCENDS = {
    "minimax": lambda: JS_SLOPE,
    "non-saturating": lambda: MU - JS_SLOPE,
    "maximum-likelihood": lambda: MU / S**2,
    **{f"f-gan {row}": lambda row=row: slope(of(row)) for row in ROWS if row != "total variation"},
    "f-gan KL non-saturating": lambda: MU,
    "f-gan GAN non-saturating": lambda: MU - JS_SLOPE,
    "f-gan Jensen-Shannon non-saturating": lambda: MU - JS_SLOPE,
}


@pytest.mark.parametrize("name", DESCENDS)
def test_generator_descends_its_divergence_at_the_optimal_critic(name):
    objective = EVERY[name]
    mu = torch.tensor(MU, dtype=torch.float64, requires_grad=True)
    z = torch.linspace(-24, 24, 9601, dtype=torch.float64)
    weight = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    x = (mu + S * z).unsqueeze(-1)
    score = objective.optimal(P.log_prob(x) - Q.log_prob(x))
    loss = (weight * objective.generator_loss(None, score.unsqueeze(-1))).sum()
    found = torch.autograd.grad(loss, mu)[0].item()
    assert found == pytest.approx(DESCENDS[name](), rel=1e-6, abs=1e-7)


def test_gan_row_is_the_original_gan_and_js_its_critic_less_log_4():
    real, fake = torch.randn(2, 4, 50, dtype=torch.float64, generator=torch.manual_seed(6))
    row, ns, js = f_gan("GAN"), f_gan("GAN", non_saturating=True), f_gan("Jensen-Shannon")
    close = torch.testing.assert_close
    close(row.critic_loss(real, fake), minimax.critic_loss(real, fake))
    close(row.generator_loss(None, fake), minimax.generator_loss(None, fake))
    close(ns.generator_loss(None, fake), non_saturating.generator_loss(None, fake))
    close(js.critic_loss(real, fake), minimax.critic_loss(real, fake) - math.log(4))


def test_f_gan_takes_a_row_of_ones_own_with_a_weight_a_member():
    weights = [0.2, 0.5, 0.9]
    real, fake = torch.randn(2, 3, 8, dtype=torch.float64, generator=torch.manual_seed(9))
    together = f_gan(weighted_jensen_shannon(torch.tensor(weights)))
    for i, pi in enumerate(weights):
        lone = losses_of(f_gan(weighted_jensen_shannon(pi)), real[i], fake[i])
        for a, b in zip(losses_of(together, real, fake), lone, strict=True):
            torch.testing.assert_close(a[i], b, rtol=1e-6, atol=1e-7)  # the weights are float32
    half = f_gan(weighted_jensen_shannon(0.5))
    best = critic_loss_in_population(half, half.optimal(LOG_P - LOG_Q))
    assert best == pytest.approx(-jsd(P, Q, -16, 16), abs=1e-9)
    with pytest.raises(ValueError, match="unknown f-divergence 'wurst'.*Pearson"):
        f_gan("wurst")


@every_objective
def test_tempered_divides_the_scores(objective):
    real, fake = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.manual_seed(5))
    temperatures = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    together = tempered(objective, temperatures)
    assert (together.paired, together.source) == (objective.paired, objective.source)
    for i, t in enumerate(temperatures.tolist()):
        lone = losses_of(tempered(objective, t), real[i], fake[i])
        by_hand = losses_of(objective, real[i] / t, fake[i] / t)
        for a, b, c in zip(losses_of(together, real, fake), lone, by_hand, strict=True):
            torch.testing.assert_close(a[i], c)
            torch.testing.assert_close(b, c)
    if objective.optimal:
        r = torch.tensor([-2.0, -0.5, 0.3, 4.0], dtype=torch.float64)
        torch.testing.assert_close(tempered(objective, 3.0).optimal(r), 3 * objective.optimal(r))
    else:
        assert tempered(objective, 3.0).optimal is None


def test_tempered_keeps_the_dtype_and_takes_a_name():
    scores = torch.zeros(4)
    assert tempered("minimax", 2.0).critic_loss(scores, scores).dtype == torch.float32
    assert tempered(minimax, 2.0).name == "minimax at temperature 2.0"


def test_wrong_temperatures_are_explained():
    for wrong in (0.0, -1.0, math.nan, torch.tensor([1.0, 0.0])):
        with pytest.raises(ValueError, match="must be positive"):
            tempered("minimax", wrong)
    rich = Objective("rich", minimax.critic_loss, minimax.generator_loss, "", output="codes")
    with pytest.raises(ValueError, match="'rich' is not an objective of scores"):
        tempered(rich, 2.0)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError) as error:
        get_objective("least-cubes")
    assert "least-cubes" in str(error.value)
    assert all(name in str(error.value) for name in OBJECTIVES)


@every_objective
def test_found_by_name_or_given_as_it_is(objective):
    assert objective.name in OTHERS or get_objective(objective.name) is objective
    assert objective.source
    own = Objective("own", objective.critic_loss, objective.generator_loss, "")
    assert get_objective(own) is own


# ------------------------------------------------------------------------------ games side by side


def test_games_side_by_side_are_the_games_alone():
    names, n = ("minimax", "wasserstein", "relativistic"), 2
    both = side_by_side(names, n)
    real, fake = torch.randn(
        2, 6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    alone = [OBJECTIVES[name] for name in names]
    for i, game in enumerate(alone):
        block = slice(n * i, n * i + n)
        for loss in ("critic_loss", "generator_loss"):
            assert torch.equal(
                getattr(both, loss)(real, fake)[block],
                getattr(game, loss)(real[block], fake[block]),
            )
    assert both.paired and not side_by_side(names[:2], n).paired
    unpaired = side_by_side(names[:2], n).generator_loss(None, fake[:4])
    assert torch.equal(unpaired[2:], OBJECTIVES["wasserstein"].generator_loss(None, fake[2:4]))


def test_games_side_by_side_need_their_members_and_scores():
    with pytest.raises(ValueError, match="2 games of 3 members need 6 members, not 5"):
        side_by_side(["minimax", "hinge"], 3).critic_loss(torch.zeros(5, 4), torch.zeros(5, 4))
    with pytest.raises(ValueError, match="energy-based: no objective of scores"):
        side_by_side(["minimax", energy_based(1.0)], 1)
