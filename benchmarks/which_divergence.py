"""Train f-GANs on digits, several divergences and both forms of the generator's cost; store their scores.

    python -m benchmarks.which_divergence --steps 3000 --seed 0

All games run as one ensemble: about ten minutes on one busy core.
"""

import base64
import time
import zlib

import torch

from benchmarks.stored import store
from gan_lib import data, images
from gan_lib.callbacks import Progress
from gan_lib.features import feature_network
from gan_lib.image_metrics import embed, frechet, precision_recall
from gan_lib.images import Images
from gan_lib.networks import mlp
from gan_lib.objectives import f_gan, side_by_side
from gan_lib.rng import Streams, member_seeds
from gan_lib.training import adam, sample, train

ROWS = ("Pearson", "KL", "squared Hellinger", "Jensen-Shannon", "reverse KL")
GAMES = [(row, form) for form in ("own", "non-saturating") for row in ROWS]
MEMBERS = 5  # seeds a game, the same for every game
NOISE = data.normal(32)


def pool(x):
    """Images `(*members, n, 784)` at half the resolution, `(*members, n, 196)`: 2 × 2 means."""
    return x.unflatten(-1, (14, 2, 14, 2)).mean((-3, -1)).flatten(-2)


def enlarge(x):
    """Images of 14 × 14 pixels as 28 × 28, each pixel four times: what the classifier wants."""
    return x.unflatten(-1, (14, 1, 14, 1)).expand(*x.shape[:-1], 14, 2, 14, 2).flatten(-4)


def play(steps: int, seed: int, callbacks=()):
    """Every game, MEMBERS times: generator (games · MEMBERS members) and history."""
    digits = images.digits("train")
    seeds = member_seeds(seed, MEMBERS) * len(GAMES)
    options = {"dtype": torch.float32, "device": "cpu"}
    generator = mlp([32, 128, 196], seeds, output="sigmoid", **options)
    critic = mlp([196, 128, 1], seeds, activation="leaky_relu", scalar=True, **options)
    objective = side_by_side([f_gan(row, form == "non-saturating") for row, form in GAMES], MEMBERS)
    history = train(
        generator,
        critic,
        Images(pool(digits.x), digits.y),
        NOISE,
        objective,
        steps,
        optimizer=adam(1e-3),
        seed=seeds,
        callbacks=callbacks,
    )
    return generator, history


def scores(x, reference):
    """What is stored of samples `(members, n, 196)`: lists of one number a member."""
    network, big = feature_network("cpu"), enlarge(x)
    features = embed(big)
    digit = torch.stack([network.logits(one).argmax(-1) for one in big])
    share = torch.nn.functional.one_hot(digit, 10).double().mean(-2)
    quality = precision_recall(reference, features)
    return {
        "frechet": frechet(reference.expand(len(x), -1, -1), features),
        "precision": quality.precision,
        "recall": quality.recall,
        "classes": (share >= 0.01).sum(-1),
    }


def full_run(steps: int, seed: int, m: int = 500) -> dict:
    """Train, then judge m samples a member against m training images; m test images as a yardstick."""
    began = time.process_time()
    generator, _ = play(steps, seed, [Progress("digits")])
    seeds = member_seeds(seed, MEMBERS) * len(GAMES)
    x = sample(generator, NOISE.sample(m, Streams(seeds, "judge"), dtype=torch.float32))
    reference = embed(enlarge(pool(images.digits("train").x[:m])))
    measured = scores(x, reference)
    test = scores(pool(images.digits("test").x[:m]).unsqueeze(0), reference)
    shown = (255 * x[::MEMBERS, :10]).round().to(torch.uint8).numpy().tobytes()
    return {
        "steps": steps,
        "games": GAMES,
        "scores": {k: by_game(v) for k, v in measured.items()},
        "test_images": {k: round(float(v), 4) for k, v in test.items()},
        "cpu_minutes": round((time.process_time() - began) / 60, 1),
        "samples": base64.b85encode(zlib.compress(shown, 9)).decode(),
    }


def by_game(values) -> list:
    """`(games · MEMBERS,)` as one list a game."""
    return [[round(float(v), 4) for v in game] for game in values.split(MEMBERS)]


def first_steps(seed: int, steps: int = 30) -> dict:
    """The losses of the first steps, of the first member of each game: quick to compare anywhere."""
    history = play(steps, seed)[1]
    names = ("critic_loss", "generator_loss")
    return {name: getattr(history, name)[:, ::MEMBERS].tolist() for name in names}


def make(steps: int, seed: int) -> dict:
    """All that is stored."""
    return {**full_run(steps, seed), "first_steps": first_steps(seed)}


if __name__ == "__main__":
    store("which_divergence", __doc__, 3000, make)
