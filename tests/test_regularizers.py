"""Regularisers against loops over samples, closed forms and finite differences; members stay apart."""

import inspect
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import nn

from gan_lib import data
from gan_lib.critics import classifier_critic, feature_critic, packed
from gan_lib.networks import Dropout, Linear, Network, mlp
from gan_lib.objectives import OBJECTIVES
from gan_lib.regularizers import (
    PLACES,
    REGULARIZERS,
    SIDES,
    clip_weights,
    consensus,
    consistency,
    dragan,
    gradient_penalty,
    instance_noise,
    orthogonality,
    r1,
    r2,
    simultaneous,
    wgan_gp,
)
from gan_lib.rng import Streams
from gan_lib.training import sgd, train

SEEDS = [3, 1, 7]
NOISE, RING = data.normal(2), data.ring()
COSTS = {  # of a gradient norm, as the papers write them
    "two": lambda n: (n - 1) ** 2,
    "one-linear": lambda n: max(0.0, n - 1),
    "one-squared": lambda n: max(0.0, n - 1) ** 2,
    "zero": lambda n: n**2,
}
PENALTIES = {name: make for name, (kind, make) in REGULARIZERS.items() if kind == "regularizers"}
UNWEIGHTED = {"simultaneous", "spectral normalisation"}  # take no number a member
every_regularizer = pytest.mark.parametrize("name", REGULARIZERS)
every_penalty = pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES)
every_place = pytest.mark.parametrize("where", PLACES)
every_side = pytest.mark.parametrize("sides", SIDES)


def dropout_critic(seed=0, hidden=5, dtype=torch.float64):
    """A critic that every regulariser can work with: smooth, with dropout."""
    rng = Streams(seed, "critic")
    dropout = Dropout(0.8, seed, "dropout", torch.device("cpu"))
    layers = [Linear(2, hidden, rng), nn.Tanh(), dropout, Linear(hidden, 1, rng)]
    return Network(layers, rng.members, scalar=True).to(dtype)


def run(name, seed, steps, objective="non-saturating", args=(), **options):
    """Train with one regulariser in its place; returns generator, critic and history."""
    generator, critic = mlp([2, 5, 2], seed, "tanh", device="cpu"), dropout_critic(seed)
    if name is not None:
        kind, make = REGULARIZERS[name]
        if kind == "critic":
            critic = make()(critic)
        else:
            options[kind] = make(*args) if kind == "vector_field" else [make(*args)]
    history = train(generator, critic, RING, NOISE, objective, steps, seed=seed, batch=8, **options)
    return generator, critic, history


@cache
def run_without(objective):
    return run(None, 1, 1, objective)


def parameters(*networks):
    return [p.detach().clone() for network in networks for p in network.parameters()]


class Seen(nn.Module):
    """A critic that remembers what it was shown."""

    def __init__(self, critic):
        super().__init__()
        self.critic, self.inputs = critic, []
        self.members = getattr(critic, "members", ())

    def forward(self, x):
        if self.training:
            self.inputs.append(x.detach())
        return self.critic(x)


class LinearCritic(nn.Module):
    """D(x) = ⟨w, x⟩ with ‖w‖ = slope, for x `(*members, batch, *shape)`."""

    def __init__(self, slope, shape):
        super().__init__()
        self.lead, self.slope = slope.ndim, slope
        w = Streams(0, "w").normal(*slope.shape, math.prod(shape))
        w = w / w.norm(dim=-1, keepdim=True) * slope.unsqueeze(-1)
        self.w = nn.Parameter(w.unsqueeze(-1))

    def forward(self, x):
        return (x.flatten(self.lead + 1) @ self.w).squeeze(-1)


def batches(*shape, members=(), seed=0):
    return torch.randn(2, *members, *shape, dtype=torch.float64, generator=torch.manual_seed(seed))


# ------------------------------------------------------------------------------ gradient penalties


@every_place
@every_side
@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)], ids=["points", "images"])
def test_penalty_of_a_linear_critic_in_closed_form(where, sides, shape):
    slopes, weights = torch.tensor([0.0, 0.5, 1.0, 3.0]), torch.tensor([1.0, 2.0, 10.0, 0.3])
    slopes, weights = slopes.double(), weights.double()
    critic, rng = LinearCritic(slopes, shape), Streams([0, 1, 2, 3], "penalty")
    found = gradient_penalty(weights, where, sides)(critic, *batches(6, *shape, members=(4,)), rng)
    expected = [w * COSTS[sides](a) for w, a in zip(weights.tolist(), slopes.tolist(), strict=True)]
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-12, atol=1e-12)
    for i, slope in enumerate(slopes):
        lone = LinearCritic(slope, shape)
        found = gradient_penalty(7, where, sides)(lone, *batches(6, *shape), Streams(i, "penalty"))
        np.testing.assert_allclose(found.item(), 7 * COSTS[sides](slope.item()), atol=1e-12)


