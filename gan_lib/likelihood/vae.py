"""Variational autoencoders: a density with a latent variable, p(x) = ∫ p(z) p(x|z) dz, bounded below.

Kingma and Welling (2014, arXiv 1312.6114); the importance-weighted bound is Burda, Grosse and
Salakhutdinov (2016, arXiv 1509.00519). All bounds are in nats, a number for each x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from gan_lib.likelihood.observations import (
    Bernoulli,
    Gaussian,
    log_normal,
    observation,
    prepared,
)
from gan_lib.networks import Linear, mlp
from gan_lib.rng import Seed, Streams
from gan_lib.training_checks import check_members, check_whole


class VAE(nn.Module):
    """q(z|x) = N(μ(x), diag σ²(x)) from `encoder`, p(x|z) from `decoder` and `observed`, p(z) = N(0, I).

    x is `(batch, dim)`, the same for all members, or `(*members, batch, dim)`; `rng` has one stream a
    member. `importance=k` trains on the importance-weighted bound L_k instead of the ELBO. Methods raise
    ValueError for data of another size, pixels outside [0, 1] under Bernoulli outputs, and k < 1.
    """

    def __init__(self, encoder, decoder, observed: Bernoulli | Gaussian, dim, latent, importance=0):
        super().__init__()
        self.encoder, self.decoder, self.observed = encoder, decoder, observed
        self.dim, self.latent, self.importance = dim, latent, importance
        self.members = decoder.members

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ(x) and log σ²(x), both `(*members, batch, latent)`."""
        x = prepared(self, x)
        self.observed.check(x)
        mean, log_var = self.encoder(x).chunk(2, -1)
        return mean, log_var

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z], `(*members, n, dim)` for z `(*members, n, latent)`: pixel probabilities, or means."""
        return self.observed.mean(self.decoder(z))

    def kl(self, x: Tensor) -> Tensor:
        """KL(q(z|x)‖p(z)) = ½ Σ (μ² + σ² − 1 − log σ²), `(*members, batch)` (appendix B)."""
        return _kl(*self.encode(x))

    def elbo(self, x: Tensor, rng: Streams) -> Tensor:
        """log p(x|z) − KL(q‖p) with one z ~ q(z|x): its mean is at most log p(x) (eq. 10 with L = 1).

        `(*members, batch)`.
        """
        mean, log_var = self.encode(x)
        z, _ = self._draw(mean, log_var, 1, rng)
        return self._log_likelihood(x, z).squeeze(-1) - _kl(mean, log_var)

    def log_weights(self, x: Tensor, k: int, rng: Streams) -> Tensor:
        """log w = log p(x, z) − log q(z|x) for k draws z ~ q(z|x), `(*members, batch, k)`.

        The mean of w is p(x), whatever the encoder; the mean of log w is the ELBO.
        """
        mean, log_var = self.encode(x)
        z, log_q = self._draw(mean, log_var, k, rng)
        return self._log_likelihood(x, z) + log_normal(z) - log_q

    def importance_bound(self, x: Tensor, k: int, rng: Streams) -> Tensor:
        """L_k = log of the mean of k weights, `(*members, batch)`: E L_1 ≤ E L_2 ≤ … ≤ log p(x).

        Burda et al. (2016), section 3 and theorem 1. Memory grows with batch · k.
        """
        return self.log_weights(x, k, rng).logsumexp(-1) - math.log(k)

    def loss(self, x: Tensor, rng: Streams) -> Tensor:
        """Minus the mean bound on log p(x), `(*members,)`."""
        if self.importance:
            return -self.importance_bound(x, self.importance, rng).mean(-1)
        return -self.elbo(x, rng).mean(-1)

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x|z] at z = μ(x), `(*members, batch, dim)`."""
        return self.decode(self.encode(x)[0])

    @torch.no_grad()
    def sample(self, n: int, rng: Streams, mean: bool = False) -> Tensor:
        """z ~ p(z), then x ~ p(x|z), `(*members, n, dim)`, in one pass.

        `mean=True` gives E[x|z] instead, as most pictures do: smoother, and no sample of the model.
        """
        check_whole(n=n)
        check_members("model", self, rng.members)
        z = rng.normal(n, self.latent, dtype=next(self.parameters()).dtype)
        return self.decode(z) if mean else self.observed.sample(self.decoder(z), rng)

    def _draw(self, mean: Tensor, log_var: Tensor, k: int, rng: Streams) -> tuple[Tensor, Tensor]:
        """z = μ + σ ε `(*members, batch, k, latent)`, through which gradients pass, and log q(z|x)."""
        check_whole(k=k)
        check_members("model", self, rng.members)
        noise = rng.normal(mean.shape[-2], k, self.latent, dtype=mean.dtype)
        half = 0.5 * log_var.unsqueeze(-2)
        return mean.unsqueeze(-2) + half.exp() * noise, log_normal(noise) - half.sum(-1)

    def _log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        # Layers of an ensemble take one batch axis: the k draws of all x are laid in a row.
        out = self.decoder(z.flatten(-3, -2)).unflatten(-2, z.shape[-3:-1])
        return self.observed.log_prob(out, prepared(self, x).unsqueeze(-2))


