"""The ten rows against mpmath, which is told only f, f′ and the activation, and takes f* by its sup."""

import math
from functools import cache

import mpmath as mp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from gan_lib.f_divergences import ROWS, Row, get_row, weighted_jensen_shannon
from gan_lib.numerics import chi_square, log1mexp, log_lambertw, softplus

DIGITS = 110
mp.mp.dps = 30


def weighted(pi):
    """f, f′ and g_f of the weighted Jensen–Shannon divergence, for mpmath."""
    return (
        lambda u: pi * u * mp.log(u) - (1 - pi + pi * u) * mp.log(1 - pi + pi * u),
        lambda u: pi * mp.log(u) - pi * mp.log(1 - pi + pi * u),
        lambda v: -pi * mp.log(pi) - mp.log(1 + mp.exp(-v)),
    )


# f and the activation as the paper prints them, and f′ by hand (checked below by differences).
ORACLES = {
    "total variation": (
        lambda u: abs(u - 1) / 2,
        lambda u: mp.sign(u - 1) / 2,
        lambda v: mp.tanh(v) / 2,
    ),
    "KL": (lambda u: u * mp.log(u), lambda u: mp.log(u) + 1, lambda v: v),
    "reverse KL": (lambda u: -mp.log(u), lambda u: -1 / u, lambda v: -mp.exp(-v)),
    "Pearson": (lambda u: (u - 1) ** 2, lambda u: 2 * (u - 1), lambda v: v),
    "Neyman": (lambda u: (1 - u) ** 2 / u, lambda u: 1 - 1 / u**2, lambda v: 1 - mp.exp(-v)),
    "squared Hellinger": (
        lambda u: (mp.sqrt(u) - 1) ** 2,
        lambda u: 1 - 1 / mp.sqrt(u),
        lambda v: 1 - mp.exp(-v),
    ),
    "Jeffrey": (
        lambda u: (u - 1) * mp.log(u),
        lambda u: mp.log(u) + 1 - 1 / u,
        lambda v: v,
    ),
    "Jensen-Shannon": (
        lambda u: u * mp.log(u) - (u + 1) * mp.log((1 + u) / 2),
        lambda u: mp.log(u) - mp.log((1 + u) / 2),
        lambda v: mp.log(2) - mp.log(1 + mp.exp(-v)),
    ),
    "weighted JS": weighted(mp.mpf(1) / 2),
    "GAN": (
        lambda u: u * mp.log(u) - (u + 1) * mp.log(u + 1),
        lambda u: mp.log(u) - mp.log(u + 1),
        lambda v: -mp.log(1 + mp.exp(-v)),
    ),
}
SCORES = [-100.0, -30.0, -7.3, -2.0, -1.0, -0.4, 0.0, 0.3, 1.0, 2.6, 8.0, 20.5, 30.0, 100.0]
WEIGHTS = [0.1, 0.5, 0.83]
every_row = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
tensor = lambda v: torch.tensor(v, dtype=torch.float64)  # noqa: E731


def supremum(f, f_prime, t):
    """sup_u (ut − f(u)) over u > 0 and the u that attains it, by bisection of f′(e^r) = t."""
    low, high = mp.mpf(-400), mp.mpf(400)
    for _ in range(260):
        middle = (low + high) / 2
        low, high = (middle, high) if f_prime(mp.exp(middle)) < t else (low, middle)
    u = mp.exp((low + high) / 2)
    return u * t - f(u), u


@cache
def fused_oracle(name, v, pi=None):
    """g_f(v), g_f′(v), f*(g_f(v)) and its slope: the number u that attains the sup, times g_f′."""
    f, f_prime, g = ORACLES[name] if pi is None else weighted(mp.mpf(pi))
    with mp.workdps(DIGITS):
        v = mp.mpf(v)
        t, slope = g(v), mp.diff(g, v)
        best, u = supremum(f, f_prime, t)
        return tuple(float(x) for x in (t, slope, best, u * slope))


def with_slope(function, v):
    v = tensor(v).requires_grad_()
    y = function(v)
    return y.detach(), torch.autograd.grad(y.sum(), v)[0]


