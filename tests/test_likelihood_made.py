"""MADE: sums to one, looks only back, costs a pass a dimension, and is fitted to what it is shown."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gan_lib.likelihood import BitTable, every_state, fit, made
from gan_lib.rng import Streams
from gan_lib.training import adam


def model(dim=4, hidden=(16,), factor=3, **options):
    """A MADE whose weights are large enough that every connection shows."""
    made_of = made(dim, hidden, device="cpu", **options)
    with torch.no_grad():
        for p in made_of.parameters():
            p *= factor
    return made_of


shapes = st.tuples(
    st.integers(1, 7),
    st.lists(st.integers(1, 9), max_size=3),
    st.booleans(),
    st.integers(0, 99),
    st.randoms(use_true_random=False),
)


@given(shapes)
@settings(max_examples=30, deadline=None)
def test_probabilities_of_all_inputs_sum_to_one(shape):
    dim, hidden, direct, seed, random = shape
    order = random.sample(range(dim), dim)
    net = model(dim, hidden, order=order, direct=direct, seed=seed)
    assert net.log_prob(every_state(dim)).exp().sum().item() == pytest.approx(1, rel=1e-12)


@given(shapes)
@settings(max_examples=30, deadline=None)
def test_each_output_sees_only_what_comes_before_it(shape):
    dim, hidden, direct, seed, random = shape
    order = random.sample(range(dim), dim)
    net = model(dim, hidden, order=order, direct=direct, seed=seed, activation="tanh")
    x = torch.rand(1, dim, dtype=torch.float64, generator=torch.manual_seed(seed))
    jacobian = torch.autograd.functional.jacobian(net, x)[0, :, 0]
    for t, i in enumerate(order):
        assert (jacobian[i, order[t:]] == 0).all(), "no output may see itself or what comes later"
        if direct or not hidden or min(hidden) >= dim:
            assert (jacobian[i, order[:t]] != 0).all(), "and it sees all that came before"


def test_ten_bits_sum_to_one():
    net = model(10, [30, 20], order=[3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    assert net.log_prob(every_state(10)).exp().sum().item() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("hidden, direct", [([], False), ([16], False), ([9, 7], True)])
def test_log_prob_is_the_chain_rule_by_marginals(hidden, direct):
    """p(x) = Π p(x_t | x_<t), with each factor from sums over the joint table, not from the network."""
    order = [2, 0, 3, 1]
    net = model(4, hidden, order=order, direct=direct)
    joint = {tuple(x.tolist()): p for x, p in zip(every_state(4), _p(net), strict=True)}

    def mass(fixed):
        return sum(p for x, p in joint.items() if all(x[i] == v for i, v in fixed.items()))

    for x in itertools.product([0.0, 1.0], repeat=4):
        logits = net(torch.tensor([x], dtype=torch.float64))[0]
        seen = {}
        for i in order:
            one = mass({**seen, i: 1.0}) / mass(seen)
            assert logits[i].sigmoid().item() == pytest.approx(one, rel=1e-9)
            seen[i] = x[i]


def _p(net):
    return net.log_prob(every_state(net.dim)).exp().tolist()


def test_logistic_regressions_by_hand():
    """Without hidden layers, a belief network of Frey et al.: logit i = b_i + Σ_{j<i} x_j w_ji."""
    net = model(3, [])
    w, b = (p.detach() for p in net.parameters())
    for x in every_state(3):
        total = 0.0
        for i in range(3):
            logit = b[0, i] + sum(x[j] * w[j, i] for j in range(i))
            total += math.log(1 / (1 + math.exp(-(2 * x[i] - 1) * logit)))
        assert net.log_prob(x.unsqueeze(0)).item() == pytest.approx(total, rel=1e-12)


def test_direct_connections_add_a_masked_linear_map():
    net = model(3, [5], direct=True)
    w, b = net.direct.weight, net.direct.bias
    x = every_state(3)
    expected = net.network(x) + x @ w.triu(1) + b
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("n", [1, 50])
def test_sampling_takes_one_pass_a_dimension_however_many_samples(n):
    net, calls = model(6), []
    net.register_forward_hook(lambda *_: calls.append(1))
    net.sample(n, Streams(0, "s"))
    assert len(calls) == net.passes == 6
    net.log_prob(every_state(6))
    assert net.passes == 7, "and evaluating takes one"


def test_samples_have_the_exact_frequencies():
    net = model(4, [16], order=[2, 0, 3, 1], factor=1.5, direct=True, seed=[0, 1])
    x, table = net.sample(20_000, Streams([0, 1], "s")), BitTable(torch.ones(16) / 16)
    exact = net.log_prob(every_state(4)).exp().detach()
    for member in range(2):
        counts = torch.bincount(table.index(x[member]), minlength=16)
        expected = exact[member] / exact[member].sum() * 20_000
        assert expected.min() > 5
        assert chisquare(counts, expected).pvalue > 1e-4


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_fit_finds_a_known_distribution_in_any_order(order):
    p = torch.rand(8, dtype=torch.float64, generator=torch.manual_seed(1)) + 0.05
    data = BitTable(p / p.sum())
    x, seeds = every_state(3), [0, 1]
    net = made(3, [24], order=order, seed=seeds, device="cpu")
    gap = lambda: (data.log_prob(x) - net.log_prob(x)) @ data.probabilities  # noqa: E731
    before = gap()
    fit(net, data, 500, batch=512, optimizer=adam(1e-2), seed=seeds)
    assert (gap() < 0.004).all() and (before > 0.02).all()  # KL(data‖model), in nats


def test_loss_is_the_cross_entropy():
    net = model(3)
    x = every_state(3)[[0, 3, 3, 7]]
    expected = -sum(math.log(_p(net)[i]) for i in (0, 3, 3, 7)) / 4
    assert net.loss(x).item() == pytest.approx(expected, rel=1e-12)


def test_members_may_share_data_or_have_their_own():
    net, x = model(3, seed=[0, 1]), every_state(3)
    shared = net.log_prob(x)
    assert shared.shape == (2, 8)
    own = net.log_prob(torch.stack([x, x.flip(0)]))
    torch.testing.assert_close(own[0], shared[0])
    torch.testing.assert_close(own[1], shared[1].flip(0))


def test_every_hidden_unit_sees_something_and_is_seen():
    """Degrees are spread evenly: none of 1 … dim − 1 is left out when there are units enough."""
    net = made(5, [8, 4, 9], device="cpu")
    first, *middle, last = (layer.mask for layer in net.network if hasattr(layer, "mask"))
    assert all((mask.sum(0) > 0).all() for mask in (first, *middle))
    assert (last.sum(1) > 0).all()
    assert set(first.sum(0).tolist()) == {1, 2, 3, 4}


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"dim": 0}, "dim=0"),
        ({"hidden": [4, 0]}, r"hidden\[1\]=0"),
        ({"order": [0, 0, 1]}, "give each of 0 … 2 once"),
        ({"order": [0, 1]}, "give each of 0 … 2 once"),
        ({"activation": "sine"}, "unknown activation 'sine'"),
    ],
)
def test_nonsense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        made(**{"dim": 3, "device": "cpu", **arguments})


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0, math.nan])
def test_grey_values_are_refused(value):
    x = every_state(3).clone()
    x[2, 1] = value
    with pytest.raises(ValueError, match="binarised"):
        made(3, device="cpu").log_prob(x)
