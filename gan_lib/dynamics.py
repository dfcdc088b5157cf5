"""Two players who move at once or in turn: vector fields, steps, and what decides whether they settle.

A state is `a` `(*members, p)` of the first player (the generator, where there is one) and `b`
`(*members, q)` of the second. Losses are `(*members,)`, so members never mix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from scipy.integrate import solve_ivp
from torch import Tensor


class Game(NamedTuple):
    """Two losses, functions of (a, b) with values `(*members,)`: a lowers the first, b the second."""

    loss_a: Callable[[Tensor, Tensor], Tensor]
    loss_b: Callable[[Tensor, Tensor], Tensor]


Field = Callable[[Tensor, Tensor], Tensor]  # v(a, b), which may stand for a game that has no losses


class State(NamedTuple):
    """Where the players stand, and the field that an optimistic step remembers (else None)."""

    a: Tensor
    b: Tensor
    memory: Tensor | None = None


Step = Callable[[Game | Field, State, float], State]


def zero_sum(value: Callable[[Tensor, Tensor], Tensor]) -> Game:
    """The game in which a lowers `value(a, b)` and b raises it."""
    return Game(value, lambda a, b: -value(a, b))


def bilinear() -> Game:
    """v(a, b) = a · b, the smallest game with a saddle point: nothing bends, so nothing settles."""
    return zero_sum(lambda a, b: (a * b).sum(-1))


def _here(x: Tensor) -> Tensor:
    """x as a place of its own to differentiate by: the other player may have moved because of x."""
    return x.view_as(x) if x.requires_grad else x.detach().requires_grad_()


def vector_field(game: Game | Field, a: Tensor, b: Tensor) -> Tensor:
    """v(a, b) = (−∇_a loss_a, −∇_b loss_b), `(*members, p + q)`: where each player wants to go.

    Differentiable in a and b. Mescheder et al. (2017), The numerics of GANs.
    """
    a, b = _here(a), _here(b)
    if not isinstance(game, Game):
        return game(a, b)
    options = {"create_graph": True, "materialize_grads": True}
    players = zip(game, (a, b), strict=True)
    down = [torch.autograd.grad(loss(a, b).sum(), x, **options)[0] for loss, x in players]
    return -torch.cat(down, -1)


def _moved(state: State, change: Tensor, memory: Tensor | None = None) -> State:
    p = state.a.shape[-1]
    return State(state.a + change[..., :p], state.b + change[..., p:], memory)


def simultaneous(game: Game | Field, state: State, lr: float) -> State:
    """x + η v(x): both players look at the same point."""
    return _moved(state, lr * vector_field(game, state.a, state.b))


def alternating(game: Game | Field, state: State, lr: float, first: str = "b") -> State:
    """One player moves, the other answers. `first` "b" is Algorithm 1 (the critic first), "a" the reverse."""
    if first not in ("a", "b"):
        raise ValueError(f'first={first!r}: say "a" or "b".')
    p = state.a.shape[-1]
    for player in ("b", "a") if first == "b" else ("a", "b"):
        a, b, _ = state
        v = lr * vector_field(game, a, b)
        state = State(a + v[..., :p], b) if player == "a" else State(a, b + v[..., p:])
    return state


def extragradient(game: Game | Field, state: State, lr: float) -> State:
    """x + η v(x + η v(x)): a trial step shows the field to follow (Korpelevich 1976)."""
    trial = simultaneous(game, state, lr)
    return _moved(state, lr * vector_field(game, trial.a, trial.b))


def optimistic(game: Game | Field, state: State, lr: float) -> State:
    """x + 2η v(x) − η v(x before): extragradient with the last field as trial (Daskalakis et al. 2018).

    The first step has no past and is a plain one.
    """
    v = vector_field(game, state.a, state.b)
    before = v if state.memory is None else state.memory
    return _moved(state, lr * (2 * v - before), v)


def implicit(game: Game | Field, state: State, lr: float, newton_steps: int = 20) -> State:
    """The x′ with x′ = x + η v(x′), the proximal point, by Newton's method: one round if v is linear.

    Raises ArithmeticError if the rounds do not settle.
    """
    goal = x = torch.cat(state[:2], -1)
    p, eye = state.a.shape[-1], torch.eye(x.shape[-1]).to(x)
    for _ in range(newton_steps):
        a, b = x[..., :p], x[..., p:]
        residual = x - goal - lr * vector_field(game, a, b)
        slope = eye - lr * jacobian(game, a, b)
        change = torch.linalg.solve(slope, residual.unsqueeze(-1)).squeeze(-1)
        x = x - change
        if (change.abs() <= 1e-12 * (1 + x.abs())).all():  # after a round, which is differentiated
            return State(x[..., :p], x[..., p:])
    raise ArithmeticError(f"Newton's method did not settle in {newton_steps} rounds: lower {lr=}.")


def consensus_field(game: Game | Field, gamma: float = 1.0) -> Field:
    """v − γ ∇½‖v‖²: both are drawn to where the field is small (Mescheder et al. 2017, Alg. 2)."""

    def field(a: Tensor, b: Tensor, lr: float = 1.0) -> Tensor:
        a, b = _here(a), _here(b)
        v = vector_field(game, a, b)
        options = {"create_graph": True, "materialize_grads": True}
        pull = torch.autograd.grad(v.square().sum() / 2, (a, b), **options)
        return lr * (v - gamma * torch.cat(pull, -1))

    return field


def consensus(game: Game | Field, state: State, lr: float, gamma: float = 1.0) -> State:
    """A simultaneous step along `consensus_field`."""
    return _moved(state, consensus_field(game, gamma)(state.a, state.b, lr))


STEPS: dict[str, Step] = {
    "simultaneous": simultaneous,
    "alternating, a first": partial(alternating, first="a"),
    "alternating, b first": partial(alternating, first="b"),
    "extragradient": extragradient,
    "optimistic": optimistic,
    "implicit": implicit,
    "consensus": consensus,
}


def iterate(
    game: Game | Field,
    step: Step,
    a: Tensor,
    b: Tensor,
    lr: float,
    n: int,
    after: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, Tensor]:
    """n steps from (a, b): the places `(n + 1, *members, p)` and `(n + 1, *members, q)`.

    `after`, `f(a, b) -> (a, b)`, follows each step, as weight clipping does. Raises ValueError for n < 1
    and where a and b have different members.
    """
    if n < 1:
        raise ValueError(f"n={n}: ask for at least one step.")
    if a.shape[:-1] != b.shape[:-1]:
        raise ValueError(
            f"a has members {tuple(a.shape[:-1])}, b {tuple(b.shape[:-1])}: give the same."
        )
    state, path = State(a.detach(), b.detach()), [(a.detach(), b.detach())]
    for _ in range(n):
        state = State(*(x if x is None else x.detach() for x in step(game, state, lr)))
        if after is not None:
            state = State(*after(state.a, state.b), state.memory)
        path.append(state[:2])
    return tuple(torch.stack(places) for places in zip(*path, strict=True))


def continuous(game: Game | Field, a: Tensor, b: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """The flow dx/dt = v(x) from (a, b) at times[0] = 0, at each of `times`, by SciPy's DOP853.

    Relative tolerance 1e-11. Returns places as `iterate` does. Raises ArithmeticError if the solver fails.
    """
    start, p = torch.cat([a, b], -1), a.shape[-1]

    def field(_, flat):
        x = torch.from_numpy(flat.copy()).reshape(start.shape)
        return vector_field(game, x[..., :p], x[..., p:]).detach().reshape(-1).numpy()

    options = {"method": "DOP853", "rtol": 1e-11, "atol": 1e-13, "t_eval": times.numpy()}
    solution = solve_ivp(field, times[[0, -1]].tolist(), start.reshape(-1).numpy(), **options)
    if not solution.success:
        raise ArithmeticError(f"the flow could not be followed: {solution.message}")
    x = torch.from_numpy(solution.y.T.copy()).reshape(len(times), *start.shape)
    return x[..., :p], x[..., p:]


def _jacobian(outputs: Tensor, inputs: list[Tensor]) -> Tensor:
    options = {"retain_graph": True, "materialize_grads": True}
    rows = [torch.autograd.grad(y.sum(), inputs, **options) for y in outputs.unbind(-1)]
    return torch.stack([torch.cat(row, -1) for row in rows], -2)


def jacobian(game: Game | Field, a: Tensor, b: Tensor) -> Tensor:
    """∂v/∂(a, b), `(*members, p + q, p + q)`: its eigenvalues decide the flow near a point with v = 0."""
    a, b = (x.detach().requires_grad_() for x in (a, b))
    return _jacobian(vector_field(game, a, b), [a, b])


def eigenvalues(game: Game | Field, a: Tensor, b: Tensor) -> Tensor:
    """Complex eigenvalues of the Jacobian `(*members, p + q)`. The flow settles if all real parts are < 0."""
    return torch.linalg.eigvals(jacobian(game, a, b))


def step_jacobian(game: Game | Field, step: Step, a: Tensor, b: Tensor, lr: float) -> Tensor:
    """The derivative of one step's map, `(*members, d, d)`, d = p + q.

    An optimistic step's memory is part of its state: there d = 2(p + q), with the field here as memory.
    """
    a, b = (x.detach().requires_grad_() for x in (a, b))
    inputs, state = [a, b], State(a, b)
    if step(game, state, lr).memory is not None:
        memory = vector_field(game, a, b).detach().requires_grad_()
        inputs, state = [a, b, memory], State(a, b, memory)
    moved = [x for x in step(game, state, lr) if x is not None]
    return _jacobian(torch.cat(moved, -1), inputs)


def step_factor(game: Game | Field, step: Step, a: Tensor, b: Tensor, lr: float) -> Tensor:
    """The largest modulus of an eigenvalue of the step's Jacobian at a rest point, `(*members,)`.

    Below 1 the step settles there, and near it the distance shrinks by this factor a step.
    """
    return torch.linalg.eigvals(step_jacobian(game, step, a, b, lr)).abs().amax(-1)


def measured_factor(game: Game | Field, step: Step, a: Tensor, b: Tensor, lr: float, n: int):
    """The same factor `(*members,)` as n steps show it, with no derivative of the step.

    They start 1e-6 from the rest point (a, b), once along each axis, and end at the columns of the n-th
    power of the step's Jacobian. An optimistic step's first memory costs an error of order 1/n.
    """
    rest, p, d = torch.cat([a, b], -1), a.shape[-1], a.shape[-1] + b.shape[-1]
    x = rest + 1e-6 * torch.eye(d).to(rest).reshape(d, *[1] * (rest.ndim - 1), d)
    x = torch.cat([end[-1] for end in iterate(game, step, x[..., :p], x[..., p:], lr, n)], -1)
    return torch.linalg.eigvals((x - rest).movedim(0, -1) / 1e-6).abs().amax(-1) ** (1 / n)