@every_place
@every_side
def test_norm_is_taken_sample_by_sample(where, sides):
    """A loop over members and samples, each alone in a batch of one."""
    critic = Seen(mlp([3, 8, 1], SEEDS, "tanh", scalar=True, scale=2.0, device="cpu"))
    real, fake = batches(5, 3, members=(3,))
    found = gradient_penalty(10.0, where, sides)(critic, real, fake, Streams(SEEDS, "penalty"))
    for i, seed in enumerate(SEEDS):
        lone = mlp([3, 8, 1], seed, "tanh", scalar=True, scale=2.0, device="cpu")
        costs = []
        for point in critic.inputs[0][i]:
            x = point.clone().requires_grad_()
            (slope,) = torch.autograd.grad(lone(x.unsqueeze(0))[0], x)
            costs.append(COSTS[sides](math.sqrt(sum(s**2 for s in slope.tolist()))))
        np.testing.assert_allclose(found[i].item(), 10 * sum(costs) / len(costs), rtol=1e-10)


def test_a_packed_critic_has_one_norm_for_each_pack():
    critic = packed(mlp([6, 8, 1], SEEDS, "tanh", scalar=True, device="cpu"), 2)
    real, fake = batches(8, 3, members=(3,))
    found = gradient_penalty(1.0, "at_real", "two")(critic, real, fake, Streams(SEEDS, "penalty"))
    x = real.reshape(3, 4, 6).requires_grad_()
    (slope,) = torch.autograd.grad(critic.critic(x).sum(), x)
    torch.testing.assert_close(found, (slope.norm(dim=-1) - 1).square().mean(-1))


def test_logits_of_classes_have_no_slope_to_penalise():
    real, fake = batches(5, 2)
    for critic in (mlp([2, 4, 3], device="cpu"), classifier_critic([2, 4, 3], 0, device="cpu")):
        with pytest.raises(ValueError, match=r"score has shape \(5, 3\).*one number a sample"):
            wgan_gp()(critic, real, fake, Streams(0, "penalty"))
    assert wgan_gp()(feature_critic([2, 4, 1], 0, device="cpu"), real, fake, Streams(0, "p")) > 0


def points(penalty, real, fake, rng):
    """Where a penalty looked."""
    critic = Seen(
        LinearCritic(torch.ones(real.shape[: len(rng.members)]).double(), (real.shape[-1],))
    )
    penalty(critic, real, fake, rng)
    return critic.inputs[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(2, 4), st.booleans())
def test_between_draws_one_epsilon_a_pair(seed, batch, dim, ensemble):
    seeds, members = ([seed, seed + 1], (2,)) if ensemble else (seed, ())
    real, fake = batches(batch, dim, members=members, seed=seed % 97)
    x = points(wgan_gp(), real, fake, Streams(seeds, "penalty"))
    epsilon = ((x - fake) * (real - fake)).sum(-1) / (real - fake).square().sum(-1)
    assert ((epsilon >= -1e-9) & (epsilon <= 1 + 1e-9)).all(), "beyond the ends of the segment"
    on_segment = fake + epsilon.unsqueeze(-1) * (real - fake)
    torch.testing.assert_close(x, on_segment, rtol=0, atol=1e-9)
    assert len(epsilon.flatten().unique()) == epsilon.numel(), "samples share an epsilon"


def test_epsilon_is_uniform_and_of_its_own_stream():
    real, fake = torch.ones(1, 3000, 1).double(), torch.zeros(1, 3000, 1).double()
    x = points(wgan_gp(), real, fake, Streams([4], "penalty"))
    assert kstest(x.flatten(), "uniform").pvalue > 0.01
    assert torch.equal(x[0, :, 0], Streams(4, "penalty").uniform(3000))


