"""Fitting by maximum likelihood, binary data, and what the three families have in common."""

import math
import re

import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from gan_lib.data import gaussian, normal
from gan_lib.images import Images
from gan_lib.likelihood import (
    Bernoulli,
    BitTable,
    FitDiverged,
    Gaussian,
    Rebinarised,
    binarised,
    every_state,
    fit,
    gsn,
    made,
    vae,
)
from gan_lib.rng import Streams
from gan_lib.training import TrainingDiverged, adam, sgd

SEEDS = [3, 11]
TABLE = BitTable([0.25, 0.05, 0.05, 0.15, 0.02, 0.08, 0.1, 0.3])
FAMILIES = {
    "made": lambda seed, dim=3: made(dim, [8], seed=seed, device="cpu"),
    "made-direct": lambda seed, dim=3: made(dim, [8, 5], direct=True, seed=seed, device="cpu"),
    "vae": lambda seed, dim=3: vae(dim, 2, [8], seed=seed, device="cpu"),
    "iwae": lambda seed, dim=3: vae(dim, 2, [8], importance=4, seed=seed, device="cpu"),
    "gsn": lambda seed, dim=3: gsn(dim, [8], seed=seed, device="cpu"),
    "gsn-deep": lambda seed, dim=3: gsn(
        dim, [8, 8], walkback=3, noise=0.5, seed=seed, device="cpu"
    ),
}
every_family = pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)


class Mean(nn.Module):
    """N(μ, 1) in one dimension, with a loss whose every step is known."""

    def __init__(self, members=()):
        super().__init__()
        self.members, self.dim = members, 1
        self.mu = nn.Parameter(torch.zeros(*members, 1, 1, dtype=torch.float64))

    def loss(self, x, rng):
        return 0.5 * (x - self.mu).square().mean((-2, -1))


# ------------------------------------------------------------------------------- what all share


@every_family
def test_member_of_a_fit_is_its_lone_run(make):
    together = make(SEEDS)
    losses = fit(together, TABLE, 200, batch=16, seed=SEEDS)
    assert losses.shape == (200, 2)
    for i, seed in enumerate(SEEDS):
        lone = make(seed)
        torch.testing.assert_close(
            losses[:, i], fit(lone, TABLE, 200, batch=16, seed=seed), rtol=1e-10, atol=1e-10
        )
        for a, b in zip(together.parameters(), lone.parameters(), strict=True):
            torch.testing.assert_close(a[i], b, rtol=1e-10, atol=1e-10)


@every_family
def test_member_of_a_sample_is_its_lone_sample(make):
    together = make(SEEDS).sample(20, Streams(SEEDS, "s"))
    assert together.shape == (2, 20, 3) and not together.requires_grad
    assert set(together.unique().tolist()) == {0.0, 1.0}
    for i, seed in enumerate(SEEDS):
        assert torch.equal(together[i], make(seed).sample(20, Streams(seed, "s")))


@every_family
def test_fit_lowers_the_loss(make):
    losses = fit(make(0), TABLE, 300, batch=64, optimizer=adam(1e-2))
    assert losses[-50:].mean() < losses[:20].mean() - 0.05