def test_every_row_has_an_oracle():
    assert set(ORACLES) == set(ROWS), "add f, f′ and g_f of a new row to ORACLES"
    assert all(name == row.name for name, row in ROWS.items())


@every_row
@pytest.mark.parametrize("u", [1e-8, 0.03, 0.5, 0.999, 1.001, 1.7, 40.0, 1e9])
def test_f_and_its_slope(row, u):
    f, f_prime, _ = ORACLES[row.name]
    value, slope = with_slope(row.f, u)
    exact = f(mp.mpf(u))
    assert value.item() == pytest.approx(float(exact), rel=1e-12, abs=4e-16)
    assert slope.item() == pytest.approx(float(mp.diff(f, mp.mpf(u), h=u * 1e-9)), rel=1e-7)
    assert row.f_prime(tensor(u)).item() == pytest.approx(float(f_prime(mp.mpf(u))), rel=1e-12)
    assert slope.item() == pytest.approx(row.f_prime(tensor(u)).item(), rel=1e-9)


@every_row
def test_f_is_convex_and_strictly_so_at_one(row):
    u = torch.logspace(-6, 6, 2001, dtype=torch.float64)
    slopes = row.f_prime(u)
    assert (slopes.diff() >= 0).all()
    assert row.f_prime(tensor(0.99)) < row.f_prime(tensor(1.01))


@every_row
def test_limits_are_those_of_f(row):
    """f(0), f(1), f′(1), f′(0) and f′(∞), each against f itself."""
    f, f_prime, _ = ORACLES[row.name]
    tiny, huge = mp.mpf("1e-400"), mp.mpf("1e400")
    near_zero, slope_near_zero = f(tiny), f_prime(tiny)
    for limit, near in (
        (row.at_zero, near_zero),
        (row.domain[0], slope_near_zero),
        (row.domain[1], f_prime(huge)),
        (row.slope_at_infinity, f(huge) / huge),
    ):
        if math.isinf(limit):
            assert abs(near) > 400 and (near > 0) == (limit > 0)
        else:
            assert float(near) == pytest.approx(limit, abs=1e-15)
    at_zero = row.f(tensor(0.0)).item()
    assert at_zero == pytest.approx(row.at_zero, abs=1e-15) or math.isinf(row.at_zero)
    assert float(f(mp.mpf(1))) == pytest.approx(row.at_one, abs=1e-15)
    assert float(f_prime(mp.mpf(1))) == pytest.approx(row.slope_at_one, abs=1e-15)


def in_domain(row):
    """Points of the domain, dense at its edges."""
    low, high = max(row.domain[0], -30.0), min(row.domain[1], 30.0)
    return low + (high - low) * torch.linspace(0.0005, 0.9995, 25, dtype=torch.float64)


