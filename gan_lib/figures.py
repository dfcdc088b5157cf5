"""One look for the whole book. Colours keep their meaning: data blue, generator orange, critic green."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

# Okabe and Ito's palette: told apart by colour-blind readers, and dark enough on the white card on which
# figures stand in the dark theme, too.
DATA, FAKE, CRITIC, OTHER, GREY = "#0072B2", "#D55E00", "#00795B", "#7B3294", "#6B6B6B"

STYLE = {
    "figure.figsize": (6.4, 3.4),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.prop_cycle": plt.cycler(color=[DATA, FAKE, CRITIC, OTHER, "#B8860B", GREY]),
    "font.size": 10,
    "legend.frameon": False,
    "legend.markerscale": 2.5,  # the dots of a scatter plot are small
    "lines.linewidth": 1.8,
    "image.cmap": "gray_r",
}
plt.rcParams.update(STYLE)


def sample_grid(images: Tensor, columns: int = 10, ax=None):
    """Draw grey images `(n, 784)` or `(n, side, side)` with values in [0, 1] as one grid, ink dark.

    Returns the axes. Raises ValueError if the images are not square.
    """
    images = images.detach().cpu()
    side = int(round(images[0].numel() ** 0.5))
    if side * side != images[0].numel():
        raise ValueError(f"images of {images[0].numel()} numbers are not square.")
    rows = -(-len(images) // columns)
    canvas = torch.zeros(rows * columns, side, side)
    canvas[: len(images)] = images.reshape(-1, side, side)
    canvas = canvas.reshape(rows, columns, side, side).transpose(1, 2).reshape(rows * side, -1)
    if ax is None:
        ax = plt.subplots(figsize=(0.62 * columns, 0.62 * rows))[1]
    ax.imshow(canvas.numpy(), vmin=0, vmax=1, interpolation="nearest")
    ax.axis("off")
    return ax


def density(
    ax, p, low: float, high: float, label: str, color: str = DATA, fill: bool = True
) -> None:
    """Draw the one-dimensional density of `p` on [low, high]."""
    x = torch.linspace(low, high, 400, dtype=torch.float64)
    y = p.log_prob(x.unsqueeze(-1)).exp()
    ax.plot(x, y, color=color, label=label)
    if fill:
        ax.fill_between(x, y, color=color, alpha=0.15, linewidth=0)


def critic_curve(ax, critic, low: float, high: float, label: str = "D(x)", **style) -> None:
    """Draw D = σ(critic) of a critic on one-dimensional data, values from 0 to 1."""
    x = torch.linspace(low, high, 400, dtype=torch.float64)
    with torch.no_grad():
        probability = critic(x.unsqueeze(-1)).sigmoid()
    ax.plot(x, probability, **({"color": CRITIC} | style), label=label)


def scatter(ax, points: Tensor, label: str, color: str = FAKE, size: float = 6) -> None:
    """Draw points `(n, 2)` of the plane, with equal scales on both axes."""
    points = points.detach().cpu()
    ax.scatter(
        points[:, 0], points[:, 1], s=size, color=color, alpha=0.6, linewidths=0, label=label
    )
    ax.set_aspect("equal")


def seed_band(ax, x, values, label: str, color: str = DATA) -> None:
    """Draw the median over seeds as a line and their range as a band. `values` is `(len(x), seeds)`."""
    values = np.asarray(torch.as_tensor(values).cpu())
    ax.plot(x, np.median(values, -1), color=color, label=label)
    ax.fill_between(x, values.min(-1), values.max(-1), color=color, alpha=0.2, linewidth=0)


def loss_curves(ax, history, smooth: int = 25) -> None:
    """Draw both players' losses, averaged over `smooth` steps; a band over members if there are any."""
    smooth = max(1, min(smooth, history.step))
    for losses, label, color in (
        (history.critic_loss, "discriminator", CRITIC),
        (history.generator_loss, "generator", FAKE),
    ):
        blocks = (
            losses[: history.step - history.step % smooth]
            .cpu()
            .reshape(-1, smooth, losses[0].numel())
        )
        steps = smooth * (np.arange(len(blocks)) + 0.5)
        seed_band(ax, steps, blocks.mean(1), label, color)
    ax.set(xlabel="generator step", ylabel="loss [nats]")
    ax.legend()
