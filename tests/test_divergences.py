"""Quadrature against closed forms, against mpmath, and against what any divergence must obey."""

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_lib import data
from gan_lib.divergences import integrate, jsd, kl, optimal_logit, tv, value_of

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
