"""A small classifier of digits: the feature network behind the Fréchet distance of images.

The usual one, Inception, was trained on photographs in colour. This one saw 4,000 digits, and what it
finds is therefore comparable only within this book.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gan_lib.rng import resolve_device

WEIGHTS = Path(__file__).parent / "weights" / "digit_features.npz"
SIDE, CLASSES, SLOPE = 28, 10, 0.2


class DigitFeatures(nn.Module):
    """Three convolutions, each followed by leaky ReLU and 2 × 2 max pooling; 64 features and 10 logits.

    Images `(*members, n, 784)` in [0, 1] give features `(*members, n, 64)`: a layer before its leaky ReLU
    (a plain one let a third of the features die). No layer mixes samples.
    """

    num_features = 64  # torchmetrics asks for it by this name

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((1, 8), (8, 16), (16, 32)):  # 28 → 14 → 7 → 3 pixels a side
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.MaxPool2d(2),
            ]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 3 * 3, self.num_features))
        self.head = nn.Sequential(nn.LeakyReLU(SLOPE), nn.Linear(self.num_features, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Features `(*members, n, 64)`. Raises ValueError if an image does not have 784 pixels."""
        if x.shape[-1] != SIDE * SIDE:
            raise ValueError(f"images must have {SIDE * SIDE} pixels in a row, not {x.shape[-1]}.")
        pixels = x.to(self.body[0].weight).reshape(math.prod(x.shape[:-1]), 1, SIDE, SIDE)
        return self.body(pixels).reshape(*x.shape[:-1], self.num_features)

    def logits(self, x: Tensor) -> Tensor:
        """One logit a digit, `(*members, n, 10)`."""
        return self.head(self(x))

    def probabilities(self, x: Tensor) -> Tensor:
        """p(digit | image), `(*members, n, 10)`: each row sums to one."""
        return self.logits(x).softmax(-1)


def feature_network(
    device: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> DigitFeatures:
    """The trained network, frozen and in evaluation mode; gradients still pass to the images.

    Its weights ship with the library, because a network trained again on another processor measures
    differently; `weights/digit_features.json` says how they came about. Raises FileNotFoundError if
    they are missing.
    """
    if not WEIGHTS.is_file():
        raise FileNotFoundError(
            f"{WEIGHTS} is missing: install gan_lib again, or run python -m benchmarks.train_features."
        )
    with torch.device("meta"):  # without initial weights, which would cost random numbers
        network = DigitFeatures()
    with np.load(WEIGHTS) as stored:
        state = {k: torch.from_numpy(v.astype("f4")) for k, v in stored.items()}
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False).to(resolve_device(str(device), dtype), dtype)
