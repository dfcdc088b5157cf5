"""Unrolling against SymPy, a recursion in closed form, and finite differences through all its steps."""

import pytest
import sympy
import torch
from torch import nn

from gan_lib.critics import unrolled
from gan_lib.networks import Linear, mlp
from gan_lib.objectives import Objective, non_saturating
from gan_lib.rng import Streams
from gan_lib.training import frozen, sgd, train

least_squares = Objective(
    "least squares",
    lambda real, fake: (real - 1).square().mean(-1) + fake.square().mean(-1),
    lambda real, fake: (fake - 1).square().mean(-1),
    "",
)
every_depth = pytest.mark.parametrize("steps", [0, 1, 2, 5])


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed))


class Slope(nn.Module):
    """x ↦ θ x, one θ a member: the critic's loss is a parabola in θ."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float64))
        self.members = tuple(self.theta.shape)

    def forward(self, x):
        return (self.theta[..., None, None] * x).squeeze(-1)


@every_depth
def test_parabola_in_closed_form(steps):
    """θᴷ = θ* + (1 − 2ηa)ᴷ (θ⁰ − θ*), with a = E x² + E G(z)² and θ* = E x / a; each member its own η."""
    critic = Slope([0.3, -1.0])
    real, fake = randn(2, 2, 6, 1)
    lr = torch.tensor([0.1, 0.02], dtype=torch.float64)
    judge = unrolled(steps, lr)(critic, least_squares, real, fake)
    a = real.square().mean((1, 2)) + fake.square().mean((1, 2))
    best = real.mean((1, 2)) / a
    theta = best + (1 - 2 * lr * a) ** steps * (critic.theta - best)
    one = torch.ones(2, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(judge(one)[:, 0], theta)


@every_depth
def test_generator_slopes_by_sympy(steps):
    xs, ys, lr, theta = [0.5, -1.2], [0.9, 0.2], 0.15, 0.4
    a, b = sympy.symbols("a b")
    t = sympy.Symbol("t")
    loss = sum((t * x - 1) ** 2 for x in xs) / 2 + ((t * a) ** 2 + (t * b) ** 2) / 2
    moved = sympy.Float(theta)
    for _ in range(steps):
        moved = moved - lr * sympy.diff(loss, t).subs(t, moved)
    generator_loss = ((moved * a - 1) ** 2 + (moved * b - 1) ** 2) / 2
    at = dict(zip((a, b), ys, strict=True))
    expected = [float(sympy.diff(generator_loss, s).subs(at)) for s in (a, b)]

    fake = torch.tensor(ys, dtype=torch.float64).unsqueeze(-1).requires_grad_()
    real, critic = torch.tensor(xs, dtype=torch.float64).unsqueeze(-1), Slope(theta)
    with frozen(critic):
        judge = unrolled(steps, lr)(critic, least_squares, real, fake)
        loss = least_squares.generator_loss(None, judge(fake))
    assert loss.item() == pytest.approx(float(generator_loss.subs(at)), rel=1e-12)
    assert torch.autograd.grad(loss, fake)[0].flatten().tolist() == pytest.approx(expected)


@every_depth
def test_slopes_by_finite_differences_through_all_steps(steps):
    critic = mlp([2, 4, 1], [1, 2], "tanh", scalar=True, device="cpu")
    real = randn(2, 5, 2)

    def loss(fake):
        judge = unrolled(steps, 0.5)(critic, non_saturating, real, fake)
        return non_saturating.generator_loss(None, judge(fake))

    with frozen(critic):
        assert torch.autograd.gradcheck(loss, randn(2, 5, 2, seed=1).requires_grad_())


def test_a_critic_that_is_not_frozen_is_differentiated_as_well():
    """Under a vector field the generator's loss has slopes in the critic's parameters."""
    critic, (real, fake) = Slope(0.4), randn(2, 6, 1)
    judge = unrolled(3, 0.1)(critic, least_squares, real, fake)
    slope = torch.autograd.grad(least_squares.generator_loss(None, judge(fake)), critic.theta)[0]

    def loss(theta):
        moved = unrolled(3, 0.1)(Slope(theta), least_squares, real, fake)
        return least_squares.generator_loss(None, moved(fake)).item()

    h = 1e-5
    assert slope.item() == pytest.approx((loss(0.4 + h) - loss(0.4 - h)) / (2 * h), rel=1e-7)


def test_no_steps_is_the_critic_itself():
    critic = mlp([2, 4, 1], [1, 2], scalar=True, device="cpu")
    real, fake = randn(2, 2, 5, 2)
    judge = unrolled(0, 0.1)(critic, non_saturating, real, fake)
    assert torch.equal(judge(fake), critic(fake))
    assert not torch.equal(unrolled(1, 0.1)(critic, non_saturating, real, fake)(fake), critic(fake))


def test_ensemble_is_a_loop_with_a_rate_for_each():
    real, fake = randn(2, 3, 5, 2)
    rates = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    make = lambda seed: mlp([2, 4, 1], seed, "tanh", scalar=True, device="cpu")  # noqa: E731
    together = unrolled(4, rates)(make([5, 6, 7]), non_saturating, real, fake)(fake)
    for i, seed in enumerate((5, 6, 7)):
        lone = unrolled(4, rates[i].item())(make(seed), non_saturating, real[i], fake[i])
        torch.testing.assert_close(together[i], lone(fake[i]), rtol=1e-12, atol=1e-12)


def test_the_critic_stays_where_it_is_statistics_included():
    norm = nn.BatchNorm1d(4).double()
    critic = nn.Sequential(Linear(2, 4, Streams(0, "x")), norm, nn.Flatten(0))
    before = {name: t.clone() for name, t in critic.state_dict().items()}
    real, fake = randn(2, 6, 2)
    fake.requires_grad_()
    with frozen(critic):
        judge = unrolled(3, 0.1)(critic, non_saturating, real, fake)
        non_saturating.generator_loss(None, judge(fake)).backward()
    assert fake.grad.any()
    assert all(torch.equal(before[name], t) for name, t in critic.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in critic.parameters())


class Fixed:
    dim = 1

    def __init__(self, x):
        self.x = torch.tensor(x, dtype=torch.float64).unsqueeze(-1)

    def sample(self, m, rng, dtype):
        return self.x.to(dtype)


class Shift(nn.Module):
    members = ()

    def __init__(self):
        super().__init__()
        self.by = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, z):
        return z + self.by


def test_train_moves_the_generator_along_the_unrolled_slope():
    generator, critic = Shift(), Slope(0.4)
    data, noise = Fixed([1.0, 2.0]), Fixed([-0.5, 0.3])
    options = {"optimizer": sgd(0.5), "critic_optimizer": sgd(1e-9), "batch": 2}
    train(generator, critic, data, noise, least_squares, 1, lookahead=unrolled(2, 0.1), **options)

    def loss(by):
        theta, fake = 0.4, [z + by for z in (-0.5, 0.3)]
        for _ in range(2):
            slope = sum((theta * x - 1) * x for x in (1.0, 2.0)) + sum(theta * y * y for y in fake)
            theta -= 0.1 * slope
        return sum((theta * y - 1) ** 2 for y in fake) / 2

    h = 1e-5
    step = -0.5 * (loss(h) - loss(-h)) / (2 * h)
    assert generator.by.item() == pytest.approx(step, rel=1e-6)


@pytest.mark.parametrize("steps", [-1, 1.5])
def test_wrong_number_of_steps_is_explained(steps):
    with pytest.raises(ValueError, match=f"steps={steps}"):
        unrolled(steps, 0.1)