def test_r1_looks_at_data_and_r2_at_samples_with_half_the_weight():
    real, fake = batches(5, 2)
    for make, place in ((r1, real), (r2, fake)):
        assert torch.equal(points(make(), real, fake, Streams(0, "penalty")), place)
        for gamma in (3, 3.0, torch.tensor(3.0)):
            critic = LinearCritic(torch.tensor(2.0).double(), (2,))
            found = make(gamma)(critic, real, fake, Streams(0, "penalty"))
            assert found.item() == pytest.approx(0.5 * 3 * 2**2)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_dragan_spreads_around_the_data_by_the_std_of_each_members_batch(spread):
    scales = torch.tensor([0.1, 1.0, 30.0]).double()
    real = batches(4000, 2, members=(3,))[0] * scales.reshape(3, 1, 1) + 5
    delta = points(dragan(spread=spread), real, real, Streams(SEEDS, "penalty")) - real
    for member, scale, x in zip(delta, scales, real, strict=True):
        assert scale * 0.9 < np.std(x.numpy()) < scale * 1.1
        assert kstest(member.flatten() / (spread * np.std(x.numpy())), "norm").pvalue > 0.01
    constant = torch.ones(8, 2).double()
    still = points(dragan(), constant, constant, Streams(0, "penalty"))
    torch.testing.assert_close(still, constant, rtol=0, atol=1e-15)


def value_of(make, vector, dtype=torch.float64):
    critic = dropout_critic(2, dtype=dtype)
    nn.utils.vector_to_parameters(vector, critic.parameters())
    real, fake = batches(6, 2).to(dtype)
    return critic, make()(critic, real, fake, Streams(5, "penalty"))


@every_penalty
def test_slope_of_the_penalty_in_the_critics_parameters(make):
    """What trains the critic, against central differences along random directions."""
    start = 2 * nn.utils.parameters_to_vector(dropout_critic(2).parameters()).detach()
    critic, value = value_of(make, start)
    slopes = torch.autograd.grad(
        value, list(critic.parameters()), allow_unused=True, materialize_grads=True
    )
    slopes, h = nn.utils.parameters_to_vector(slopes), 1e-5
    assert slopes.abs().max() > 1e-6, "the penalty moves nothing"
    for direction in torch.randn(4, len(start), generator=torch.manual_seed(1)).double():
        ends = [value_of(make, start + s * h * direction)[1].item() for s in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * h)
        assert (slopes @ direction).item() == pytest.approx(difference, rel=1e-6, abs=1e-9)


@every_penalty
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_a_flat_critic_gives_no_nan_to_second_order(make, dtype):
    zeros = torch.zeros(len(nn.utils.parameters_to_vector(dropout_critic(2).parameters())))
    critic, value = value_of(make, zeros.to(dtype), dtype)
    weights = list(critic.parameters())
    options = {"allow_unused": True, "materialize_grads": True}
    slopes = torch.autograd.grad(value, weights, create_graph=True, **options)
    assert value.isfinite() and all(s.isfinite().all() for s in slopes)
    energy = sum((s * s).sum() for s in slopes) + 0 * sum(p.sum() for p in weights)
    assert all(s.isfinite().all() for s in torch.autograd.grad(energy, weights, **options))


# ----------------------------------------------------------------------------------- other penalties


@pytest.mark.parametrize("margin, share", [(0.0, 0.1), (0.05, 0.1), (0.0, 0.0)])
def test_consistency_compares_two_draws_of_dropout(margin, share):
    critic, again = dropout_critic(SEEDS), dropout_critic(SEEDS)
    real, fake = batches(7, 2, members=(3,))
    weights = torch.tensor([1.0, 2.0, 5.0]).double()
    found = consistency(weights, margin, share)(critic, real, fake, Streams(SEEDS, "penalty"))
    inner = [again[:3](real).detach() for _ in range(2)]
    (f1, f2), (d1, d2) = inner, [again[3](f).squeeze(-1).detach() for f in inner]
    cut = 0
    for i in range(3):
        costs = []
        for j in range(7):
            far = float((d1[i, j] - d2[i, j]) ** 2)
            far += share * float(np.mean((f1[i, j] - f2[i, j]).numpy() ** 2))
            costs.append(max(0.0, far - margin))
        cut += costs.count(0)
        assert found[i].item() == pytest.approx(weights[i].item() * np.mean(costs), rel=1e-10)
    assert margin == 0 or 5 < cut < 18, "the margin cuts some of them"