@every_row
def test_conjugate_is_the_supremum(row):
    f, f_prime, _ = ORACLES[row.name]
    t = in_domain(row)
    value, slope = with_slope(row.conjugate, t.tolist())
    best = [supremum(f, f_prime, mp.mpf(x)) for x in t.tolist()]
    np.testing.assert_allclose(value, [float(b) for b, _ in best], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(row.conjugate_prime(t), [float(u) for _, u in best], rtol=1e-9)
    np.testing.assert_allclose(slope, row.conjugate_prime(t), rtol=1e-10)


@every_row
def test_conjugate_by_brute_force(row):
    """No calculus: the largest of ut − f(u) on a grid of u, which only just misses the supremum."""
    u = torch.cat([tensor([0.0]), torch.logspace(-8, 8, 40_001, dtype=torch.float64)])
    u = u[row.f(u).isfinite()]
    t = in_domain(row)[2:-2]
    t = t[row.conjugate_prime(t) < 1e7]
    largest = torch.stack([(u * x - row.f(u)).max() for x in t])
    found = row.conjugate(t)
    assert (largest <= found + 1e-9 * (1 + found.abs())).all()
    torch.testing.assert_close(largest, found, rtol=1e-5, atol=1e-5)


@every_row
def test_conjugate_outside_the_domain(row):
    """Below f′(0) the best u is 0 and f* = −f(0); above f′(∞) there is no bound."""
    low, high = row.domain
    if math.isfinite(low):
        t = tensor([low - 5, low - 1e-3, low]).requires_grad_()
        value = row.conjugate(t)
        assert value.tolist() == [-row.at_zero] * 3
        assert torch.autograd.grad(value[:2].sum(), t)[0].tolist() == [0, 0, 0]
        assert row.conjugate_prime(t)[:2].tolist() == [0, 0]
    if math.isfinite(high):
        t = tensor([high + 1e-3, high + 5])
        assert row.conjugate(t).tolist() == row.conjugate_prime(t).tolist() == [math.inf] * 2
        value = row.conjugate(tensor(high)).item()  # the limit from below
        below = row.conjugate(tensor(high - 1e-12)).item()
        assert math.isinf(value) and below > 10 or value == pytest.approx(below, abs=1e-5)


quick = settings(max_examples=30, deadline=None, derandomize=True)


@every_row
@quick
@given(log_u=st.floats(-20, 20), v=st.floats(-15, 15))
def test_fenchel_inequality(row, log_u, v):
    """ut − f(u) ≤ f*(t) for all u and t, with equality where t = f′(u)."""
    u, t = tensor(log_u).exp(), row.activation(tensor(v))
    size = 1 + abs(u * t) + row.f(u).abs()
    assert u * t - row.f(u) <= row.conjugate(t) + 1e-12 * (size + row.conjugate(t).abs())
    if abs(log_u) < 6 and (log_u != 0 or row.slope_at_one == 0):
        touch = row.f_prime(u)
        gap = row.conjugate(touch) - (u * touch - row.f(u))
        assert gap.abs() <= 1e-8 * size


@every_row
@pytest.mark.parametrize("u", [0.02, 0.4, 1.0, 2.5, 50.0])
def test_conjugate_of_the_conjugate_is_f(row, u):
    """f = f**: the tangents of f, which f* lists, have f as their upper edge."""
    at = lambda s: row.activation(tensor(s))  # noqa: E731
    loss = lambda s: float(row.conjugate(at(s)) - u * at(s))  # noqa: E731
    bounds = (-60, 110) if row.name in ("Pearson", "Jeffrey") else (-20, 20)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    exact = float(ORACLES[row.name][0](mp.mpf(u)))
    assert -best.fun == pytest.approx(exact, abs=2e-7)


@every_row
def test_activation_rises_through_the_whole_domain(row):
    v = torch.linspace(-12, 12, 200, dtype=torch.float64)
    t = row.activation(v)
    assert (t.diff() > 0).all()
    assert (t >= max(row.domain[0], -1e9)).all() or row.name == "Pearson"
    assert (t <= row.domain[1]).all()
    ends = row.activation(tensor([-1000.0, 1000.0])).tolist()
    for end, edge in zip(ends, row.domain, strict=True):
        assert (
            abs(end) >= 999
            if math.isinf(edge)
            else end == pytest.approx(edge, abs=1e-12) or (row.name == "Pearson" and end < edge)
        )


def check_fused(row, scores, pi=None):
    oracle = [fused_oracle(row.name, v, pi) for v in scores]
    t, g_slope, best, slope = (np.array(column) for column in zip(*oracle, strict=True))
    found = with_slope(row.activation, scores)
    np.testing.assert_allclose(found[0], t, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[1], g_slope, rtol=1e-12, atol=2e-16)
    found = with_slope(row.conjugate_of_activation, scores)
    np.testing.assert_allclose(found[0], best, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[1], slope, rtol=1e-12, atol=2e-16)


@every_row
def test_fused_is_exact_where_the_composition_is_not(row):
    check_fused(row, SCORES)


@pytest.mark.parametrize("pi", WEIGHTS)
def test_fused_weighted_js_is_exact_for_every_weight(pi):
    check_fused(weighted_jensen_shannon(pi), SCORES, pi)


@every_row
def test_fused_is_the_composition(row):
    v = torch.linspace(-8, 8, 33, dtype=torch.float64)
    torch.testing.assert_close(
        row.conjugate_of_activation(v), row.conjugate(row.activation(v)), rtol=1e-9, atol=1e-12
    )


@every_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_finite_with_finite_slope_wherever_the_value_is_a_number_of_the_dtype(row, dtype):
    """|v| = 100; inf only where e^100 is asked for and the dtype has no such number."""
    for v in (-100.0, 100.0):
        exact = fused_oracle(row.name, v)
        for function, value, slope in (
            (row.activation, exact[0], exact[1]),
            (row.conjugate_of_activation, exact[2], exact[3]),
        ):
            x = torch.tensor([v], dtype=dtype, requires_grad=True)
            y = function(x)
            assert y.dtype == dtype
            fits = max(abs(value), abs(slope)) < torch.finfo(dtype).max
            assert bool(y.isfinite()) == fits
            assert bool(torch.autograd.grad(y, x)[0].isfinite()) == fits
            assert fits or dtype == torch.float32


@every_row
def test_linear_tails_survive_ten_thousand(row):
    """A score of 10⁴ is no number's exponent, but the fused form of a logit needs none."""
    if row.name in (
        "GAN",
        "Jensen-Shannon",
        "weighted JS",
        "reverse KL",
        "total variation",
        "Pearson",
    ):
        for dtype in (torch.float32, torch.float64):
            v = torch.tensor([1e4, -1e4], dtype=dtype, requires_grad=True)
            y = row.conjugate_of_activation(v)
            assert y.isfinite().all() and torch.autograd.grad(y.sum(), v)[0].isfinite().all()


@every_row
def test_second_derivatives(row):
    """Gradient penalties differentiate twice."""
    v = tensor([-6.0, -1.3, 0.2, 0.9, 3.1]).requires_grad_()
    for function in (row.activation, row.conjugate_of_activation):
        assert torch.autograd.gradcheck(function, v)
        assert torch.autograd.gradgradcheck(function, v)


@every_row
def test_optimal_score_reaches_the_slope_of_f(row):
    r = torch.linspace(-3, 3, 26, dtype=torch.float64)
    t = row.activation(row.optimal_score(r))
    torch.testing.assert_close(t, row.f_prime(r.exp()), rtol=1e-10, atol=1e-12)
    assert row.optimal_score(tensor([-300.0, 0.0, 300.0])).isnan().sum() == 0


@every_row
def test_integrand_is_q_f_of_the_ratio(row):
    log_p, log_q = torch.randn(2, 200, dtype=torch.float64, generator=torch.manual_seed(0)) * 2
    found = row.integrand(log_p, log_q)
    expected = log_q.exp() * row.f((log_p - log_q).exp())
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-13)
    same = row.integrand(log_p, log_p)
    torch.testing.assert_close(same, row.at_one * log_p.exp(), rtol=1e-14, atol=1e-13)


