"""Generative stochastic networks: no density at all, but a Markov chain that is trained to wander in it.

Bengio, Yao, Alain and Vincent (2013, arXiv 1305.6663) and Bengio, Thibodeau-Laufer, Alain and Yosinski
(2014, arXiv 1306.1091). One step of the chain corrupts x and draws a new x from what the network believes
was there. If that belief is the true P(x | corrupted x), the chain's stationary distribution is the data's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from gan_lib.likelihood.observations import (
    Bernoulli,
    Gaussian,
    normal_like,
    observation,
    prepared,
)
from gan_lib.networks import Linear, mlp
from gan_lib.rng import Seed, Streams
from gan_lib.training_checks import check_members, check_whole


class GSN(nn.Module):
    """Corrupt, reconstruct, draw: see `gsn` for the options.

    x is `(batch, dim)`, the same for all members, or `(*members, batch, dim)`; `rng` has one stream a
    member. Methods raise ValueError for data or streams that do not fit.
    """

    def __init__(self, network, observed: Bernoulli | Gaussian, dim, corruption, walkback, noise):
        super().__init__()
        self.network, self.observed, self.dim = network, observed, dim
        self.corruption, self.walkback, self.noise = corruption, walkback, noise
        self.members = network.members

    def corrupt(self, x: Tensor, rng: Streams) -> Tensor:
        """x̃ ~ C(x̃|x), of the shape of x `(*members, batch, dim)`."""
        return self.observed.corrupt(x, self.corruption, rng)

    def forward(self, corrupted: Tensor, rng: Streams) -> Tensor:
        """What P(x|x̃) is made of, logits or means `(*members, batch, dim)`, for x̃ of that shape."""
        layers = list(self.network)
        for layer in layers:
            corrupted = layer(corrupted)
            if self.noise and isinstance(layer, Linear) and layer is not layers[-1]:
                corrupted = corrupted + self.noise * normal_like(corrupted, rng)
        return corrupted

    def loss(self, x: Tensor, rng: Streams) -> Tensor:
        """The mean of −log P(x|x̃) over `walkback` steps and the batch, `(*members,)`.

        Step 1 corrupts x itself. Each later step corrupts what the step before drew, and asks for the
        same x again, so that the chain learns to come back from where it strays: the walkback of
        1305.6663, here with a fixed number of steps.
        """
        check_members("model", self, rng.members)
        x = current = prepared(self, x)
        self.observed.check(x)
        log_likelihood = 0.0
        for step in range(self.walkback):
            out = self(self.corrupt(current, rng), rng)
            log_likelihood = log_likelihood + self.observed.log_prob(out, x)
            if step + 1 < self.walkback:
                current = self.observed.sample(out.detach(), rng)
        return -log_likelihood.mean(-1) / self.walkback

    def chain(self, x0: Tensor, steps: int, rng: Streams, mean: bool = False) -> Tensor:
        """n chains at once from x0 `(n, dim)` or `(*members, n, dim)`: `(steps, *members, n, dim)`.

        x0 itself is not in it. `mean=True` gives E[x|x̃] of each step, as pictures do, while the chain
        goes on from what was drawn. Needs memory for all steps.
        """
        check_whole(steps=steps)
        return torch.stack([m if mean else x for x, m in self._walk(x0, steps, rng)])

    def sample(self, n: int, rng: Streams, steps: int = 100, mean: bool = False) -> Tensor:
        """Where n chains, started from pure noise, are after `steps` steps: `(*members, n, dim)`.

        Samples of the model only if the chains have mixed by then: look at `autocorrelation`.
        """
        check_whole(n=n, steps=steps)
        check_members("model", self, rng.members)
        for last in self._walk(self.observed.start(n, self.dim, rng), steps, rng):  # noqa: B007
            pass
        return last[1] if mean else last[0]

    @torch.no_grad()
    def _walk(self, x: Tensor, steps: int, rng: Streams) -> Iterator[tuple[Tensor, Tensor]]:
        check_members("model", self, rng.members)
        x = prepared(self, x)
        self.observed.check(x)
        for _ in range(steps):
            out = self(self.corrupt(x, rng), rng)
            x = self.observed.sample(out, rng)
            yield x, self.observed.mean(out)


def gsn(
    dim: int,
    hidden: Sequence[int] = (64,),
    corruption: float = 0.4,
    walkback: int = 1,
    noise: float = 0.0,
    std: float | None = None,
    seed: Seed = 0,
    activation: str = "tanh",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> GSN:
    """A generative stochastic network whose reconstruction is `[dim, *hidden, dim]`.

    `std=None`: bits, and `corruption` is the probability that salt and pepper replaces one; a number:
    Gaussian outputs with that standard deviation, and `corruption` is that of the noise added. `walkback`:
    steps of the chain in the loss. `noise`: standard deviation of what is added before each hidden
    activation, a second corruption, of the code, which the weights before it learn to shape (1306.1091).
    `seed`: an int, or one a member. Raises ValueError for a corruption that leaves x as it is, or is no
    probability.

    The pixels of P(x|x̃) are independent, so the chain's stationary distribution is the data's only in the
    limit of little corruption, in which it hardly moves.
    """
    check_whole(dim=dim, walkback=walkback)
    if not 0 < corruption <= (1 if std is None else float("inf")):
        raise ValueError(f"corruption={corruption}: positive, and at most 1 for salt and pepper.")
    if noise < 0 or (noise and not hidden):
        raise ValueError(f"noise={noise}: a number ≥ 0, and it needs a hidden layer to go to.")
    network = mlp([dim, *hidden, dim], seed, activation, dtype=dtype, device=device)
    return GSN(network, observation(std), dim, corruption, walkback, noise)


def autocorrelation(series: Tensor, max_lag: int) -> Tensor:
    """ρ_0 = 1, ρ_1, …, ρ_max_lag of a statistic along a chain: `(n, ...)` → `(max_lag + 1, ...)`.

    Mean and variance are the series' own, and each lag is divided by n, which keeps the sequence
    positive definite. Raises ValueError for 1 ≤ max_lag < n violated, or a series that never moves.
    """
    n = len(series)
    if not 1 <= max_lag < n:
        raise ValueError(f"max_lag={max_lag}: give 1 … {n - 1} for a series of {n} steps.")
    centred = (series - series.mean(0)).double()
    if (centred.abs().amax(0) <= 1e-12 * series.abs().amax(0)).any():
        raise ValueError("a series is constant: it has no autocorrelation; does the chain move?")
    spectrum = torch.fft.rfft(centred, 2 * n, dim=0)  # padded, so that the ends do not meet
    covariance = torch.fft.irfft(spectrum.abs().square(), 2 * n, dim=0)[: max_lag + 1]
    return covariance / covariance[0]


def effective_sample_size(series: Tensor) -> Tensor:
    """n / (1 + 2 Σ ρ_t): how many independent draws tell as much about the mean, `(n, ...)` → `(...)`.

    The sum stops where the pair ρ_2m + ρ_2m+1 first is not positive: the initial positive sequence of
    Geyer (1992, section 3.3), made for reversible chains. Raises ValueError as `autocorrelation` does.
    """
    n = len(series)
    if n < 4:
        raise ValueError(f"a series of {n} steps is too short: give at least 4.")
    rho = autocorrelation(series, n - 1 - n % 2)  # an even number of lags
    pairs = rho.unflatten(0, (-1, 2)).sum(1)
    kept = (pairs > 0).cumprod(0)
    return n / (2 * (pairs * kept).sum(0) - 1)
