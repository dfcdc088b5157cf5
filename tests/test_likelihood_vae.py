"""VAEs: bounds against log p(x) by quadrature and in closed form, and against each other."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import multivariate_normal
from torch.distributions import Normal, kl_divergence
from torch.func import functional_call

from gan_lib.data import gaussian
from gan_lib.likelihood import every_state, exact_log_prob, fit, linear_gaussian, vae
from gan_lib.rng import Streams
from gan_lib.training import adam

W = torch.tensor([[0.6, -0.8, 0.3], [0.8, 0.6, 0.0]], dtype=torch.float64)
B = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)


def model(dim=3, latent=1, hidden=(6,), scale=2.0, **options):
    """A VAE whose weights are large enough that the bound is loose."""
    net = vae(dim, latent, hidden, activation="tanh", device="cpu", **options)
    with torch.no_grad():
        for p in net.decoder.parameters():
            p *= scale
    return net


def data(net):
    """Three points that the model could have seen."""
    if net.observed.__class__.__name__ == "Bernoulli":
        return every_state(net.dim)[:3]
    return torch.randn(3, net.dim, dtype=torch.float64, generator=torch.manual_seed(1))


def log_joint(net, x, z):
    """log p(x, z) of one x at points z `(n, latent)`, by torch.distributions."""
    out = net.decoder(z)
    if hasattr(net.observed, "std"):
        likelihood = Normal(out, net.observed.std).log_prob(x)
    else:
        likelihood = torch.distributions.Bernoulli(logits=out).log_prob(x)
    return likelihood.sum(-1) + Normal(0.0, 1.0).log_prob(z).sum(-1)


@torch.no_grad()
def truth(net, x):
    """log p(x) and the exact ELBO, by adaptive quadrature (1-D) or a Gauss–Hermite grid (2-D)."""
    mean, log_var = net.encode(x.unsqueeze(0))
    q, prior = Normal(mean[0], (0.5 * log_var[0]).exp()), Normal(0.0, 1.0)
    if net.latent == 1:
        point = lambda z: torch.tensor([[z]], dtype=torch.float64)  # noqa: E731
        low, high = float(q.mean - 9 * q.stddev), float(q.mean + 9 * q.stddev)
        evidence = quad(lambda z: log_joint(net, x, point(z)).exp().item(), -10, 10)[0]
        bound = quad(
            lambda z: (
                q.log_prob(point(z)).exp() * (log_joint(net, x, point(z)) - q.log_prob(point(z)))
            ).item(),
            low,
            high,
        )[0]
        return math.log(evidence), bound
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = torch.tensor(list(itertools.product(nodes, repeat=2)))
    w = torch.tensor([a * b for a, b in itertools.product(weights / weights.sum(), repeat=2)])
    evidence = w @ (log_joint(net, x, z) - prior.log_prob(z).sum(-1)).exp()
    z = q.mean + q.stddev * z
    bound = w @ (log_joint(net, x, z) - q.log_prob(z).sum(-1))
    return math.log(evidence), bound.item()


CASES = {
    "coins-1": lambda: model(3, 1),
    "coins-2": lambda: model(3, 2),
    "bells-1": lambda: model(2, 1, std=0.8),
    "bells-2": lambda: model(2, 2, std=0.8),
}
every_case = pytest.mark.parametrize("make", CASES.values(), ids=CASES)


# ----------------------------------------------------------------------------------- the bounds


@every_case
def test_bounds_against_quadrature(make):
    """The mean ELBO is the integral, and lies below log p(x), which the mean weight reaches."""
    net, m = make(), 4000
    x = data(net)
    many = x.repeat_interleave(m, 0)
    with torch.no_grad():
        elbo = net.elbo(many, Streams(0, "e")).unflatten(0, (3, m))
        log_w = net.log_weights(x, 40_000, Streams(0, "w"))
        bound = net.importance_bound(x, 40_000, Streams(0, "w"))
    for i in range(3):
        evidence, exact = truth(net, x[i])
        assert exact < evidence - 1e-3, "otherwise the test shows nothing"
        assert abs(elbo[i].mean() - exact) < 5 * elbo[i].std() / math.sqrt(m)
        assert abs(log_w[i].mean() - exact) < 5 * log_w[i].std() / math.sqrt(40_000)
        w = (log_w[i] - evidence).exp()
        assert abs(w.mean() - 1) < 5 * w.std() / math.sqrt(40_000)
        assert bound[i].item() == pytest.approx(evidence, abs=0.03)


@every_case
def test_bound_rises_with_k_on_the_same_weights(make):
    """Theorem 1 of Burda et al.: averaged over all subsets of size k, L_k is below L_k+1, exactly."""
    net = make()
    log_w = net.log_weights(data(net), 7, Streams(2, "w")).detach()
    averages = [
        torch.stack(
            [
                log_w[:, list(subset)].exp().mean(-1).log()
                for subset in itertools.combinations(range(7), k)
            ]
        ).mean(0)
        for k in range(1, 8)
    ]
    rises = torch.stack(averages).diff(dim=0)
    assert (rises > 0).all()
    torch.testing.assert_close(averages[0], log_w.mean(-1))
    bound = net.importance_bound(data(net), 7, Streams(2, "w"))
    torch.testing.assert_close(bound, averages[-1], rtol=1e-10, atol=1e-10)


@every_case
@pytest.mark.parametrize("importance", [0, 3])
def test_loss_is_minus_the_mean_bound(make, importance):
    net = make()
    net.importance, x = importance, data(net)
    rng = Streams(5, "l")
    bound = net.importance_bound(x, 3, rng) if importance else net.elbo(x, rng)
    assert net.loss(x, Streams(5, "l")).item() == pytest.approx(-bound.mean().item(), rel=1e-12)


def test_kl_is_that_of_torch():
    net = model(3, 2, seed=[0, 1])
    x = data(net)
    mean, log_var = net.encode(x)
    expected = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(-1)
    assert net.kl(x).shape == (2, 3)
    torch.testing.assert_close(net.kl(x), expected)


def test_weights_of_members_are_those_of_lone_models():
    seeds, x = [4, 7], every_state(3)
    log_w = model(3, 2, seed=seeds).log_weights(x, 5, Streams(seeds, "w"))
    assert log_w.shape == (2, 8, 5)
    for i, seed in enumerate(seeds):
        lone = model(3, 2, seed=seed).log_weights(x, 5, Streams(seed, "w"))
        torch.testing.assert_close(log_w[i], lone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bound", ["elbo", "importance_bound", "kl", "log_weights"])
def test_gradients_pass_through_the_draw(bound):
    """gradcheck of every parameter, the draws held fixed."""
    net, x = model(2, 1, [2], std=0.8), torch.tensor([[0.3, -0.5]], dtype=torch.float64)
    names = list(dict(net.named_parameters()))
    options = {"elbo": {}, "kl": {}, "importance_bound": {"k": 3}, "log_weights": {"k": 2}}[bound]

    class Call(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self):
            streams = {} if bound == "kl" else {"rng": Streams(0, "g")}
            return getattr(self.net, bound)(x, **options, **streams)

    def f(*values):
        return functional_call(
            Call(), {f"net.{n}": v for n, v in zip(names, values, strict=True)}, ()
        )

    assert torch.autograd.gradcheck(f, tuple(net.parameters()))


# ---------------------------------------------------------------------------- where all is known


def test_bounds_touch_for_the_exact_posterior():
    net = linear_gaussian(W, B, 0.7)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.manual_seed(0)) * 2
    expected = multivariate_normal(B, (W.T @ W).numpy() + 0.49 * np.eye(3)).logpdf(x)
    np.testing.assert_allclose(exact_log_prob(net, x).detach(), expected, rtol=1e-10)
    for k in (1, 4):
        log_w = net.log_weights(x, k, Streams(k, "w"))  # every weight is p(x): no variance at all
        torch.testing.assert_close(log_w, torch.tensor(expected).unsqueeze(-1).expand(5, k))
    elbo = net.elbo(x.repeat_interleave(20_000, 0), Streams(0, "e")).unflatten(0, (5, 20_000))
    error = 5 * elbo.std(1) / math.sqrt(20_000)
    assert ((elbo.mean(1) - torch.tensor(expected)).abs() < error).all()


def test_any_other_encoder_lies_below_by_its_kl():
    """log p(x) − ELBO = KL(q(z|x)‖p(z|x)), here between Gaussians, for an encoder moved and widened."""
    net, moved = linear_gaussian(W, B, 0.7), linear_gaussian(W, B, 0.7)
    with torch.no_grad():
        moved.encoder[0].bias += torch.tensor([0.3, -0.2, 0.5, 0.1])
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.manual_seed(0))
    q, p = (Normal(m, (v / 2).exp()) for m, v in (moved.encode(x), net.encode(x)))
    gap = kl_divergence(q, p).sum(-1)
    log_w = moved.log_weights(x, 50_000, Streams(0, "w"))
    error = 5 * log_w.std(-1) / math.sqrt(50_000)
    measured = exact_log_prob(moved, x) - log_w.mean(-1)
    assert ((measured - gap).abs() < error).all() and (gap > 10 * error).all()


def test_fit_closes_the_gap_where_it_can():
    """Linear VAE on a plane Gaussian: fitted, both the bound and log p reach the data's entropy."""
    seeds, target = [0, 1], gaussian([1.0, -0.5], 1.0)
    net = vae(2, 1, (), std=0.8, seed=seeds, device="cpu")
    fit(net, target, 800, batch=256, optimizer=adam(1e-2), seed=seeds)
    x = target.sample(4000, Streams(9, "x"))
    bound = net.elbo(x, Streams(seeds, "e")).mean(-1)
    exact = exact_log_prob(net, x).mean(-1)
    # The best member of the family has covariance .64 I + w wᵀ with w of length .6.
    best = multivariate_normal([1.0, -0.5], [[1.0, 0], [0, 0.64]]).logpdf(x).mean()
    assert exact.shape == (2,) and (bound <= exact + 0.01).all()
    assert (exact - bound < 0.02).all() and (exact - best).abs().max() < 0.03


