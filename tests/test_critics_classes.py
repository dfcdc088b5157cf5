"""CatGAN, K + 1 classes and feature matching against torch's distributions and explicit softmax."""

import math

import pytest
import torch
from torch.distributions import Categorical
from torch.nn import CrossEntropyLoss

from gan_lib.critics import (
    Classified,
    Scored,
    categorical,
    classifier_critic,
    conditional_entropy,
    feature_critic,
    feature_matching,
    marginal_entropy,
    real_logit,
    semi_supervised,
    semi_supervised_cross_entropy,
    supervised,
)
from gan_lib.images import Images
from gan_lib.networks import mlp
from gan_lib.rng import Streams

K = 4
SURE = 1e4 * torch.eye(K)  # one sample of each class, without doubt


def randn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.manual_seed(seed))


def same_with_slopes(found, expected, *inputs):
    torch.testing.assert_close(found, expected)
    pairs = (torch.autograd.grad(f.sum(), inputs, retain_graph=True) for f in (found, expected))
    for a, b in zip(*pairs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


# ---- the categorical GAN -------------------------------------------------------------------------


def entropies(logits):
    """(E H[p(y|x)], H[E p(y|x)]) by torch.distributions, one member at a time."""
    each = [Categorical(logits=member) for member in logits]
    mean = [Categorical(probs=c.probs.mean(0)).entropy() for c in each]
    return torch.stack([c.entropy().mean() for c in each]), torch.stack(mean)


def test_entropies_and_losses_by_distributions():
    real, fake = (3 * t for t in randn(2, 3, 7, K))
    real, fake = real.requires_grad_(), fake.requires_grad_()
    (h_real, marginal_real), (h_fake, marginal_fake) = entropies(real), entropies(fake)
    same_with_slopes(conditional_entropy(real), h_real, real)
    same_with_slopes(marginal_entropy(real), marginal_real, real)
    critic = -(marginal_real - h_real + h_fake)
    same_with_slopes(categorical.critic_loss(real, fake), critic, real, fake)
    same_with_slopes(categorical.generator_loss(None, fake), h_fake - marginal_fake, fake)


def test_categorical_ideals():
    """Sure and balanced on data, at a loss on samples; then samples that fool it, then collapse."""
    undecided = torch.zeros(K, K)
    assert marginal_entropy(SURE).item() == pytest.approx(math.log(K), rel=1e-6)
    assert conditional_entropy(SURE).item() == 0
    best = categorical.critic_loss(SURE, undecided).item()
    assert best == pytest.approx(-2 * math.log(K), rel=1e-6)
    assert categorical.generator_loss(None, SURE).item() == pytest.approx(-math.log(K), rel=1e-6)
    assert categorical.generator_loss(None, undecided).item() == pytest.approx(0, abs=1e-6)
    collapsed = SURE[:1].expand(K, K)
    assert categorical.generator_loss(None, collapsed).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("size", [100.0, 1e6])
@pytest.mark.parametrize("objective", [categorical, semi_supervised_cross_entropy])
def test_finite_at_extreme_logits(objective, size, dtype):
    real, fake = (
        (size * t).to(dtype).requires_grad_() for t in randn(2, 5, K).sign() * randn(2, 5, K).ceil()
    )
    outputs = Classified(real, None), Classified(fake, None)
    for loss in (objective.critic_loss(*outputs), objective.generator_loss(*outputs)):
        slopes = torch.autograd.grad(loss, (real, fake), allow_unused=True, materialize_grads=True)
        assert loss.isfinite() and all(s.isfinite().all() for s in slopes)


# ---- K + 1 classes -------------------------------------------------------------------------------


def with_fake_class(logits):
    return torch.cat([logits, torch.zeros_like(logits[..., :1])], -1)


def test_unsupervised_loss_is_an_explicit_softmax_over_k_plus_1_classes():
    real, fake = (t.requires_grad_() for t in 2 * randn(2, 3, 6, K))
    found = semi_supervised.critic_loss(Classified(real, None), Classified(fake, None))
    fooled = semi_supervised_cross_entropy.generator_loss(None, Classified(fake, None))
    expected, expected_fooled = [], []
    for r, f in zip(real, fake, strict=True):
        accepted = with_fake_class(r).softmax(-1)[:, :K].sum(-1).log().mean()
        rejected = CrossEntropyLoss()(with_fake_class(f), torch.full((6,), K))
        expected.append(rejected - accepted)
        expected_fooled.append(-(1 - with_fake_class(f).softmax(-1)[:, K]).log().mean())
    same_with_slopes(found, torch.stack(expected), real, fake)
    same_with_slopes(fooled, torch.stack(expected_fooled), fake)


def test_labels_cost_of_k_plus_1_classes_splits_into_supervised_and_real():
    """−log p(y|x) = −log p(y|x, real) − log p(real|x), whatever the logits."""
    x, y = 2 * randn(1, K), torch.tensor([2])
    alone = supervised((x, y), batch=3)(lambda x: x, x, x, Streams(0, "penalty"))
    whole = CrossEntropyLoss()(with_fake_class(x), y)
    torch.testing.assert_close(alone + torch.nn.functional.softplus(-real_logit(x))[0], whole)


@pytest.mark.parametrize("pair", [Images, lambda x, y: (x, y)], ids=["Images", "pair"])
@pytest.mark.parametrize("seed", [0, [1, 2]])
def test_supervised_is_the_cross_entropy_of_its_own_batch(pair, seed):
    x, y = randn(9, 3), torch.arange(9) % K
    critic = classifier_critic([3, 5, K], seed, device="cpu")
    penalty = supervised(pair(x, y), weight=0.3, batch=20)
    found = penalty(critic, x, x, Streams(seed, "penalty"))
    rows = Streams(seed, "penalty").integers(9, 20)
    members = [()] if isinstance(seed, int) else [(0,), (1,)]
    logits = critic(x[rows]).logits
    expected = [0.3 * CrossEntropyLoss()(logits[m], y[rows[m]]) for m in members]
    torch.testing.assert_close(found.reshape(-1), torch.stack(expected))
    assert penalty.per_sample is False
    assert not torch.equal(found, penalty(critic, x, x, Streams(seed, "other")))


def test_image_and_label_are_drawn_together():
    y = torch.arange(40) % K
    sure = 100.0 * torch.eye(K)[y]
    penalty = supervised((sure, y), batch=200)
    assert penalty(lambda x: x, sure, sure, Streams(0, "penalty")).item() == pytest.approx(0)


def test_each_member_may_have_labels_of_its_own():
    y = torch.stack([torch.arange(6) % 2, 2 + torch.arange(6) % 2])  # (2, 6)
    x = 100.0 * torch.eye(K)[y]
    seen = []
    penalty = supervised((x, y), batch=50)
    losses = penalty(lambda x: seen.append(x) or x, x, x, Streams([0, 1], "penalty"))
    torch.testing.assert_close(losses, torch.zeros(2))
    assert set(seen[0][0].argmax(-1).tolist()) == {0, 1}
    assert set(seen[0][1].argmax(-1).tolist()) == {2, 3}


# ---- feature matching ----------------------------------------------------------------------------

matching = pytest.mark.parametrize(
    "objective, record",
    [(semi_supervised, Classified), (feature_matching, Scored)],
    ids=["semi-supervised", "feature matching"],
)


@matching
def test_feature_matching_by_a_loop(objective, record):
    real, fake = (t.requires_grad_() for t in randn(2, 3, 5, 4))
    loss = objective.generator_loss(record(None, real), record(None, fake))
    for m in range(3):
        means = [[sum(x[m, :, j].tolist()) / 5 for j in range(4)] for x in (real, fake)]
        expected = sum((a - b) ** 2 for a, b in zip(*means, strict=True))
        assert loss[m].item() == pytest.approx(expected, rel=1e-12)
    slope = torch.autograd.grad(loss.sum(), fake)[0]
    gap = fake.mean(1, keepdim=True) - real.mean(1, keepdim=True)
    torch.testing.assert_close(slope, (2 / 5 * gap).expand_as(fake).detach())


@matching
def test_feature_matching_compares_means(objective, record):
    real, fake = randn(2, 6, 3)
    loss = lambda f, r=real: objective.generator_loss(record(None, r), record(None, f))  # noqa: E731
    shuffled = fake[torch.randperm(6, generator=torch.manual_seed(1))]
    torch.testing.assert_close(loss(shuffled), loss(fake))
    torch.testing.assert_close(loss(fake.repeat(3, 1)), loss(fake))
    torch.testing.assert_close(loss(fake, real.repeat(2, 1)), loss(fake))
    mirrored = 2 * real.mean(0) - real  # no sample alike, the mean the same
    assert loss(mirrored).item() == pytest.approx(0, abs=1e-28)


def test_feature_matching_discriminator_is_the_ordinary_one():
    real, fake = randn(2, 3, 9)
    loss = feature_matching.critic_loss(Scored(real, None), Scored(fake, None))
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = [
        bce(r, torch.ones_like(r)) + bce(f, torch.zeros_like(f))
        for r, f in zip(real, fake, strict=True)
    ]
    torch.testing.assert_close(loss, torch.stack(expected))


# ---- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, [1, 2, 3]])
def test_outputs_are_those_of_the_same_perceptron(seed):
    x = randn(7, 2) if isinstance(seed, int) else randn(3, 7, 2)
    for sizes, make, scalar in (
        ([2, 6, 6, K], classifier_critic, False),
        ([2, 6, 6, 1], feature_critic, True),
    ):
        network = mlp(sizes, seed, "leaky_relu", scalar=scalar, device="cpu")
        critic = make(sizes, seed, device="cpu")
        output, features = critic(x)
        assert torch.equal(output, network(x)) and critic.members == network.members
        assert torch.equal(features, network[:-1](x)) and features.shape[-1] == 6


ERRORS = {
    "no features": (lambda: classifier_critic([2, 3]), "hidden layer"),
    "no score features": (lambda: feature_critic([2, 1]), "hidden layer"),
    "one class": (lambda: classifier_critic([2, 3, 1]), "at least 2"),
    "many scores": (lambda: feature_critic([2, 3, 2]), "end in 1"),
    "labels": (lambda: supervised((torch.zeros(3, 2), torch.zeros(4))), "one label a sample"),
    "labels of other members": (
        lambda: supervised((torch.zeros(3, 5, 2), torch.zeros(3, 5)))(
            None, None, None, Streams([0, 1], "penalty")
        ),
        r"members \(2,\)",
    ),
}


@pytest.mark.parametrize("make, says", ERRORS.values(), ids=ERRORS)
def test_wrong_input_is_explained(make, says):
    with pytest.raises(ValueError, match=says):
        make()