@every_family
def test_gradient_of_the_loss_is_its_finite_difference(make):
    model, x = make(0), TABLE.sample(6, Streams(0, "x"))
    parameters = list(model.parameters())
    grads = torch.autograd.grad(model.loss(x, Streams(1, "l")), parameters)
    for p, grad in zip(parameters, grads, strict=True):
        place = int(grad.abs().argmax())  # masked weights have none
        values = []
        for eps in (1e-6, -1e-6):
            with torch.no_grad():
                p.view(-1)[place] += eps
                values.append(model.loss(x, Streams(1, "l")).item())
                p.view(-1)[place] -= eps
        slope = (values[0] - values[1]) / 2e-6
        assert grad.view(-1)[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


@every_family
@pytest.mark.parametrize(
    "x, words",
    [
        (torch.ones(4, 5), "x has shape (4, 5): give (batch, 3)"),
        (torch.ones(3), "x has shape (3,): give (batch, 3)"),
        (torch.ones(5, 4, 3), "leading axes (5,), the model has members (2,)"),
        (torch.full((4, 3), 1.5), "x "),
        (torch.full((4, 3), math.nan), "x "),
    ],
)
def test_data_that_does_not_fit_is_refused(make, x, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make(SEEDS).loss(x, Streams(SEEDS, "l"))


@every_family
def test_streams_and_counts_that_do_not_fit_are_refused(make):
    model = make(SEEDS)
    with pytest.raises(ValueError, match="use the same seeds for both"):
        model.sample(4, Streams(0, "s"))
    with pytest.raises(ValueError, match="n=0: give a whole number of at least 1"):
        model.sample(0, Streams(SEEDS, "s"))


@every_family
def test_single_precision_data_serves_a_double_model_and_back(make):
    x = TABLE.sample(4, Streams(0, "x"))
    assert make(0).loss(x.float(), Streams(0, "l")) == make(0).loss(x, Streams(0, "l"))
    narrow = make(0).float()
    assert narrow.loss(x, Streams(0, "l")).dtype == torch.float32
    assert narrow.sample(2, Streams(0, "s")).dtype == torch.float32


@every_family
def test_images_at_single_precision(make):
    grey = torch.rand(50, 784, generator=torch.manual_seed(0))
    data = binarised(Images(grey, torch.zeros(50)))
    losses = fit(make(0, 784).float(), data, 3, batch=8)
    assert losses.dtype == torch.float32 and losses.isfinite().all()


# --------------------------------------------------------------------------------------- the loop


def test_fit_descends_by_the_recurrence_of_gradient_descent():
    data, model = gaussian(2.0, 1.0), Mean()
    losses = fit(model, data, 60, batch=5, optimizer=sgd(0.1), seed=4)
    rng, mu, expected = Streams(4, "fit data"), 0.0, []
    for _ in range(60):
        x = data.sample(5, rng).flatten().tolist()
        expected.append(sum((v - mu) ** 2 for v in x) / 10)
        mu += 0.1 * (sum(x) / 5 - mu)
    assert losses.tolist() == pytest.approx(expected, rel=1e-12)
    assert model.mu.item() == pytest.approx(mu, rel=1e-12)


class Watch:
    """Records the steps at which it was called, and how many losses were there."""

    def __init__(self, every):
        self.every, self.steps = every, []

    def __call__(self, run):
        assert int(run.losses.isfinite().sum()) == run.step and run.total == 25
        self.steps.append(run.step)


def test_callbacks_are_called_at_the_start_when_due_and_at_the_end():
    watch = Watch(10)
    fit(Mean(), gaussian(), 25, callbacks=[watch])
    assert watch.steps == [0, 10, 20, 25]


def test_learning_rate_can_be_annealed():
    from gan_lib.callbacks import Anneal

    model = Mean()
    fit(model, gaussian(5.0), 20, optimizer=sgd(0.1), callbacks=[Anneal(lr=lambda step: 0.0)])
    assert model.mu.item() == 0.0


@pytest.mark.parametrize("setting", ["0", "1"])
def test_progress_is_silent_when_told_so(monkeypatch, setting):
    from gan_lib import callbacks

    made_with = {}

    class Bar:
        n = 0

        def __init__(self, **options):
            made_with.update(options)

        def update(self, n):
            self.n += n

        def close(self):
            made_with["closed_at"] = self.n

    monkeypatch.setattr(callbacks, "tqdm", Bar)
    monkeypatch.setenv("GAN_PROGRESS", setting)
    fit(Mean(), gaussian(), 30)
    assert made_with["disable"] == (setting == "0")
    assert (made_with["delay"], made_with["total"], made_with["closed_at"]) == (2, 30, 30)


@pytest.mark.parametrize("members", [(), (2,)])
def test_divergence_is_noticed_and_names_the_step(members):
    model = Mean(members)
    with pytest.raises(FitDiverged, match="at step 7") as caught:
        fit(model, _Poisoned(), 200, batch=1, seed=[0, 1] if members else 0)
    assert isinstance(caught.value, TrainingDiverged)
    assert caught.value.history.shape == (50, *members)
    assert caught.value.history[:7].isfinite().all()


class _Poisoned:
    """Data with an infinity in the eighth batch."""

    dim, batches = 1, 0

    def sample(self, m, rng, dtype):
        self.batches += 1
        return rng.normal(m, 1) * (math.inf if self.batches == 8 else 1.0)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"steps": 0}, "steps=0: give a whole number"),
        ({"steps": 2.5}, "steps=2.5: give a whole number"),
        ({"batch": 0}, "batch=0: give a whole number"),
        ({"seed": [0, 1]}, "the model has members (), the random streams (2,)"),
        ({"data": normal(4)}, "the model is made for dim=1, the data has 4"),
    ],
)
def test_fit_refuses_what_does_not_fit(arguments, words):
    arguments = {"data": gaussian(), "steps": 5, **arguments}
    with pytest.raises(ValueError, match=re.escape(words)):
        fit(Mean(), **arguments)


# ---------------------------------------------------------------------------------------- bits


def test_binarised_images_are_one_above_the_threshold():
    grey = Images(torch.tensor([[0.0, 0.5, 0.51, 1.0]]), torch.tensor([3]))
    assert binarised(grey).x.tolist() == [[0, 0, 1, 1]]
    assert binarised(grey, 0.2).x.tolist() == [[0, 1, 1, 1]]
    assert binarised(grey, 0.0).x.tolist() == [[0, 1, 1, 1]]
    assert torch.equal(binarised(grey).y, grey.y) and grey.x[0, 1] == 0.5
    with pytest.raises(ValueError, match="threshold=1.5"):
        binarised(grey, 1.5)


