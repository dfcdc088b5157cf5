"""Quadrature against closed forms, against mpmath, and against what any divergence must obey."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import xlogy
from scipy.stats import norm

from gan_lib import data
from gan_lib.divergences import (
    discrete_f_divergence,
    f_divergence,
    gaussian_f_divergence,
    integrate,
    jsd,
    kl,
    optimal_logit,
    tv,
    value_of,
)
from gan_lib.f_divergences import ROWS, weighted_jensen_shannon

STANDARD = data.normal(1)

# JSD(N(0, 1), N(Δ, 1)) to the last digit that a table of six has.
JSD_OF_SHIFT = {0.5: 0.030311, 1: 0.111421, 2: 0.336831, 4: 0.632720, 8: 0.693054}
shifts = pytest.mark.parametrize("shift", JSD_OF_SHIFT)


def box(*densities):
    """Twelve standard deviations around every mean of one-dimensional mixtures."""
    low = min((p.means[:, 0] - 12 * p.stds).min() for p in densities)
    high = max((p.means[:, 0] + 12 * p.stds).max() for p in densities)
    return float(low), float(high)


def mp_jsd(shift):
    """The same number by mpmath: 2·JSD = 2 log 2 + E_p log p/(p+q) + E_q log q/(p+q)."""
    with mpmath.workdps(30):
        p, q = (lambda x: mpmath.npdf(x)), (lambda x: mpmath.npdf(x, shift))
        f = lambda x: p(x) * mpmath.log(p(x) / (p(x) + q(x)))  # noqa: E731
        # The second expectation is the first, mirrored at shift/2.
        points = [-15, -5, 0, shift / 2, shift, shift + 5, shift + 15]
        return float(mpmath.log(2) + mpmath.quad(f, points))


@shifts
def test_jsd_of_shifted_normals(shift):
    found = jsd(STANDARD, data.gaussian(shift), -12, shift + 12)
    assert found == pytest.approx(JSD_OF_SHIFT[shift], abs=6e-7)
    assert found == pytest.approx(mp_jsd(shift), abs=1e-10)


@shifts
def test_tv_of_shifted_normals(shift):
    """TV = 2Φ(Δ/2) − 1."""
    found = tv(STANDARD, data.gaussian(shift), -12, shift + 12)
    assert found == pytest.approx(math.erf(shift / 2 / math.sqrt(2)), abs=1e-7)


@pytest.mark.parametrize(
    "m, s, n, t", [(0, 1, 1, 1), (0, 1, 0, 2), (-1, 0.5, 1.5, 0.8), (2, 1.5, 0, 1)]
)
def test_kl_of_normals(m, s, n, t):
    exact = math.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5
    p, q = data.gaussian(m, s), data.gaussian(n, t)
    assert kl(p, q, *box(p)) == pytest.approx(exact, abs=1e-8)


def test_kl_and_jsd_in_the_plane():
    p, q = data.gaussian([0.0, 0.0], 1.0), data.gaussian([1.2, 1.6], 1.0)
    low, high = [-9, -9], [10, 10]
    assert kl(p, q, low, high) == pytest.approx(2.0, abs=1e-6)
    # Only the direction between the centres matters, and they are 2 apart.
    assert jsd(p, q, low, high) == pytest.approx(JSD_OF_SHIFT[2], abs=1e-6)


def test_disjoint_supports():
    p, q = data.uniform(1, 0, 1), data.uniform(1, 2, 3)
    assert jsd(p, q, 0, 3) == pytest.approx(math.log(2), abs=1e-9)
    assert tv(p, q, 0, 3) == pytest.approx(1, abs=1e-6)
    assert value_of(optimal_logit(p, q), p, q, 0, 3) == pytest.approx(0, abs=1e-9)


def test_far_apart_narrow_normals_are_found_or_refused():
    """No bump may be missed in silence, however narrow it is in its box."""
    p, q = data.gaussian(-4.0, 0.04), data.gaussian(4.0, 0.04)
    assert jsd(p, q, -5, 5) == pytest.approx(math.log(2), abs=1e-9)
    narrow = data.gaussian(-4.0, 0.01)
    for divergence in (kl, jsd, tv):
        with pytest.raises(ArithmeticError, match="0.01 could be missed.*smaller box"):
            divergence(narrow, p, -5, 5)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # ∞ − ∞ in the error estimate
def test_kl_is_infinite_where_the_model_has_no_mass():
    assert kl(data.uniform(1, 0, 1), data.uniform(1, 0.5, 2), 0, 1) == math.inf
    assert kl(data.uniform(1, 0.5, 1), data.uniform(1, 0, 2), 0, 1) == pytest.approx(math.log(4))


def test_equal_distributions():
    p = data.mixture([0.3, 0.7], [-1.0, 2.0], [0.5, 1.0])
    for divergence in (kl, jsd, tv):
        assert divergence(p, p, -8, 14) == pytest.approx(0, abs=1e-15)
    undecided = lambda x: torch.zeros(x.shape[:-1], dtype=x.dtype)  # noqa: E731
    assert value_of(undecided, p, p, -8, 14) == pytest.approx(-math.log(4), abs=1e-9)


gaussians = st.tuples(st.floats(-2, 2), st.floats(0.3, 2))
quick = settings(max_examples=25, deadline=None, derandomize=True)


def pair(a, b):
    p, q = data.gaussian(*a), data.mixture([0.4, 0.6], [b[0], b[0] + 1.5], [b[1], 0.5])
    return p, q, *box(p, q)


@quick
@given(gaussians, gaussians)
def test_bounds_and_symmetry(a, b):
    p, q, low, high = pair(a, b)
    js, t = jsd(p, q, low, high), tv(p, q, low, high)
    assert js == pytest.approx(jsd(q, p, low, high), abs=1e-9)
    assert t == pytest.approx(tv(q, p, low, high), abs=1e-7)
    assert 0 <= js <= math.log(2) and 0 <= t <= 1
    # Lin (1991), and Pinsker's inequality.
    assert t**2 / 2 - 1e-9 <= js <= math.log(2) * t + 1e-9
    assert kl(p, q, low, high) >= 2 * t**2 - 1e-7


@quick
@given(gaussians, gaussians, st.floats(-2, 2), st.floats(-1, 1))
def test_value_is_largest_at_the_optimal_critic_and_then_measures_jsd(a, b, slope, bump):
    p, q, low, high = pair(a, b)
    best = optimal_logit(p, q)
    at_best = value_of(best, p, q, low, high)
    assert at_best == pytest.approx(-math.log(4) + 2 * jsd(p, q, low, high), abs=1e-8)
    other = lambda x: best(x) + slope * (x[..., 0] + bump)  # noqa: E731
    assert value_of(other, p, q, low, high) <= at_best + 1e-9


def test_optimal_logit_is_the_odds_of_real():
    p, q = data.gaussian(-1.0, 0.5), data.gaussian(1.0, 2.0)
    x = torch.linspace(-3, 3, 13, dtype=torch.float64).unsqueeze(-1)
    real, fake = p.log_prob(x).exp(), q.log_prob(x).exp()
    torch.testing.assert_close(optimal_logit(p, q)(x).sigmoid(), real / (real + fake))


def test_value_of_a_constant_critic():
    """V of D = σ(c) is log σ(c) + log σ(−c), whatever the densities."""
    logit = lambda x: torch.full(x.shape[:-1], 1.3, dtype=x.dtype)  # noqa: E731
    exact = -math.log1p(math.exp(-1.3)) - math.log1p(math.exp(1.3))
    assert value_of(logit, STANDARD, data.gaussian(3.0), -12, 15) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("low, high", [(0, 1), ([0, 0], [1, 1])], ids=["line", "plane"])
def test_integrate_polynomials_exactly(low, high):
    f = lambda x: (3 * x**2).prod(-1)  # noqa: E731
    assert integrate(f, low, high) == pytest.approx(1, abs=1e-12)


def test_an_integral_that_does_not_converge_is_an_error():
    with pytest.raises(ArithmeticError, match="did not converge"):
        integrate(lambda x: (1 / x[:, 0]).sin() / x[:, 0], 0, 1)


def test_nan_is_an_error():
    with pytest.raises(ArithmeticError, match="did not converge"):
        integrate(lambda x: x[:, 0] * math.nan, -1, 1)


# f-divergences. The oracle knows f from the literature, in Python floats, and integrates with SciPy.
F = {
    "total variation": lambda u: abs(u - 1) / 2,
    "KL": lambda u: xlogy(u, u),
    "reverse KL": lambda u: -math.log(u),
    "Pearson": lambda u: (u - 1) ** 2,
    "Neyman": lambda u: (u - 1) ** 2 / u,
    "squared Hellinger": lambda u: (math.sqrt(u) - 1) ** 2,
    "Jeffrey": lambda u: (u - 1) * math.log(u),
    "Jensen-Shannon": lambda u: xlogy(u, u) - (u + 1) * math.log((1 + u) / 2),
    "weighted JS": lambda u: xlogy(u, u) / 2 - (1 + u) / 2 * math.log((1 + u) / 2),
    "GAN": lambda u: xlogy(u, u) - (u + 1) * math.log(u + 1),
}
every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
CLOSED = [
    *("total variation", "KL", "reverse KL", "Pearson"),
    *("Neyman", "squared Hellinger", "Jeffrey"),
]
PAIRS = {"shift": ((0, 1), (1.5, 1)), "width": ((0.3, 1), (0.3, 1.3)), "both": ((1, 0.8), (0, 1))}
normals = pytest.mark.parametrize("a, b", PAIRS.values(), ids=PAIRS)


def test_every_row_has_an_oracle():
    assert set(F) == set(ROWS), "add f of a new row to F"


@normals
@every_row
def test_f_divergence_by_another_quadrature(row, a, b):
    p, q = norm(*a), norm(*b)
    integrand = lambda x: q.pdf(x) * F[row.name](p.pdf(x) / q.pdf(x))  # noqa: E731
    exact = quad(integrand, -12, 14, points=[0, 0.75, 1.5], epsabs=1e-11, limit=400)[0]
    found = f_divergence(row, data.gaussian(*a), data.gaussian(*b), -30, 30)
    assert found == pytest.approx(exact, rel=1e-7, abs=2e-7)


@normals
@pytest.mark.parametrize("name", CLOSED)
def test_f_divergence_in_closed_form(name, a, b):
    if name == "total variation" and a[1] != b[1]:
        with pytest.raises(
            ValueError, match="no closed form for the total variation.*f_divergence"
        ):
            gaussian_f_divergence(name, a, b)
        return
    found = f_divergence(name, data.gaussian(*a), data.gaussian(*b), -30, 30, rtol=1e-9)
    assert gaussian_f_divergence(name, a, b) == pytest.approx(found, rel=2e-8)


def test_closed_forms_of_shifted_normals():
    """N(0, 1) and N(Δ, 1), whose formulas are short: Δ²/2, Δ², e^Δ² − 1, 2 − 2e^(−Δ²/8), 2Φ(Δ/2) − 1."""
    for d in (0.0, 0.3, 2.0):
        exact = {
            "total variation": 2 * norm.cdf(d / 2) - 1,
            "KL": d**2 / 2,
            "reverse KL": d**2 / 2,
            "Pearson": math.exp(d**2) - 1,
            "Neyman": math.exp(d**2) - 1,
            "squared Hellinger": 2 - 2 * math.exp(-(d**2) / 8),
            "Jeffrey": d**2,
        }
        found = {name: gaussian_f_divergence(name, (0, 1), (d, 1)) for name in CLOSED}
        assert found == pytest.approx(exact, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("name", sorted(set(ROWS) - set(CLOSED)))
def test_no_closed_form_is_said(name):
    with pytest.raises(ValueError, match=f"no closed form for the {name}.*f_divergence"):
        gaussian_f_divergence(name, (0, 1), (1, 1))


@pytest.mark.parametrize("name, wide", [("Pearson", 0), ("Neyman", 1)])
def test_infinite_chi_squares_of_gaussians_are_refused(name, wide):
    """∫ p²/q is finite only if p is less than √2 times as wide as q."""
    for width, ok in ((1.40, True), (math.sqrt(2), False), (2.0, False)):
        pair = [(0.0, width), (0.1, 1.0)]
        a, b = pair if wide == 0 else pair[::-1]
        densities = data.gaussian(*a), data.gaussian(*b)
        if ok:
            assert gaussian_f_divergence(name, a, b) > 1
            assert gaussian_f_divergence(name, b, a) < 1
            continue
        with pytest.raises(ArithmeticError, match=f"{name} divergence is infinite.*√2.*closer"):
            gaussian_f_divergence(name, a, b)
        with pytest.raises(ArithmeticError, match=f"{name} divergence is infinite.*√2.*closer"):
            f_divergence(name, *densities, -30, 30)
        assert f_divergence(name, *densities[::-1], -30, 30) > 0


def test_the_widest_component_decides():
    p = data.mixture([0.99, 0.01], [0.0, 0.0], [0.5, 1.5])
    with pytest.raises(ArithmeticError, match="infinite"):
        f_divergence("Pearson", p, data.gaussian(0, 1), -30, 30)
    assert f_divergence("Pearson", data.gaussian(0, 1.2), p, -60, 60) > 0


def test_a_box_that_cuts_the_divergence_is_refused():
    p, q = data.gaussian(0, 1.0), data.gaussian(0.7, 1.3)
    with pytest.raises(ArithmeticError, match="cuts off.*wider"):
        f_divergence("Neyman", p, q, -15, 15)
    exact = gaussian_f_divergence("Neyman", (0, 1), (0.7, 1.3))
    assert f_divergence("Neyman", p, q, -40, 40) == pytest.approx(exact, rel=1e-8)


def test_densities_that_underflow_where_their_ratio_counts():
    """p²/q is a wide bump far out, where p itself is less than 1e-308: 40 of its widths."""
    a, b = (0, 1.37), (1.5, 1.0)
    found = f_divergence("Pearson", data.gaussian(*a), data.gaussian(*b), -130, 80)
    assert found == pytest.approx(gaussian_f_divergence("Pearson", a, b), rel=1e-7)


@every_row
def test_f_divergence_of_disjoint_and_of_overlapping_uniforms(row):
    p, q, r = data.uniform(1, 0, 1), data.uniform(1, 2, 3), data.uniform(1, 0, 2)
    if row.bounded:
        assert f_divergence(row, p, q, 0, 3) == pytest.approx(row.disjoint, abs=1e-6)
    else:
        with pytest.raises(ArithmeticError, match="infinite.*row.bounded"):
            f_divergence(row, p, q, 0, 3)
    # p against r: the ratio is 2 on half of r's mass and 0 on the other half.
    if math.isfinite(row.at_zero):
        exact = 0.5 * F[row.name](2) + 0.5 * row.at_zero
        assert f_divergence(row, p, r, 0, 2) == pytest.approx(exact, abs=1e-6)
    else:
        with pytest.raises(ArithmeticError, match="infinite"):
            f_divergence(row, p, r, 0, 2)
    if math.isfinite(row.slope_at_infinity):  # r against p: ½ with weight 1, and half of r beyond p
        exact = F[row.name](0.5) + 0.5 * row.slope_at_infinity
        assert f_divergence(row, r, p, 0, 2) == pytest.approx(exact, abs=1e-6)


@every_row
def test_f_divergence_of_equal_densities_is_f_of_one(row):
    p = data.mixture([0.3, 0.7], [-1.0, 2.0], [0.5, 1.0])
    assert f_divergence(row, p, p, -12, 14) == pytest.approx(row.at_one, abs=1e-9)


def test_f_divergences_by_their_other_names():
    p, q = data.gaussian(-0.5, 1.1), data.mixture([0.5, 0.5], [0.0, 2.0], [1.0, 0.9])
    d = lambda row, a=p, b=q: f_divergence(row, a, b, -25, 25)  # noqa: E731
    assert d("KL") == pytest.approx(kl(p, q, -25, 25), abs=1e-9)
    assert d("reverse KL") == pytest.approx(kl(q, p, -14, 14), abs=1e-9)
    assert d("Jensen-Shannon") == pytest.approx(2 * jsd(p, q, -25, 25), abs=1e-9)
    assert d("weighted JS") == pytest.approx(jsd(p, q, -25, 25), abs=1e-9)
    assert d("GAN") == pytest.approx(2 * jsd(p, q, -25, 25) - math.log(4), abs=1e-9)
    assert d("total variation") == pytest.approx(tv(p, q, -25, 25), abs=1e-7)
    assert d("Pearson") == pytest.approx(d("Neyman", q, p), abs=1e-9)
    assert d("Jeffrey") == pytest.approx(d("KL") + d("reverse KL"), abs=1e-9)
    pi = 0.3
    assert d(weighted_jensen_shannon(pi)) == pytest.approx(
        d(weighted_jensen_shannon(1 - pi), q, p), abs=1e-9
    )


def test_fitted_gaussians_of_the_f_gan_paper():
    """Table 3 of Nowozin et al. (2016): D_f of their mixture and the best Gaussian, to four digits."""
    p = data.mixture([0.33, 0.67], [-1.0, 2.0], [0.255, 1.415])
    for name, mean, std, exact in (
        ("KL", 1.0100, 1.8308, 0.2831),
        ("reverse KL", 1.5782, 1.6319, 0.2480),
        ("Jensen-Shannon", 1.3070, 1.7542, 0.1280),
        ("Jeffrey", 1.3218, 1.7034, 0.5705),
        ("Pearson", 0.5737, 1.9274, 0.6457),
    ):
        q = data.gaussian(mean, std)
        at_best = f_divergence(name, p, q, -35, 35)
        assert at_best == pytest.approx(exact, abs=5e-4)
        for other in (data.gaussian(mean + 0.1, std), data.gaussian(mean, std + 0.1)):
            assert f_divergence(name, p, other, -35, 35) > at_best


vectors = st.lists(st.floats(0.01, 1), min_size=4, max_size=4)


@every_row
@settings(max_examples=15, deadline=None, derandomize=True)
@given(vectors, vectors, st.integers(0, 15), st.integers(0, 15))
def test_discrete_f_divergence_is_the_sum(row, p, q, p_mask, q_mask):
    """Zeros by their limits: a ratio of 0 costs q f(0), q = 0 costs p f′(∞), and 0/0 nothing."""
    p = [0.0 if p_mask >> i & 1 else x for i, x in enumerate(p)]
    q = [0.0 if q_mask >> i & 1 else x for i, x in enumerate(q)]
    if not sum(p) or not sum(q):
        return
    p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
    total = 0.0
    for x, y in zip(p, q, strict=True):
        if x and y:
            total += y * F[row.name](x / y)
        elif y:
            total += y * row.at_zero
        elif x:
            total += x * row.slope_at_infinity
    tensors = [torch.tensor(v, dtype=torch.float64) for v in (p, q)]
    found = discrete_f_divergence(row, *tensors).item()
    assert found == pytest.approx(total, rel=1e-12, abs=1e-12)
    assert found >= row.at_one - 1e-12  # Jensen


@every_row
def test_discrete_f_divergence_merging_cells_loses_and_batches_are_loops(row):
    p, q = torch.rand(2, 5, 6, dtype=torch.float64, generator=torch.manual_seed(0)) + 0.01
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    together = discrete_f_divergence(row, p, q)
    assert together.shape == (5,)
    for i in range(5):
        torch.testing.assert_close(together[i], discrete_f_divergence(row, p[i], q[i]))
    coarse = [v.reshape(5, 3, 2).sum(-1) for v in (p, q)]  # the data processing inequality
    assert (discrete_f_divergence(row, *coarse) <= together + 1e-12).all()
    apart = torch.eye(2, dtype=torch.float64)
    assert discrete_f_divergence(row, apart[0], apart[1]).item() == pytest.approx(row.disjoint)


@pytest.mark.parametrize("wrong", [[0.5, 0.6], [-0.5, 1.5]])
def test_discrete_f_divergence_wants_probabilities(wrong):
    good, wrong = torch.tensor([0.5, 0.5]), torch.tensor(wrong)
    for p, q, name in ((wrong, good, "p"), (good, wrong, "q")):
        with pytest.raises(ValueError, match=f"{name} is no probability vector.*sum"):
            discrete_f_divergence("KL", p, q)
