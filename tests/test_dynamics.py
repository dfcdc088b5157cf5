"""Games whose answer is known: growth factors, conserved quantities, orbits."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_lib.dynamics import (
    STEPS,
    Game,
    State,
    bilinear,
    consensus,
    continuous,
    eigenvalues,
    iterate,
    jacobian,
    step_factor,
    vector_field,
    zero_sum,
)

ORIGIN = torch.zeros(1, dtype=torch.float64)
A, B = torch.tensor([1.2], dtype=torch.float64), torch.tensor([-0.7], dtype=torch.float64)

# Largest |eigenvalue| of one step on v(a, b) = ab with step size η (consensus: γ = 1).
FACTORS = {
    "simultaneous": lambda n: math.sqrt(1 + n * n),
    "alternating, a first": lambda n: 1.0,
    "alternating, b first": lambda n: 1.0,
    "extragradient": lambda n: math.sqrt(1 - n * n + n**4),
    "optimistic": lambda n: math.sqrt((1 + math.sqrt(1 - 4 * n * n)) / 2),
    "implicit": lambda n: 1 / math.sqrt(1 + n * n),
    "consensus": lambda n: math.sqrt((1 - n) ** 2 + n * n),
}


def curved():
    """A game without symmetry, two numbers for a and one for b."""
    return Game(
        lambda a, b: (a.square().sum(-1) * b[..., 0]).sin() + a[..., 0],
        lambda a, b: (b[..., 0] - a[..., 1]).square() * a[..., 0].exp(),
    )


def test_every_step_has_a_known_factor():
    assert set(FACTORS) == set(STEPS)


@pytest.mark.parametrize("lr", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("name", STEPS)
def test_factor_on_the_bilinear_game(name, lr):
    step = partial(consensus, gamma=1.0) if name == "consensus" else STEPS[name]
    expected = FACTORS[name](lr)
    if name.startswith("alternating"):  # the product of the two shears, by NumPy
        shears = np.array([[1, -lr], [0, 1]]) @ np.array([[1, 0], [lr, 1]])
        expected = np.abs(np.linalg.eigvals(shears)).max()
        assert abs(expected - 1) < 1e-12
    # At η = ½ the optimistic step has a double eigenvalue, and half the digits are lost.
    atol = 1e-6 if (name, lr) == ("optimistic", 0.5) else 1e-12
    assert abs(step_factor(bilinear(), step, ORIGIN, ORIGIN, lr) - expected) < atol


@pytest.mark.parametrize("name", ["simultaneous", "extragradient", "implicit", "consensus"])
def test_the_radius_changes_by_that_factor_each_step(name):
    a, b = iterate(bilinear(), STEPS[name], A, B, 0.3, 20)
    radius = torch.cat([a, b], -1).norm(dim=-1)
    assert (radius[1:] / radius[:-1] - FACTORS[name](0.3)).abs().max() < 1e-12


def test_optimistic_is_stable_up_to_one_over_root_three():
    edge = 1 / math.sqrt(3)
    step = STEPS["optimistic"]
    assert step_factor(bilinear(), step, ORIGIN, ORIGIN, edge - 1e-3) < 1
    assert step_factor(bilinear(), step, ORIGIN, ORIGIN, edge + 1e-3) > 1


def test_optimistic_remembers():
    """Against the recursion by hand, in which the first step is a plain one."""
    a, b = iterate(bilinear(), STEPS["optimistic"], A, B, 0.2, 5)
    x, before = np.array([1.2, -0.7]), None
    for i in range(5):
        v = np.array([-x[1], x[0]])
        x = x + 0.2 * (2 * v - (v if before is None else before))
        before = v
        assert np.allclose(x, [a[i + 1].item(), b[i + 1].item()], atol=1e-14)


@pytest.mark.parametrize("first, sign", [("a first", -1), ("b first", 1)])
@pytest.mark.parametrize("lr", [0.3, 1.9])
def test_alternating_steps_conserve_an_ellipse(first, sign, lr):
    a, b = iterate(bilinear(), STEPS[f"alternating, {first}"], A, B, lr, 400)
    ellipse = (a**2 + sign * lr * a * b + b**2).squeeze(-1)
    assert (ellipse - ellipse[0]).abs().max() < 1e-10
    radius = (a**2 + b**2).squeeze(-1)
    assert radius.max() / radius.min() > 1.3, "the radius itself swings"


def test_the_flow_of_the_bilinear_game_is_a_circle():
    t = torch.linspace(0, 20, 41, dtype=torch.float64)
    a, b = continuous(bilinear(), A, B, t)
    assert ((a**2 + b**2) - (A**2 + B**2)).abs().max() < 1e-9
    assert (a.squeeze(-1) - (1.2 * t.cos() + 0.7 * t.sin())).abs().max() < 1e-9


def test_a_flow_that_ends_is_an_error():
    runaway = Game(lambda a, b: -(a**3).sum(-1), lambda a, b: (b**2).sum(-1))
    times = torch.tensor([0.0, 5.0], dtype=torch.float64)
    with pytest.raises(ArithmeticError, match="could not be followed"):
        continuous(runaway, torch.ones(1).double(), torch.ones(1).double(), times)


@given(st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3))
@settings(max_examples=15, deadline=None)
def test_field_and_jacobian_by_differences(point):
    game, eps = curved(), 1e-6
    x = torch.tensor(point, dtype=torch.float64)
    a, b = x[:2], x[2:]
    v, slope = vector_field(game, a, b).detach(), jacobian(game, a, b)
    for i in range(3):
        shift = eps * torch.eye(3, dtype=torch.float64)[i]
        up, down = x + shift, x - shift
        loss = game.loss_a if i < 2 else game.loss_b
        difference = (loss(up[:2], up[2:]) - loss(down[:2], down[2:])) / (2 * eps)
        assert abs(v[i] + difference) < 1e-7 * (1 + v[i].abs())
        column = vector_field(game, up[:2], up[2:]) - vector_field(game, down[:2], down[2:])
        assert torch.allclose(slope[:, i], column.detach() / (2 * eps), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", STEPS)
def test_members_never_mix(name):
    a = torch.tensor([[0.3, -0.2], [1.0, 0.4], [-0.5, 0.1]], dtype=torch.float64)
    b = torch.tensor([[0.2], [-0.4], [0.7]], dtype=torch.float64)
    together = iterate(curved(), STEPS[name], a, b, 0.05, 10)
    for i in range(3):
        alone = iterate(curved(), STEPS[name], a[i], b[i], 0.05, 10)
        assert all(
            torch.allclose(t[:, i], x, atol=1e-12) for t, x in zip(together, alone, strict=True)
        )
    assert jacobian(curved(), a, b).shape == (3, 3, 3)
    assert torch.allclose(eigenvalues(curved(), a, b)[1], eigenvalues(curved(), a[1], b[1]))


@pytest.mark.parametrize("name", STEPS)
def test_factor_is_the_rate_near_a_minimum(name):
    bowl = Game(
        lambda a, b: (a**2).sum(-1) + 0.3 * (a * b).sum(-1), lambda a, b: 0.5 * (b**2).sum(-1)
    )
    factor = step_factor(bowl, STEPS[name], ORIGIN, ORIGIN, 0.1)
    a, b = iterate(bowl, STEPS[name], A, B, 0.1, 300)
    radius = torch.cat([a, b], -1).norm(dim=-1)
    assert factor < 1 and abs((radius[300] / radius[299]) - factor) < 1e-3


def test_implicit_solves_its_equation_on_a_curved_game():
    game, lr = zero_sum(lambda a, b: (a * b).sum(-1) + (a**4).sum(-1) / 4), 0.5
    end = STEPS["implicit"](game, State(A, B), lr)
    x, v = torch.cat(end[:2], -1), vector_field(game, end.a, end.b)
    assert (x - torch.cat([A, B], -1) - lr * v).abs().max() < 1e-12


def test_after_follows_each_step():
    keep = lambda a, b: (a, b.clamp(-0.5, 0.5))  # noqa: E731
    _, b = iterate(bilinear(), STEPS["simultaneous"], A, B, 0.3, 30, after=keep)
    assert b[1:].abs().max() == 0.5


def test_wrong_input_is_explained():
    with pytest.raises(ValueError, match="at least one step"):
        iterate(bilinear(), STEPS["implicit"], A, B, 0.1, 0)
    with pytest.raises(ValueError, match="give the same"):
        iterate(bilinear(), STEPS["implicit"], A, B.expand(2, 1), 0.1, 1)