def _kl(mean: Tensor, log_var: Tensor) -> Tensor:
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


def vae(
    dim: int,
    latent: int = 2,
    hidden: Sequence[int] = (64,),
    std: float | None = None,
    importance: int = 0,
    seed: Seed = 0,
    activation: str = "relu",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> VAE:
    """A variational autoencoder; the decoder's `hidden` layers are the encoder's in reverse.

    `std=None`: Bernoulli outputs, for bits (grey pixels count as probabilities, see `Bernoulli`); a
    number: Gaussian outputs with that standard deviation. `seed`: an int, or one a member.
    """
    check_whole(dim=dim, latent=latent)
    if importance:
        check_whole(importance=importance)
    make = {"seed": seed, "activation": activation, "dtype": dtype, "device": device}
    encoder = mlp([dim, *hidden, 2 * latent], **make)
    decoder = mlp([latent, *reversed(hidden), dim], **make)
    return VAE(encoder, decoder, observation(std), dim, latent, importance)


def linear_gaussian(weight: Tensor, bias: Tensor, std: float) -> VAE:
    """A VAE that is solved: x = z W + b + std · noise, and an encoder that is the exact posterior.

    `weight` `(latent, dim)`, its rows orthogonal, because q(z|x) has a diagonal covariance; `bias`
    `(dim,)`. The posterior is N(S W(x − b)/std², S) with S = (I + W Wᵀ/std²)⁻¹ (Bishop 2006, eq. 2.116
    and 2.117). Raises ValueError if the rows are not orthogonal.
    """
    gram = weight @ weight.mT
    if not torch.allclose(gram, gram.diag().diag(), atol=1e-9 * float(gram.max())):
        raise ValueError("the rows of weight must be orthogonal: q(z|x) cannot follow otherwise.")
    latent, dim = weight.shape
    model = vae(dim, latent, (), std, dtype=weight.dtype, device=weight.device)
    variance = 1 / (1 + gram.diag() / std**2)
    to_mean = weight.mT * variance / std**2
    with torch.no_grad():
        model.decoder[0].weight.copy_(weight)
        model.decoder[0].bias.copy_(bias)
        model.encoder[0].weight.copy_(torch.cat([to_mean, torch.zeros_like(to_mean)], -1))
        model.encoder[0].bias.copy_(torch.cat([-bias @ to_mean, variance.log()]))
    return model


def exact_log_prob(model: VAE, x: Tensor) -> Tensor:
    """log p(x) = log N(x; b, WᵀW + std² I), `(*members, batch)`, of any VAE with a linear decoder.

    Raises ValueError for hidden layers in the decoder or Bernoulli outputs: no closed form there.
    """
    layers = list(model.decoder)
    if len(layers) != 1 or not isinstance(layers[0], Linear) or not hasattr(model.observed, "std"):
        raise ValueError("log p(x) is known for hidden=() and std=… only; use importance_bound.")
    weight, bias = layers[0].weight, layers[0].bias
    noise = model.observed.std**2 * torch.eye(model.dim).to(weight)
    covariance = (weight.mT @ weight + noise).unsqueeze(-3)
    return MultivariateNormal(bias, covariance).log_prob(prepared(model, x))
