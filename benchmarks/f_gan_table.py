"""Train the f-GAN paper's Gaussian fits for longer than a page can wait, and store what is found.

    python -m benchmarks.f_gan_table --steps 8000 --seed 0

Six games, five seeds each, in one ensemble: about ten minutes on one core.
"""

import time
from dataclasses import replace

import torch
from torch import nn

from benchmarks.stored import store
from gan_lib import data
from gan_lib.callbacks import Anneal, Metric, Progress
from gan_lib.f_divergences import ROWS
from gan_lib.networks import mlp
from gan_lib.objectives import f_gan, side_by_side
from gan_lib.rng import Streams, member_seeds
from gan_lib.training import adam, sample, train

MEMBERS = 5  # seeds a game, the same for every game
RATE, BATCH, LOOK = 2e-3, 512, 10
MIXTURE = data.mixture([0.33, 0.67], [-1.0, 2.0], [0.255, 1.415])
GAMES = {name: ROWS[name] for name in ("KL", "reverse KL", "Jensen-Shannon", "Jeffrey", "Pearson")}
GAMES["Jeffrey, other layer"] = replace(
    ROWS["Jeffrey"],
    activation=lambda v: v - torch.expm1(-v),  # the best score is then log p/q
    conjugate_of_activation=lambda v: torch.expm1(v) + v,
)


class Normal(nn.Module):
    """x = μ + σ z, one pair (μ, σ) a member."""

    def __init__(self, seeds):
        super().__init__()
        rng = Streams(seeds, "start")
        self.members = rng.members
        self.mean = nn.Parameter(0.3 * rng.normal(1, 1, dtype=torch.float32))
        self.log_std = nn.Parameter(0.3 * rng.normal(1, 1, dtype=torch.float32))

    def forward(self, z):
        return self.mean + self.log_std.exp() * z

    def fit(self):
        """(μ, σ) of each member, `(members, 2)`."""
        return torch.cat([self.mean, self.log_std.exp()], -1).squeeze(-2).double()


def play(steps: int, seed: int, total: int | None = None, callbacks=()):
    """The first `steps` of `total` steps of every game: critic and history, with "path" in its metrics."""
    total = total or steps
    seeds = member_seeds(seed, MEMBERS) * len(GAMES)
    critic = mlp([1, 64, 64, 1], seeds, "tanh", scalar=True, dtype=torch.float32, device="cpu")
    fall = Anneal(lr=lambda t: RATE * min(1.0, max(1e-3, (1 - t / total) / 0.4)))
    path = Metric("path", lambda g, _: g.fit(), every=LOOK)
    history = train(
        Normal(seeds),
        critic,
        MIXTURE,
        data.normal(1),
        side_by_side([f_gan(row) for row in GAMES.values()], MEMBERS),
        steps,
        batch=BATCH,
        optimizer=adam(RATE),
        callbacks=[fall, path, *callbacks],
        seed=seeds,
    )
    return critic, history


def bounds(critic, fits):
    """F(T) of each member on a grid, at its fit (μ, σ): the objective without sampling noise."""
    x = torch.linspace(-12, 15, 5401, dtype=torch.float64).unsqueeze(-1)
    scores = sample(critic, x.expand(len(fits), -1, -1).float()).double().split(MEMBERS)
    real = MIXTURE.log_prob(x).exp()
    found = []
    for row, v, pairs in zip(GAMES.values(), scores, fits.split(MEMBERS), strict=True):
        fake = torch.stack([data.gaussian(*pair).log_prob(x).exp() for pair in pairs.tolist()])
        inside = real * row.activation(v) - fake * row.conjugate_of_activation(v)
        found.append(inside.sum(-1) * 27 / 5400)
    return torch.cat(found)


def full_run(steps: int, seed: int) -> dict:
    """Train; (μ, σ) are averaged over the last fifth of the steps, where they only jitter."""
    began = time.process_time()
    critic, history = play(steps, seed, callbacks=[Progress("f-GAN table")])
    path = torch.stack([fit for _, fit in history.metrics["path"]])
    fits = path[-max(1, len(path) // 5) :].mean(0)
    found = {"D_f": bounds(critic, fits), "μ": fits[:, 0], "σ": fits[:, 1]}
    return {
        "steps": steps,
        "games": list(GAMES),
        "learned": {k: by_game(v) for k, v in found.items()},
        "cpu_minutes": round((time.process_time() - began) / 60, 1),
    }


def by_game(values) -> list:
    """`(games · MEMBERS,)` as one list a game."""
    return [[round(float(v), 5) for v in game] for game in values.split(MEMBERS)]


def first_steps(seed: int, steps: int, total: int) -> dict:
    """The first member of each game: losses and (μ, σ) of the first steps, quick to compare anywhere."""
    history = play(steps, seed, total)[1]
    path = torch.stack([fit for _, fit in history.metrics["path"]])[:, ::MEMBERS]
    losses = {k: getattr(history, k)[:, ::MEMBERS] for k in ("critic_loss", "generator_loss")}
    return {k: v.tolist() for k, v in {**losses, "μ": path[..., 0], "σ": path[..., 1]}.items()}


def make(steps: int, seed: int) -> dict:
    """All that is stored."""
    first = first_steps(seed, max(LOOK, steps // 100), steps)
    return {**full_run(steps, seed), "first_steps": first}


if __name__ == "__main__":
    store("f_gan_table", __doc__, 8000, make)
