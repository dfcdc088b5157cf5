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
    alternating,
    bilinear,
    consensus,
    continuous,
    eigenvalues,
    iterate,
    jacobian,
    measured_factor,
    step_factor,
    step_jacobian,
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


# A field that is not that of two losses, and whose players damp, feed and turn each other: v(x) = M x.
M = np.array([[-0.4, 0.9, 0.3], [-1.1, 0.2, -0.5], [0.6, 0.8, -0.7]])


def linear(a, b):
    return torch.cat([a, b], -1) @ torch.from_numpy(M.T)


def shears(lr, *players):
    """One player after the other, as a matrix: who is not on the move keeps the identity's row."""
    eye, product = np.eye(3), np.eye(3)
    for rows in players:
        move = eye.copy()
        move[rows] += lr * M[rows]
        product = move @ product
    return product


EYE, FIRST, SECOND = np.eye(3), slice(0, 2), slice(2, 3)
MAPS = {  # what a step along M x is, by NumPy
    "simultaneous": lambda n: EYE + n * M,
    "alternating, a first": lambda n: shears(n, FIRST, SECOND),
    "alternating, b first": lambda n: shears(n, SECOND, FIRST),
    "extragradient": lambda n: EYE + n * M + n * n * M @ M,
    "optimistic": lambda n: np.block([[EYE + 2 * n * M, -n * EYE], [M, 0 * EYE]]),
    "implicit": lambda n: np.linalg.inv(EYE - n * M),
    "consensus": lambda n: EYE + n * (M - M.T @ M),
}


@pytest.mark.parametrize("name", STEPS)
def test_step_along_a_linear_field_is_a_matrix(name):
    """The field itself is the game, for three members at once; the Jacobian is the same everywhere."""
    x = torch.tensor([[0.3, -0.2, 0.5], [1.0, 0.4, -2.0], [-0.5, 0.1, 0.0]], dtype=torch.float64)
    a, b, expected = x[:, :2], x[:, 2:], MAPS[name](0.2)
    found = step_jacobian(linear, STEPS[name], a, b, 0.2)
    assert np.abs(found.numpy() - expected).max() < 1e-14
    factor = np.abs(np.linalg.eigvals(expected)).max()
    assert np.abs(step_factor(linear, STEPS[name], a, b, 0.2).numpy() - factor).max() < 1e-12
    moved = torch.cat(STEPS[name](linear, State(a, b), 0.2)[:2], -1).detach().numpy()
    if name != "optimistic":  # its first step has no past
        assert np.abs(moved - x.numpy() @ expected.T).max() < 1e-14
    assert np.abs(jacobian(linear, a, b).numpy() - M).max() < 1e-14


@pytest.mark.parametrize("name", STEPS)
def test_step_jacobian_by_differences(name):
    """Away from a rest point of a curved game; the implicit step is differentiated through Newton."""
    a, b, eps = torch.tensor([0.3, -0.2]).double(), torch.tensor([0.5]).double(), 1e-6
    memory = vector_field(curved(), a, b).detach() if name == "optimistic" else None
    x = torch.cat([part for part in (a, b, memory) if part is not None])

    def after(x):
        state = State(x[:2], x[2:3], x[3:] if name == "optimistic" else None)
        moved = STEPS[name](curved(), state, 0.1)
        return torch.cat([part for part in moved if part is not None]).detach()

    slope = step_jacobian(curved(), STEPS[name], a, b, 0.1)
    for i, shift in enumerate(eps * torch.eye(len(x), dtype=torch.float64)):
        difference = (after(x + shift) - after(x - shift)) / (2 * eps)
        assert (slope[:, i] - difference).abs().max() < 1e-8


@pytest.mark.parametrize("name", STEPS)
def test_orbits_show_the_factor(name):
    origin = torch.zeros(2, 2, dtype=torch.float64)
    found = measured_factor(linear, STEPS[name], origin, origin[:, :1], 0.2, 50)
    size = len(MAPS[name](0.2)) // 3
    start = np.vstack([EYE, M])[: 3 * size] if size == 2 else EYE  # a first memory is the field
    if name == "optimistic":
        power = (np.linalg.matrix_power(MAPS[name](0.2), 50) @ start)[:3]
    else:
        power = np.linalg.matrix_power(MAPS[name](0.2), 50)
    expected = np.abs(np.linalg.eigvals(power)).max() ** (1 / 50)
    assert found.shape == (2,) and np.abs(found.numpy() - expected).max() < 1e-9
    factor = step_factor(linear, STEPS[name], origin, origin[:, :1], 0.2)
    assert (found - factor).abs().max() < (1e-2 if name == "optimistic" else 1e-9)


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


def test_implicit_says_when_it_finds_no_point():
    with pytest.raises(ArithmeticError, match="did not settle"):  # x′ = x + 1 + x′² has no solution
        STEPS["implicit"](lambda a, b: torch.cat([1 + a**2, -b], -1), State(A, B), 1.0)


def test_after_follows_each_step():
    keep = lambda a, b: (a, b.clamp(-0.5, 0.5))  # noqa: E731
    _, b = iterate(bilinear(), STEPS["simultaneous"], A, B, 0.3, 30, after=keep)
    assert b[1:].abs().max() == 0.5


def test_wrong_input_is_explained():
    with pytest.raises(ValueError, match="first='A'"):
        alternating(bilinear(), State(A, B), 0.1, first="A")
    with pytest.raises(ValueError, match="at least one step"):
        iterate(bilinear(), STEPS["implicit"], A, B, 0.1, 0)
    with pytest.raises(ValueError, match="give the same"):
        iterate(bilinear(), STEPS["implicit"], A, B.expand(2, 1), 0.1, 1)


def test_what_follows_a_step_leaves_its_memory_alone():
    """An optimistic step needs the field of the step before, also where a clip comes in between."""
    game, one = bilinear(), torch.ones(1, dtype=torch.float64)
    plain = iterate(game, STEPS["optimistic"], one, one, 0.1, 20)
    followed = iterate(game, STEPS["optimistic"], one, one, 0.1, 20, after=lambda a, b: (a, b))
    assert all(torch.equal(x, y) for x, y in zip(plain, followed, strict=True))
