"""Train the networks of Goodfellow et al. (2014) on MNIST; store what the chapter on digits shows.

    python -m benchmarks.digits_full --epochs 15 --seed 0

Half a minute an epoch on one free core. An interrupted run goes on from its checkpoint.
"""

import argparse
import base64
import json
import math
import time
import zlib
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.stored import provenance
from gan_lib import data, images
from gan_lib.callbacks import Anneal, Checkpoint, Metric, Progress
from gan_lib.metrics import parzen
from gan_lib.networks import maxout_mlp, mlp
from gan_lib.rng import Streams
from gan_lib.training import sample, sgd, train

ROOT = Path(__file__).resolve().parents[1]
NOISE = data.uniform(100, -math.sqrt(3), math.sqrt(3))
EPOCH = 500  # batches of 100 in 50,000 images


def goodfellow_2014(real, steps, seed, callbacks=(), resume=None):
    """The MNIST networks and learning rule of the paper's published code (goodfeli/adversarial)."""
    options = {"dtype": torch.float32, "device": "cpu"}
    generator = mlp([100, 1200, 1200, 784], seed, output="sigmoid", scale=0.05, **options)
    critic = maxout_mlp([784, 240, 240, 1], seed=seed, **options)  # 5 pieces, dropout, ±0.005
    for name, p in [*generator.named_parameters(), *critic.named_parameters()]:
        if name.endswith("bias"):
            torch.nn.init.zeros_(p)
    marginals = real.x.mean(0).clamp(1e-7, 1 - 1e-7)  # G starts from the mean image
    generator[-2].bias.data.copy_(marginals.logit())
    anneal = Anneal(
        lr=lambda step: max(0.1 / 1.000004**step, 1e-6),
        momentum=lambda step: 0.5 + 0.2 * min(1, step / (250 * 500)),
    )
    options = {"batch": 100, "optimizer": sgd(0.1, 0.5), "seed": seed, "resume": resume}
    options["callbacks"] = [anneal, *callbacks]
    history = train(generator, critic, real, NOISE, "non-saturating", steps, **options)
    return generator, history


def full_run(epochs: int, seed: int, checkpoint: Path) -> dict:
    """Train on 50,000 images; score 10,000 samples (σ from 1,000 validation images) every epoch."""
    train_set, valid, test = (images.mnist(split) for split in ("train", "valid", "test"))
    z = NOISE.sample(10_000, Streams(seed, "parzen noise"), dtype=torch.float32)

    def score(generator, critic, n=1000):
        s = parzen(sample(generator, z), test.x[:n], valid.x[:1000])
        return [round(s.mean, 3), round(s.stderr, 3), round(s.sigma, 4), time.process_time()]

    looks = [Metric("parzen", score, EPOCH), Progress("MNIST"), Checkpoint(checkpoint, EPOCH)]
    generator, history = goodfellow_2014(train_set, epochs * EPOCH, seed, looks, checkpoint)
    curve = history.metrics["parzen"]
    clock = [row[3] for _, row in curve]
    pixels = (255 * sample(generator, z[:40])).round().to(torch.uint8).numpy().tobytes()
    return {
        "epochs": epochs,
        "parzen_10000_test_images": score(generator, None, None)[:3],
        "parzen_per_epoch": [[step // EPOCH, *row[:3]] for step, row in curve],
        "cpu_minutes": round(sum(max(0, b - a) for a, b in pairwise(clock)) / 60, 1),
        "samples": base64.b85encode(zlib.compress(pixels, 9)).decode(),
    }


def first_steps(seed: int, steps: int = 50) -> dict:
    """Losses of the first steps on the digits that are always here: quick to compare anywhere."""
    history = goodfellow_2014(images.digits("train"), steps, seed)[1]
    return {name: getattr(history, name).tolist() for name in ("critic_loss", "generator_loss")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "digits_full.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = ROOT / "data" / f"digits_full_{args.seed}_{args.epochs}.pt"
    run = {
        "seed": args.seed,
        **provenance("digits_full", epochs=args.epochs, seed=args.seed),
        **full_run(args.epochs, args.seed, checkpoint),
        "first_steps": first_steps(args.seed),
    }
    stored = json.loads(args.out.read_text()) if args.out.exists() else {"runs": []}
    others = [r for r in stored["runs"] if r["seed"] != args.seed]
    stored["runs"] = sorted([*others, run], key=lambda r: r["seed"])
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(json.dumps(stored, indent=1) + "\n")
    checkpoint.unlink()
    print(args.out, run["parzen_10000_test_images"])


if __name__ == "__main__":
    main()