def test_rebinarised_images_are_tossed_with_their_grey_values():
    grey = Images(torch.tensor([[0.0, 0.3, 0.8, 1.0]]), torch.tensor([3]))
    x = Rebinarised(grey).to("cpu").sample(20_000, Streams([0, 1], "r"))
    assert x.shape == (2, 20_000, 4) and x.dtype == torch.float32
    share = x.double().mean(1)
    assert share[:, [0, 3]].tolist() == [[0, 1]] * 2
    expected = torch.tensor([0.3, 0.8], dtype=torch.float64)
    assert ((share[:, 1:3] - expected).abs() < 5 * (0.25 / 20_000) ** 0.5).all()
    assert not torch.equal(x[0], x[1])


def test_states_are_the_binary_numbers():
    assert every_state(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    rows = ["".join(str(int(b)) for b in row) for row in every_state(5)]
    assert rows == [f"{i:05b}" for i in range(32)]
    assert torch.equal(BitTable(torch.ones(32) / 32).index(every_state(5)), torch.arange(32))
    with pytest.raises(ValueError, match="1 ≤ dim ≤ 20"):
        every_state(21)


def test_table_is_sampled_with_its_probabilities():
    p = torch.tensor([0.0, 0.2, 0.5, 0.3])
    table = BitTable(p)
    drawn = table.index(table.sample(20_000, Streams(0, "t")))
    counts = torch.bincount(drawn, minlength=4)
    assert counts[0] == 0
    assert chisquare(counts[1:], p[1:].double() / p[1:].sum() * 20_000).pvalue > 1e-4
    assert table.log_prob(every_state(2)).exp().tolist() == pytest.approx(p.tolist(), abs=1e-7)
    assert table.sample(7, Streams([0, 1], "t")).shape == (2, 7, 2)


@pytest.mark.parametrize(
    "p, words",
    [
        ([0.5, 0.25, 0.25], "2^dim"),
        ([1.0], "2^dim"),
        ([0.7, 0.2], "sum to 0.9"),
        ([1.5, -0.5], "≥ 0"),
    ],
)
def test_tables_that_are_no_distribution_are_refused(p, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        BitTable(torch.tensor(p))


# -------------------------------------------------------------------------------- observations


def test_observations_are_the_distributions_of_torch():
    out = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.manual_seed(0)) * 3
    x = (out > 0).double().roll(1, 0)
    coins = torch.distributions.Bernoulli(logits=out).log_prob(x).sum(-1)
    torch.testing.assert_close(Bernoulli().log_prob(out, x), coins)
    bells = torch.distributions.Normal(out, 0.7).log_prob(x).sum(-1)
    torch.testing.assert_close(Gaussian(0.7).log_prob(out, x), bells)
    torch.testing.assert_close(Bernoulli().mean(out), 1 / (1 + (-out).exp()))
    assert torch.equal(Gaussian(0.7).mean(out), out)


def test_grey_pixels_count_as_the_mean_over_their_tosses():
    out, x = torch.tensor([[0.4, -1.2]]), torch.tensor([[0.3, 0.9]])
    states = every_state(2).float()
    weight = torch.where(states == 1, x, 1 - x).prod(-1)
    expected = (weight * Bernoulli().log_prob(out, states)).sum()
    assert Bernoulli().log_prob(out, x).item() == pytest.approx(expected.item(), rel=1e-6)


def test_logits_far_out_stay_finite():
    out = torch.tensor([[-900.0, 900.0]])
    assert Bernoulli().log_prob(out, torch.tensor([[0.0, 1.0]])).item() == 0
    assert Bernoulli().log_prob(out, torch.tensor([[1.0, 0.0]])).item() == -1800


def test_observations_are_drawn_with_their_mean_and_spread():
    out = torch.tensor([[0.4, -1.2]], dtype=torch.float64).expand(40_000, 2)
    x = Bernoulli().sample(out, Streams(0, "o"))
    p = out[0].sigmoid()
    assert ((x.mean(0) - p).abs() < 5 * (p * (1 - p) / 40_000).sqrt()).all()
    y = Gaussian(0.5).sample(out, Streams(0, "o"))
    assert ((y.mean(0) - out[0]).abs() < 5 * 0.5 / 200).all()
    assert y.std(0).tolist() == pytest.approx([0.5, 0.5], rel=0.02)


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan])
def test_gaussian_without_width_is_refused(std):
    with pytest.raises(ValueError, match="must be positive"):
        Gaussian(std)