def test_consistency_takes_the_features_that_a_critic_returns():
    class Rich(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = dropout_critic(0), 0

        def forward(self, x):
            self.calls += 1
            return x.new_full(x.shape[:1], self.calls), x * self.calls  # distances 1 and x²

    real, fake = batches(4, 3)
    found = consistency(2.0)(Rich(), real, fake, Streams(0, "penalty")).item()
    assert found == pytest.approx(2 * (1 + 0.1 * real.square().mean().item()))


def test_consistency_needs_active_dropout():
    real, fake = batches(4, 2)
    for critic in (mlp([2, 4, 1], scalar=True, device="cpu"), dropout_critic().eval()):
        with pytest.raises(ValueError, match="none active.*Dropout layers.*train"):
            consistency()(critic, real, fake, Streams(0, "penalty"))
    torch_dropout = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 1), nn.Flatten(0)).double()
    assert consistency()(torch_dropout, real, fake, Streams(0, "penalty")) > 0


def test_orthogonality_counts_how_far_singular_values_are_from_one():
    critic = mlp([3, 8, 4, 1], SEEDS, scalar=True, scale=1.0, device="cpu")
    found = orthogonality(2.0)(critic, *batches(2, 3, members=(3,)), Streams(SEEDS, "penalty"))
    for i in range(3):
        values = [np.linalg.svd(critic[j].weight[i].detach().numpy())[1] for j in (0, 2, 4)]
        expected = 2 * sum(((v**2 - 1) ** 2).sum() for v in values)
        assert found[i].item() == pytest.approx(expected, rel=1e-10)
    for layer in (nn.Linear(5, 3), nn.Linear(3, 5), nn.Conv2d(2, 3, 2)):
        nn.init.orthogonal_(layer.weight)
        found = orthogonality(1.0)(layer, *batches(2, 3), Streams(0, "penalty"))
        assert found.item() == pytest.approx(0, abs=1e-10)


# ---------------------------------------------------------------------------------- the other hooks


def test_weights_are_clipped_after_each_critic_step():
    c = torch.tensor([0.01, 0.05, 0.3]).double()
    generator, critic = mlp([2, 5, 2], SEEDS, device="cpu"), dropout_critic(SEEDS)
    largest = lambda critic: torch.stack(  # noqa: E731
        [p.detach().abs().flatten(1).amax(1) for p in critic.parameters()]
    ).amax(0)
    before, after = [], []
    hooks = [
        lambda d: before.append(largest(d)),
        clip_weights(c),
        lambda d: after.append(largest(d)),
    ]
    start = parameters(generator)
    train(
        generator, critic, RING, NOISE, "minimax", 4, k=2, seed=SEEDS, after_critic=hooks,
        optimizer=sgd(0.1),
    )  # fmt: skip
    assert len(after) == 8 and all(torch.equal(a, c) for a in after), "some weight sits on ±c"
    assert all((b > c).any() for b in before), "the step had left the box"
    assert any((a.abs() > 0.01).any() for a in start), "the generator is not clipped"
    inside = [0.5 * p.clamp(-0.01, 0.01) for p in parameters(critic)]
    for p, value in zip(critic.parameters(), inside, strict=True):
        p.data = value.clone()
    clip_weights(0.01)(critic)
    assert all(torch.equal(p, v) for p, v in zip(critic.parameters(), inside, strict=True))


def test_instance_noise_has_its_width_for_each_member_and_may_change():
    noise, rng = instance_noise(torch.tensor([0.1, 1.0, 0.0])), Streams(SEEDS, "transform")
    x = torch.full((3, 4000, 2), 7.0).double()
    for factor in (1.0, 0.5):
        delta = noise(x, rng) - x
        for member, std in zip(delta[:2], (0.1 * factor, factor), strict=True):
            assert kstest(member.flatten() / std, "norm").pvalue > 0.01
        assert not delta[2].any()
        noise.std = noise.std * 0.5
    assert instance_noise(1.0)(x.float(), rng).dtype == torch.float32


def test_instance_noise_is_on_all_that_the_critic_sees():
    """Data and generator stand still at 0: what is seen is the noise, drawn anew each time."""
    generator = mlp([2, 2], 0, scale=0.0, device="cpu")
    critic = Seen(mlp([2, 4, 1], 0, scalar=True, device="cpu"))
    zero = data.gaussian([0.0, 0.0], 1e-12)
    train(
        generator, critic, zero, NOISE, "minimax", 1, batch=500, transforms=[instance_noise(0.7)],
        optimizer=sgd(0.0),
    )  # fmt: skip
    real, fake, in_generator_step = critic.inputs
    for x in (real, fake, in_generator_step):
        assert kstest(x.flatten() / 0.7, "norm").pvalue > 0.01
    assert not torch.equal(real, fake) and not torch.equal(fake, in_generator_step)