@every_row
def test_integrand_does_not_overflow(row):
    """p = e^−450 against q = e^−890, whose ratio squared is no float64, and the other way round."""
    far, farther = tensor([-450.0]), tensor([-890.0])
    f, _, _ = ORACLES[row.name]
    for a, b in ((far, farther), (farther, far)):
        with mp.workdps(2000):
            exact = mp.exp(b.item()) * f(mp.exp(mp.mpf((a - b).item())))
        assert row.integrand(a, b).item() == pytest.approx(float(exact), rel=1e-9, abs=1e-300)


def discrete(row, p, q):
    return (q * row.f(p / q)).sum(-1)


@every_row
def test_symmetric_says_whether_p_and_q_may_change_places(row):
    p, q = torch.rand(2, 30, 4, dtype=torch.float64, generator=torch.manual_seed(2)) + 0.05
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    gap = (discrete(row, p, q) - discrete(row, q, p)).abs().max()
    assert (gap < 1e-12) == row.symmetric
    assert row.symmetric or gap > 1e-3


@every_row
def test_bounded_says_whether_nearly_disjoint_supports_stay_finite(row):
    costs = []
    for log_e in (-12, -24, -48):
        e = mp.mpf(10) ** log_e
        f = ORACLES[row.name][0]
        costs.append(float(e * f((1 - e) / e) + (1 - e) * f(e / (1 - e))))
    assert row.bounded == math.isfinite(row.disjoint)
    if row.bounded:
        assert costs[-1] == pytest.approx(row.disjoint, abs=1e-10)
    else:
        assert costs[2] > 1.5 * costs[1] > 2 * costs[0]