def test_importance_training_is_taken_from_the_option():
    assert vae(3, importance=5, device="cpu").importance == 5
    with pytest.raises(ValueError, match="importance=-1"):
        vae(3, importance=-1, device="cpu")


# -------------------------------------------------------------------------------------- samples


def test_samples_have_the_mean_and_covariance_of_the_model():
    x = linear_gaussian(W, B, 0.7).sample(100_000, Streams(0, "s"))
    covariance = W.T @ W + 0.49 * torch.eye(3)
    assert (x.mean(0) - B).abs().max() < 5 * math.sqrt(1.5 / 100_000)
    torch.testing.assert_close(x.T.cov(), covariance.double(), atol=0.03, rtol=0)
    means = linear_gaussian(W, B, 0.7).sample(100_000, Streams(0, "s"), mean=True)
    torch.testing.assert_close(means.T.cov(), W.T @ W, atol=0.03, rtol=0)


def test_reconstruction_is_the_decoded_mean():
    net = model(3, 2, seed=[0, 1])
    x = data(net)
    mean, _ = net.encode(x)
    torch.testing.assert_close(net.reconstruct(x), net.decoder(mean).sigmoid())
    torch.testing.assert_close(net.decode(mean), net.decoder(mean).sigmoid())
    assert net.reconstruct(x).shape == (2, 3, 3) and not net.reconstruct(x).requires_grad