A, B, C = np.random.default_rng(0).normal(size=(3, 3, 3))
A, B, C = A, B @ B.T, C + C.T


def quadratic_game(members=()):
    """L_G = θᵀAψ + ½ θᵀBθ, L_D = −θᵀAψ + ½ ψᵀCψ."""
    a, b, c = (torch.from_numpy(m) for m in (A, B, C))
    theta, psi = (
        torch.randn(*members, 3, generator=torch.manual_seed(i)).double().requires_grad_()
        for i in (1, 2)
    )
    cross = ((theta @ a) * psi).sum(-1)
    losses = {
        "generator": cross + ((theta @ b) * theta).sum(-1) / 2,
        "critic": -cross + ((psi @ c) * psi).sum(-1) / 2,
    }
    return losses, {"generator": [theta], "critic": [psi]}


@pytest.mark.parametrize("members", [(), (2,)])
def test_fields_of_a_quadratic_game_in_closed_form(members):
    losses, players = quadratic_game(members)
    jacobian = np.block([[B, A], [-A.T, C]])
    position = np.concatenate([players[p][0].detach().numpy() for p in ("generator", "critic")], -1)
    v = position @ jacobian.T
    gamma = np.array([0.3, 2.0])[:, None] if members else 0.3
    field = consensus(torch.tensor([0.3, 2.0]) if members else 0.3)(losses, players)
    plain = simultaneous()(*quadratic_game(members))
    for found, expected in ((plain, v), (field, v + gamma * (v @ jacobian))):
        found = np.concatenate([found[p][0].detach().numpy() for p in ("generator", "critic")], -1)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if members else 1e-12)


@pytest.mark.parametrize("eta, gamma", [(0.1, 0.0), (0.1, 1.0), (0.3, 2.0)])
def test_consensus_shrinks_the_bilinear_game_as_it_must(eta, gamma):
    """One step multiplies the distance from the equilibrium by √((1 − ηγ)² + η²)."""
    x, y = (torch.tensor([value]).double().requires_grad_() for value in (0.6, -0.8))
    losses, players = {"generator": x * y, "critic": -x * y}, {"generator": [x], "critic": [y]}
    field = consensus(gamma)(losses, players)
    moved = [(p - eta * field[name][0]).item() for name, (p,) in players.items()]
    assert math.hypot(*moved) == pytest.approx(math.sqrt((1 - eta * gamma) ** 2 + eta**2))


def game_of_networks():
    """Losses of a small GAN, on the batches that `train` with seed 3 draws first."""
    generator = mlp([2, 4, 2], 3, "tanh", device="cpu")
    critic = mlp([2, 4, 1], 3, "tanh", scalar=True, device="cpu")
    real, z = RING.sample(16, Streams(3, "data")), NOISE.sample(16, Streams(3, "noise"))
    objective, fake = OBJECTIVES["non-saturating"], critic(generator(z))
    losses = {
        "generator": objective.generator_loss(None, fake),
        "critic": objective.critic_loss(critic(real), fake),
    }
    return generator, critic, losses


def test_consensus_of_networks_against_finite_differences():
    def energy(vector):
        generator, critic, _ = nets = game_of_networks()
        with torch.no_grad():
            for p, start in zip(
                [*generator.parameters(), *critic.parameters()], vector, strict=True
            ):
                p += start
        real, z = RING.sample(16, Streams(3, "data")), NOISE.sample(16, Streams(3, "noise"))
        objective, fake = OBJECTIVES["non-saturating"], critic(generator(z))
        of_g = torch.autograd.grad(
            objective.generator_loss(None, fake), list(nets[0].parameters()), retain_graph=True
        )
        of_c = torch.autograd.grad(
            objective.critic_loss(critic(real), fake), list(nets[1].parameters())
        )
        return sum(g.square().sum().item() for g in (*of_g, *of_c)) / 2

    generator, critic, losses = game_of_networks()
    players = {"generator": [*generator.parameters()], "critic": [*critic.parameters()]}
    pulled, plain = consensus(1.0)(losses, players), simultaneous()(losses, players)
    pull = [a - b for p in players for a, b in zip(pulled[p], plain[p], strict=True)]
    for seed in range(3):
        rng, h = torch.manual_seed(seed), 1e-5
        direction = [torch.randn(p.shape, generator=rng).double() for p in pull]
        ends = [energy([s * h * d for d in direction]) for s in (1, -1)]
        along = sum((p * d).sum() for p, d in zip(pull, direction, strict=True)).item()
        assert along == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("field", [simultaneous(), consensus(0.5)], ids=["plain", "consensus"])