def test_known_extremes():
    """What the literature says two disjoint distributions are apart."""
    log2 = math.log(2)
    found = {name: row.disjoint for name, row in ROWS.items() if row.bounded}
    assert found == pytest.approx(
        {
            "total variation": 1,
            "squared Hellinger": 2,
            "Jensen-Shannon": 2 * log2,
            "weighted JS": log2,
            "GAN": 0,
        }
    )
    pi = 0.2  # the entropy of the weight
    entropy = -pi * math.log(pi) - (1 - pi) * math.log(1 - pi)
    assert weighted_jensen_shannon(pi).disjoint == pytest.approx(entropy)


def test_half_weighted_js_is_half_the_row_of_js_and_gan_is_js_less_log_4():
    u = torch.logspace(-5, 5, 50, dtype=torch.float64)
    js, gan = ROWS["Jensen-Shannon"].f(u), ROWS["GAN"].f(u)
    torch.testing.assert_close(weighted_jensen_shannon(0.5).f(u), js / 2, rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(gan, js - (1 + u) * math.log(2), rtol=1e-10, atol=1e-14)


def test_one_weight_a_member_is_a_loop_over_members():
    x = torch.randn(3, 7, dtype=torch.float64, generator=torch.manual_seed(3))
    together = weighted_jensen_shannon(tensor(WEIGHTS))
    assert together.domain[1].shape == together.at_zero.shape == (3, 1)
    assert together.bounded and not together.symmetric
    for name, arguments in {
        "f": (x.exp(),),
        "f_prime": (x.exp(),),
        "conjugate": (x,),
        "conjugate_prime": (x,),
        "activation": (x,),
        "conjugate_of_activation": (x,),
        "optimal_score": (x,),
        "integrand": (x, x.flip(0)),
    }.items():
        for i, pi in enumerate(WEIGHTS):
            lone = getattr(weighted_jensen_shannon(pi), name)(*(a[i] for a in arguments))
            torch.testing.assert_close(getattr(together, name)(*arguments)[i], lone)


@pytest.mark.parametrize("pi", WEIGHTS)
def test_weighted_js_by_its_definition(pi):
    """π KL(P‖M) + (1 − π) KL(Q‖M)."""
    p, q = tensor([0.2, 0.3, 0.5]), tensor([0.6, 0.1, 0.3])
    m = pi * p + (1 - pi) * q
    exact = pi * (p * (p / m).log()).sum() + (1 - pi) * (q * (q / m).log()).sum()
    row = weighted_jensen_shannon(pi)
    assert discrete(row, p, q).item() == pytest.approx(exact.item(), rel=1e-13)
    assert row.integrand(p.log(), q.log()).sum().item() == pytest.approx(exact.item(), rel=1e-13)
    t = row.activation(tensor([-3.0, 0.2, 2.0]))
    f, f_prime, _ = weighted(mp.mpf(pi))
    best = [float(supremum(f, f_prime, mp.mpf(x))[0]) for x in t.tolist()]
    np.testing.assert_allclose(row.conjugate(t), best, rtol=1e-12)


# The functions underneath.


@pytest.mark.parametrize("x", [-700.0, -100.0, -30.0, -1.0, 0.0, 0.7, 0.999, 1.0, 1.5, 30.0, 700.0])
def test_lambert_w_with_two_derivatives(x):
    """W(e^x) by mpmath; d log W/dx = 1/(1 + W), d² log W/dx² = −W/(1 + W)³."""
    with mp.workdps(60):
        w = mp.lambertw(mp.exp(mp.mpf(x))).real
        exact = [float(e) for e in (mp.log(w), 1 / (1 + w), -w / (1 + w) ** 3)]
    at = tensor(x).requires_grad_()
    y = log_lambertw(at)
    (first,) = torch.autograd.grad(y, at, create_graph=True)
    (second,) = torch.autograd.grad(first, at)
    assert y.item() == pytest.approx(exact[0], rel=1e-14, abs=1e-15)
    assert first.item() == pytest.approx(exact[1], rel=1e-14)
    assert second.item() == pytest.approx(exact[2], rel=1e-12, abs=1e-310)
    single = log_lambertw(torch.tensor(x, dtype=torch.float32))
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(exact[0], rel=5e-7, abs=2e-7)


@quick
@given(st.floats(-1e5, 1e5))
def test_lambert_w_solves_its_equation(x):
    y = log_lambertw(tensor(x)).item()
    assert math.exp(y) + y == pytest.approx(x, rel=1e-13, abs=1e-14)


def test_lambert_w_under_grad_vmap_and_gradgradcheck():
    x = tensor([-4.0, -0.5, 0.0, 1.0, 6.0]).requires_grad_()
    assert torch.autograd.gradcheck(log_lambertw, x)
    assert torch.autograd.gradgradcheck(log_lambertw, x)
    slopes = torch.func.vmap(torch.func.grad(log_lambertw))(x.detach())
    torch.testing.assert_close(slopes, 1 / (1 + log_lambertw(x.detach()).exp()))
    assert log_lambertw(torch.empty(3, device="meta")).shape == (3,)


@pytest.mark.parametrize("x", [1e-300, 1e-20, 1e-3, 0.6, math.log(2), 0.8, 5.0, 50.0, 700.0])
def test_log1mexp_and_softplus(x):
    with mp.workdps(330):
        exact = [mp.log(1 - mp.exp(-mp.mpf(x))), mp.log(1 + mp.exp(mp.mpf(x)))]
        slopes = [1 / (mp.exp(mp.mpf(x)) - 1), 1 / (1 + mp.exp(-mp.mpf(x)))]
        exact, slopes = [float(e) for e in exact], [float(s) for s in slopes]
    for function, value, slope in zip((log1mexp, softplus), exact, slopes, strict=True):
        found = with_slope(function, x)
        assert [f.item() for f in found] == pytest.approx([value, slope], rel=1e-14)
    at = tensor(x).requires_grad_()
    assert torch.autograd.grad(log1mexp(at), at, create_graph=True)[0].requires_grad


def test_chi_square_by_its_definition():
    p, q = tensor([0.2, 0.5, 3.0]), tensor([0.2, 0.7, 1.0])
    torch.testing.assert_close(chi_square(p.log(), q.log()), (p - q) ** 2 / q)


def test_unknown_row_lists_the_known_and_a_row_is_itself():
    with pytest.raises(ValueError) as error:
        get_row("Chebyshev")
    assert all(name in str(error.value) for name in ("Chebyshev", *ROWS))
    own = Row(**{**vars(ROWS["KL"]), "name": "own"})
    assert get_row(own) is own and get_row("KL") is ROWS["KL"]


@pytest.mark.parametrize("pi", [0.0, 1.0, -0.3, 1.2, math.nan, [0.5, 1.0]])
def test_weights_must_lie_between_0_and_1(pi):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        weighted_jensen_shannon(torch.tensor(pi))


def test_chi_square_has_a_slope_where_the_densities_are_equal():
    """The slope in log p is 2 (p − q) p/q, so 0 there; on both sides of |log p/q| = 1 it is that too."""
    log_p = torch.tensor([-1.0, -0.5, -2.5, 3.0], dtype=torch.float64, requires_grad=True)
    log_q = torch.tensor([-1.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    (slope,) = torch.autograd.grad(chi_square(log_p, log_q).sum(), log_p)
    p, q = log_p.detach().exp(), log_q.exp()
    assert (slope - 2 * (p - q) * p / q).abs().max() < 1e-11
