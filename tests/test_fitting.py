"""The critic alone against two distributions: the maximum it finds, when it looks, what it refuses."""

import pytest
import torch

from gan_lib import data, divergences
from gan_lib.fitting import Fakes, fit_critic
from gan_lib.networks import mlp
from gan_lib.objectives import OBJECTIVES
from gan_lib.regularizers import clip_weights, gradient_penalty
from gan_lib.rng import Streams
from gan_lib.training import adam, rmsprop, sample, sgd

P, Q = data.gaussian(0.0), data.gaussian(0.8, 0.9)
GRID = torch.linspace(-2.5, 3, 45, dtype=torch.float64).unsqueeze(-1)


def critic(seed=0, sizes=(1, 16, 16, 1)):
    return mlp(list(sizes), seed, "tanh", scalar=True, device="cpu")


@pytest.mark.parametrize(
    "name", ["minimax", "least-squares", "f-gan KL", "f-gan squared Hellinger"]
)
def test_critic_comes_to_the_optimum_of_its_objective(name):
    """Error of the scores, weighed by where the samples are, against that of a critic that says 0."""
    objective, net = OBJECTIVES[name], critic()
    best = objective.optimal(divergences.optimal_logit(P, Q)(GRID))
    fit_critic(net, P, Q, 600, objective, optimizer=adam(1e-2))
    weight = P.log_prob(GRID).exp() + Q.log_prob(GRID).exp()
    error = (weight * (sample(net, GRID) - best).square()).sum()
    assert error / (weight * best.square()).sum() < 0.05


def test_a_step_is_gradient_descent_on_the_loss_of_fresh_samples():
    net, twin = critic(), critic()
    fit_critic(net, P, Q, 2, "minimax", batch=8, optimizer=sgd(0.1))
    rng_p, rng_q = Streams(0, "train real"), Streams(0, "train fake")
    for rate in (0.1, 0.05):  # the rate falls to 0 linearly: 1, then ½ of it
        x, y = P.sample(8, rng_p), Q.sample(8, rng_q)
        loss = torch.log1p((-twin(x)).exp()).mean() + torch.log1p(twin(y).exp()).mean()
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for p, g in zip(twin.parameters(), gradients, strict=True):
                p -= rate * g
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-14


def test_members_are_lone_runs():
    both, lone = critic([3, 5]), critic(5)
    fit_critic(both, P, Q, 50, seed=[3, 5])
    fit_critic(lone, P, Q, 50, seed=5)
    assert (sample(both, GRID.expand(2, -1, -1))[1] - sample(lone, GRID)).abs().max() < 1e-12


def test_looks_come_before_the_first_and_after_the_named_steps():
    net, count = critic(), []
    first = net.state_dict()["0.weight"].clone()

    def look():
        count.append(1)
        return net.state_dict()["0.weight"].clone()

    seen = fit_critic(net, P, Q, 5, look=look, at={0, 2, 5})
    assert len(seen) == len(count) == 3
    assert torch.equal(seen[0], first) and torch.equal(seen[2], net.state_dict()["0.weight"])
    two = critic()
    # the rate of a step depends on how many there are, so the first two of five are asked for as such
    at_two = fit_critic(two, P, Q, 5, look=lambda: two.state_dict()["0.weight"].clone(), at=[2])
    assert torch.equal(seen[1], at_two[0])
    assert fit_critic(critic(), P, Q, 1) == []


def test_regularizers_and_hooks_take_part():
    """A clipped critic stays in its box; a heavy penalty holds the slope near 1."""
    clipped = critic()
    fit_critic(clipped, P, Q, 20, "wasserstein", after_critic=[clip_weights(0.01)])
    assert max(p.abs().max() for p in clipped.parameters()) <= 0.01
    net = critic()
    fit_critic(net, P, Q, 600, "wasserstein", regularizers=[gradient_penalty(10.0)])
    x = GRID.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x).sum(), x)
    assert 0.8 < slope.norm(dim=-1).max() < 1.3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"steps": 0}, "steps=0: give a whole number"),
        ({"steps": 3, "batch": 0}, "batch=0: give a whole number"),
        ({"steps": 3, "at": [4]}, "give steps from 0 to 3"),
        ({"steps": 3, "seed": [0, 1]}, "use the same seeds for both"),
        ({"steps": 3, "objective": "gan"}, "gan"),
    ],
)
def test_wrong_input_names_the_fix(options, message):
    with pytest.raises(ValueError, match=message):
        fit_critic(critic(), P, Q, **options)


def test_fakes_are_the_generator_of_the_noise_and_leave_no_graph():
    generator, noise = mlp([2, 8, 3], [0, 1], device="cpu"), data.normal(2)
    drawn = Fakes(generator, noise).sample(5, Streams([0, 1], "z"))
    assert torch.equal(drawn, generator(noise.sample(5, Streams([0, 1], "z"))))
    assert drawn.shape == (2, 5, 3) and not drawn.requires_grad


def test_rmsprop_moves_each_weight_by_its_own_scale_and_has_no_momentum():
    """One step of size lr·g/√(0.01 g²) = 10 lr whatever the gradient; where it ends, the weight stays."""
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = rmsprop(0.01)([weights])
    (weights * torch.tensor([3.0, 500.0])).sum().backward()
    optimizer.step()
    expected = torch.tensor([0.9, -2.1], dtype=torch.float64)
    assert torch.allclose(weights, expected, atol=1e-6)
    weights.grad = torch.zeros(2, dtype=torch.float64)
    optimizer.step()
    assert torch.allclose(weights, expected, atol=1e-6)