def test_train_moves_both_players_from_the_same_point(field):
    generator, critic, losses = game_of_networks()
    players = {"generator": [*generator.parameters()], "critic": [*critic.parameters()]}
    gradients = field(losses, players)
    expected = [
        p - 0.1 * g for name in players for p, g in zip(players[name], gradients[name], strict=True)
    ]
    nets = game_of_networks()[:2]
    train(
        *nets, RING, NOISE, "non-saturating", 1, batch=16, seed=3, vector_field=field,
        optimizer=sgd(0.1),
    )  # fmt: skip
    for found, p in zip(parameters(*nets), expected, strict=True):
        torch.testing.assert_close(found, p.detach(), rtol=1e-12, atol=1e-14)


# --------------------------------------------------------------------------------- all of them


@every_regularizer
def test_ensemble_is_a_loop_of_lone_runs(name):
    *together, history = run(name, SEEDS, 200)
    assert history.critic_loss.shape == (200, 3)
    for i in (0, 2):
        *lone, alone = run(name, SEEDS[i], 200)
        for a, b in zip(parameters(*together), parameters(*lone), strict=True):
            torch.testing.assert_close(a[i], b, rtol=0, atol=1e-10)
        torch.testing.assert_close(history.critic_loss[:, i], alone.critic_loss, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in REGULARIZERS if name not in UNWEIGHTED])
def test_a_value_for_each_member_is_that_of_its_lone_run(name):
    values = torch.tensor([0.5, 0.02, 0.2]).double()
    together = parameters(*run(name, SEEDS, 5, args=[values])[:2])
    for i, seed in enumerate(SEEDS):
        lone = parameters(*run(name, seed, 5, args=[values[i].item()])[:2])
        for a, b in zip(together, lone, strict=True):
            torch.testing.assert_close(a[i], b, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match="one value a member"):
        run(name, 0, 1, args=[values])


@every_regularizer
@pytest.mark.parametrize("objective", [n for n, o in OBJECTIVES.items() if o.output == "score"])
def test_goes_with_every_objective_and_changes_the_run(name, objective):
    regular, plain = run(name, 1, 1, objective), run_without(objective)
    assert regular[2].critic_loss.isfinite().all() and regular[2].generator_loss.isfinite().all()
    both = list(zip(parameters(*regular[:2]), parameters(*plain[:2]), strict=True))
    assert all(p.isfinite().all() for p in parameters(*regular[:2]))
    assert not all(torch.equal(a, b) for a, b in both), "it did nothing"


@every_penalty
def test_batch_normalisation_is_refused_under_a_penalty_per_sample(make):
    layers = [nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1), nn.Flatten(0)]
    nets = mlp([2, 2], device="cpu"), nn.Sequential(*layers).double()
    if make is orthogonality:  # of weights, not of samples
        train(*nets, RING, NOISE, "minimax", 1, regularizers=[make()])
    else:
        with pytest.raises(ValueError, match="batch normalisation"):
            train(*nets, RING, NOISE, "minimax", 1, regularizers=[make()])


def test_registry_names_places_of_train():
    assert {kind for kind, _ in REGULARIZERS.values()} <= {
        *inspect.signature(train).parameters,
        "critic",
    }
    assert set(COSTS) == set(SIDES), "add the cost of a new side to COSTS"


WRONG = {
    "where": (lambda: gradient_penalty(1.0, "nowhere"), "unknown where='nowhere'.*around_data"),
    "sides": (lambda: gradient_penalty(1.0, sides="three"), "unknown sides='three'.*one-linear"),
    "clip": (lambda: clip_weights(0.0), "positive"),
    "clip a member": (lambda: clip_weights(torch.tensor([0.1, -0.1])), "positive"),
    "noise": (lambda: instance_noise(-1.0), "negative"),
}


@pytest.mark.parametrize("make, says", WRONG.values(), ids=WRONG)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()