def test_decoder_mirrors_the_encoder():
    net = vae(9, 2, [7, 5], device="cpu")
    sizes = lambda part: [tuple(p.shape) for p in part.parameters() if p.shape[0] > 1]  # noqa: E731
    assert sizes(net.encoder) == [(9, 7), (7, 5), (5, 4)]
    assert sizes(net.decoder) == [(2, 5), (5, 7), (7, 9)]


# ------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("k", [0, -2, 1.5, True])
def test_numbers_of_weights_below_one_are_refused(k):
    net = model()
    with pytest.raises(ValueError, match="k="):
        net.importance_bound(data(net), k, Streams(0, "w"))


def test_streams_of_other_members_are_refused():
    net = model(seed=[0, 1])
    with pytest.raises(ValueError, match="use the same seeds for both"):
        net.elbo(data(net), Streams(0, "e"))


def test_pixels_out_of_range_are_refused_by_coins_only():
    x = torch.tensor([[0.0, 1.2, 0.5]])
    with pytest.raises(ValueError, match=r"x lies in \[0, 1.2\].* give std="):
        model().elbo(x, Streams(0, "e"))
    assert model(std=1.0).elbo(x, Streams(0, "e")).isfinite().all()


def test_closed_forms_are_refused_where_there_are_none():
    for net in (model(std=1.0), model(hidden=())):
        with pytest.raises(ValueError, match="use importance_bound"):
            exact_log_prob(net, data(net))
    with pytest.raises(ValueError, match="orthogonal"):
        linear_gaussian(torch.tensor([[1.0, 0, 0], [1.0, 1.0, 0]]).double(), B, 0.7)
