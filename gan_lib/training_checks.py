"""What a learner gets wrong, said in one sentence before the first step of training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_lib.rng import Seed, Streams

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def first_parameter(module: nn.Module) -> Tensor:
    """A parameter, to know dtype and device by. Raises ValueError for a module without any."""
    for parameter in module.parameters():
        return parameter
    raise ValueError(f"{type(module).__name__} has no parameters to train.")


def check_inputs(
    generator,
    critic,
    data,
    noise,
    objective,
    steps,
    batch,
    k,
    regularizers,
    vector_field,
    seed: Seed,
) -> None:
    """Raise ValueError, naming the fix, if the pieces given to `train` do not fit together."""
    check_whole(steps=steps, batch=batch, k=k)
    if vector_field is not None and k != 1:
        raise ValueError(f"k={k}: with a vector field both players move at once, so k must be 1.")
    if first_parameter(generator).device != first_parameter(critic).device:
        raise ValueError(
            f"the generator is on {first_parameter(generator).device}, the critic on "
            f"{first_parameter(critic).device}: make both with the same device=."
        )
    if first_parameter(generator).dtype != first_parameter(critic).dtype:
        raise ValueError("generator and critic differ in dtype: make both with the same dtype=.")
    per_sample = [p for p in regularizers if getattr(p, "per_sample", True)]
    if per_sample and any(map(_mixes_samples, critic.modules())):
        raise ValueError(
            "the critic has batch normalisation, or another layer that looks at the whole batch, under "
            "which a gradient penalty per sample has no meaning (each output depends on all samples); "
            "use LayerNorm or none."
        )
    rng = Streams(seed, "check", first_parameter(generator).device)
    check_members("generator", generator, rng.members)
    check_members("critic", critic, rng.members)
    _check_shapes(generator, critic, data, noise, objective, batch, rng)


def _mixes_samples(layer: nn.Module) -> bool:
    return isinstance(layer, BATCH_NORMS) or getattr(layer, "mixes_samples", False)


def check_whole(**numbers: int) -> None:
    """Raise ValueError, with its name, for a number that is not a whole one of at least 1."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name}={number!r}: give a whole number of at least 1.")


def check_members(name: str, network: nn.Module, members: tuple[int, ...]) -> None:
    """Raise ValueError unless there is a random stream for each member of the network."""
    has = getattr(network, "members", ())  # plain layers would be one network shared by all members
    if has != members:
        raise ValueError(
            f"the {name} has members {has}, the random streams {members}: "
            "use the same seeds for both."
        )


@torch.no_grad()
def _check_shapes(generator, critic, data, noise, objective, batch: int, rng: Streams) -> None:
    # One batch through both players in evaluation mode, from a random stream of its own.
    dtype, modes = first_parameter(generator).dtype, (generator.training, critic.training)
    data = data.to(rng.device) if hasattr(data, "to") else data
    real, z = data.sample(batch, rng, dtype=dtype), noise.sample(batch, rng, dtype=dtype)
    generator.eval(), critic.eval()
    try:
        fake = _call("generator", generator, z, "noise")
        if fake.shape != real.shape:
            raise ValueError(
                f"the generator makes samples of shape {tuple(fake.shape)}, the data has "
                f"{tuple(real.shape)}: end the generator's sizes in {real.shape[-1]}."
            )
        output = _call("critic", critic, real, "data")
        if objective.output != "score":
            _check_output(objective, output, rng.members)
    finally:
        generator.train(modes[0]), critic.train(modes[1])
    if objective.output == "score":
        expected = (*rng.members, batch // getattr(critic, "pack", 1))
        shape = tuple(getattr(output, "shape", ()))
        if shape != expected:
            raise ValueError(
                f"the critic returned shape {shape}; it must return one number per sample, "
                f"{expected}: use mlp(..., scalar=True) or .squeeze(-1)."
            )
    _check_range(getattr(generator, "output_range", None), real)


def _call(name: str, network: nn.Module, x: Tensor, source: str) -> Tensor:
    try:
        return network(x)
    except RuntimeError as error:
        raise ValueError(
            f"the {name} cannot take {source} of shape {tuple(x.shape)} ({error}): "
            f"make its input size {x.shape[-1]}."
        ) from error


def _check_output(objective, output, members: tuple[int, ...]) -> None:
    wrong = f"the objective {objective.name!r} needs a critic that returns {objective.output}"
    try:
        loss = objective.critic_loss(output, output)
    except (AttributeError, TypeError, RuntimeError, IndexError) as error:
        raise ValueError(f"{wrong} ({error}).") from error
    if loss.shape != members:
        raise ValueError(f"{wrong}: its loss has shape {tuple(loss.shape)}, not {members}.")


def _check_range(reachable: tuple[float, float] | None, real: Tensor) -> None:
    if reachable is None:
        return
    low, high = float(real.min()), float(real.max())
    if low < reachable[0] or high > reachable[1]:
        raise ValueError(
            f"the data lies in [{low:.3g}, {high:.3g}], but the generator's last layer only reaches "
            f"[{reachable[0]:g}, {reachable[1]:g}]: rescale the data or change output=."
        )
