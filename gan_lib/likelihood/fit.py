"""Maximum likelihood by stochastic gradients: one player, one loss to go down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gan_lib.callbacks import Progress
from gan_lib.rng import Seed, Streams
from gan_lib.training import CHECK_EVERY, TrainingDiverged, adam, descend
from gan_lib.training_checks import check_members, check_whole, first_parameter


@dataclass
class Fit:
    """What a callback sees: the model, how far it is, and the losses `(total, *members)`, NaN ahead."""

    model: nn.Module
    total: int
    losses: Tensor
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    step: int = 0


class FitDiverged(TrainingDiverged):
    """A loss became NaN or infinite. `history` holds the losses `(steps, *members)` up to there."""


def fit(
    model: nn.Module,
    data,
    steps: int,
    *,
    batch: int = 64,
    optimizer: Callable | None = None,
    callbacks: Sequence[Callable] = (),
    seed: Seed = 0,
) -> Tensor:
    """Lower `model.loss(x, rng) -> (*members,)` for `steps` batches of `data.sample(batch, rng)`.

    `optimizer`: what `adam(...)` or `sgd(...)` returns, by default Adam with its usual β = (0.9, 0.999).
    `seed`: an int, or one seed a member, as the model was made with. `callbacks` have `every` and are
    called with a `Fit` at step 0, each multiple of `every` and the end. A progress bar appears after two
    seconds unless GAN_PROGRESS=0.

    Returns the losses `(steps, *members)` in nats, each before its step. Raises ValueError for input that
    does not fit together and `FitDiverged` when a loss is no longer finite.
    """
    check_whole(steps=steps, batch=batch)
    like = first_parameter(model)
    draws, noise = (Streams(seed, f"fit {name}", like.device) for name in ("data", "noise"))
    check_members("model", model, draws.members)
    if data.dim != model.dim:
        raise ValueError(
            f"the model is made for dim={model.dim}, the data has {data.dim}: make them equal."
        )
    data = data.to(like.device) if hasattr(data, "to") else data
    run = Fit(model, steps, like.new_full((steps, *draws.members), torch.nan).detach())
    descent = run.optimizers["model"] = (optimizer or adam(betas=(0.9, 0.999)))(model.parameters())
    if not any(isinstance(c, Progress) for c in callbacks):
        callbacks = [*callbacks, Progress("fitting")]
    _call(callbacks, run)
    while run.step < steps:
        loss = model.loss(data.sample(batch, draws, dtype=like.dtype), noise)
        descend(descent, loss)
        run.losses[run.step] = loss.detach()
        run.step += 1
        if run.step % CHECK_EVERY == 0 or run.step == steps:
            _check_finite(run)
        _call(callbacks, run)
    return run.losses


def _call(callbacks: Sequence[Callable], run: Fit) -> None:
    for callback in callbacks:
        if run.step % callback.every == 0 or run.step == run.total:
            callback(run)


def _check_finite(run: Fit) -> None:
    start = max(0, run.step - CHECK_EVERY)
    bad = ~run.losses[start : run.step].isfinite()
    if bad.any():
        step = start + int(bad.reshape(len(bad), -1).any(1).nonzero()[0])
        raise FitDiverged(
            f"the loss is {run.losses[step].tolist()} at step {step}; lower the learning rate, or look "
            "at the losses up to there in this error's .history.",
            run.losses[: run.step],
        )
