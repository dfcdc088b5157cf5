"""Train the objectives and constraints of the Wasserstein part on one ring; store modes, reverse KL and cost.

    python -m benchmarks.ring_comparison --steps 2000 --seed 0

The same data, generator, learning rule and number of generator steps for all: about ten minutes on one core.
"""

import base64
import statistics
import time
import zlib
from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks.stored import store
from gan_lib import data
from gan_lib.callbacks import Metric
from gan_lib.critics import autoencoder_critic, energy_based, loss_sensitive, with_samples
from gan_lib.metrics import mode_coverage
from gan_lib.networks import Dropout, Network, mlp
from gan_lib.objectives import Objective
from gan_lib.regularizers import clip_weights, consistency, dragan, gradient_penalty, wgan_gp
from gan_lib.rng import Seed, Streams, member_seeds
from gan_lib.spectral import spectral_normalize
from gan_lib.training import adam, sample, train

MEMBERS = 8  # seeds a method, the same for every method
RING, NOISE = data.ring(), data.normal(2)  # 8 modes, radius 1, std .05
LOOKS = 10  # how often a run is judged on its way
SCORES = ("modes", "high_quality", "reverse_kl")


class Method(NamedTuple):
    """A critic as a function of the seeds, what it is trained on, and what `train` needs beside it."""

    critic: Callable
    objective: Objective | str
    options: dict = {}


def plain(seeds: Seed) -> Network:
    return mlp([2, 32, 32, 1], seeds, "leaky_relu", scalar=True, device="cpu")


def with_dropout(seeds: Seed, keep: float = 0.8) -> Network:
    """The plain critic with dropout after each hidden layer: CT-GAN compares two draws of it."""
    first, bend, second, bend2, last = plain(seeds)
    drop = [Dropout(keep, seeds, f"dropout {i}", torch.device("cpu")) for i in range(2)]
    return Network([first, bend, drop[0], second, bend2, drop[1], last], (len(seeds),), True)


FIVE = {"k": 5}  # five critic steps for each generator step, where the paper asks for them
METHODS = {
    "GAN": Method(plain, "non-saturating"),
    "LSGAN": Method(plain, "least-squares"),
    "WGAN": Method(plain, "wasserstein", FIVE | {"after_critic": [clip_weights(0.01)]}),
    "WGAN-GP": Method(plain, "wasserstein", FIVE | {"regularizers": [wgan_gp(10.0)]}),
    "WGAN-GP one-sided": Method(
        plain,
        "wasserstein",
        FIVE | {"regularizers": [gradient_penalty(10.0, "between", "one-squared")]},
    ),
    "DRAGAN": Method(plain, "non-saturating", {"regularizers": [dragan(10.0)]}),
    "CT-GAN": Method(
        with_dropout, "wasserstein", FIVE | {"regularizers": [wgan_gp(10.0), consistency(2.0)]}
    ),
    "SN-GAN": Method(lambda seeds: spectral_normalize(plain(seeds)), "hinge"),
    "EBGAN": Method(
        lambda seeds: autoencoder_critic([2, 32, 32], seeds, device="cpu"), energy_based(0.1)
    ),
    "loss-sensitive": Method(  # the paper's theory wants a Lipschitz loss: a small penalty bounds it
        lambda seeds: with_samples(plain(seeds)),
        loss_sensitive(10.0, p=2.0),
        {"regularizers": [gradient_penalty(0.1, "between", "zero")]},
    ),
}


def judge(x: torch.Tensor) -> dict[str, list]:
    """Modes covered, share of good samples and reverse KL of samples `(members, n, 2)`."""
    seen = mode_coverage(x, RING)
    return {name: [round(float(v), 4) for v in getattr(seen, name)] for name in SCORES}


def play(name: str, steps: int, seeds: list[int], callbacks=()):
    """The method `name` for `steps` generator steps: generator and history."""
    method = METHODS[name]
    generator = mlp([2, 32, 32, 2], seeds, device="cpu")
    critic = method.critic(seeds)
    rule = {"optimizer": adam(1e-3), "seed": seeds, "callbacks": callbacks} | method.options
    history = train(generator, critic, RING, NOISE, method.objective, steps, **rule)
    return generator, history


def watched(name: str, steps: int, seeds: list[int], every: int, n: int = 1000):
    """As `play`, with the scores of n samples every so many steps, and the samples at the end."""
    z = NOISE.sample(n, Streams(seeds, "judge"))
    look = Metric("scores", lambda generator, critic: judge(sample(generator, z)), every)
    generator, history = play(name, steps, seeds, [look])
    return history, sample(generator, z)


def step_times(steps: int = 20, repeats: int = 5, seed: int = 0) -> dict[str, float]:
    """CPU milliseconds a generator step of all MEMBERS seeds; methods take turns, the median counts."""
    seeds, times = member_seeds(seed, MEMBERS), {name: [] for name in METHODS}
    for _ in range(repeats):
        for name, taken in times.items():
            began = time.process_time()
            play(name, steps, seeds)
            taken.append(1000 * (time.process_time() - began) / steps)
    return {name: round(statistics.median(taken), 2) for name, taken in times.items()}


def full_run(steps: int, seed: int) -> dict:
    """Every method with MEMBERS seeds: scores on the way and at the end, 300 samples of one seed."""
    began, seeds, runs = time.process_time(), member_seeds(seed, MEMBERS), {}
    for name in METHODS:
        history, x = watched(name, steps, seeds, max(1, steps // LOOKS))
        looks = history.metrics["scores"]
        pixels = ((x[0, :300] + 1.6) / 3.2 * 255).round().clamp(0, 255).to(torch.uint8)
        runs[name] = {
            "k": METHODS[name].options.get("k", 1),
            "at": [step for step, _ in looks],
            **{score: [seen[score] for _, seen in looks] for score in SCORES},
            "samples": base64.b85encode(zlib.compress(pixels.numpy().tobytes(), 9)).decode(),
        }
        print(name, {score: runs[name][score][-1] for score in SCORES}, flush=True)
    minutes = round((time.process_time() - began) / 60, 1)
    return {"steps": steps, "runs": runs, "cpu_minutes": minutes}


def first_steps(seed: int, steps: int = 30) -> dict:
    """The losses of the first steps of each method, two members: quick to compare anywhere."""
    names = ("critic_loss", "generator_loss")
    histories = {name: play(name, steps, member_seeds(seed, 2))[1] for name in METHODS}
    return {name: {n: getattr(h, n).tolist() for n in names} for name, h in histories.items()}


def make(steps: int, seed: int) -> dict:
    """All that is stored."""
    run = {**full_run(steps, seed), "ms_per_step": step_times(seed=seed)}
    return {**run, "first_steps": first_steps(seed)}


if __name__ == "__main__":
    store("ring_comparison", __doc__, 2000, make)
