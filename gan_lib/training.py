"""Algorithm 1 of Goodfellow et al. (2014): k steps for the critic, one for the generator, repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from gan_lib.objectives import Objective, get_objective
from gan_lib.rng import Seed, Streams
from gan_lib.training_checks import check_inputs, first_parameter

CHECK_EVERY = 50  # steps between looks at the losses: each look makes a GPU wait


def train(
    generator: nn.Module,
    critic: nn.Module,
    data,
    noise,
    objective: Objective | str,
    steps: int,
    *,
    batch: int = 64,
    k: int = 1,
    optimizer: Callable | None = None,
    critic_optimizer: Callable | None = None,
    regularizers: Sequence[Callable] = (),
    transforms: Sequence[Callable] = (),
    after_critic: Sequence[Callable] = (),
    lookahead: Callable | None = None,
    vector_field: Callable | None = None,
    callbacks: Sequence[Callable] = (),
    seed: Seed = 0,
    resume: str | Path | None = None,
) -> History:
    """Train `generator` against `critic` until `steps` generator steps are done.

    `data`, `noise`: have `sample(m, rng) -> (*members, m, dim)`. `objective`: a record or its name.
    `k`: critic steps before each generator step. `optimizer`: what `adam(...)` or `sgd(...)` returns;
    `critic_optimizer` defaults to the same. `seed`: an int, or one seed a member, as the networks were
    made with. `callbacks`: see `gan_lib.callbacks`. `resume`: a checkpoint; if the file exists, training
    goes on from it, bitwise as if never stopped.

    What may be added, each in its own place (see `gan_lib.regularizers` and `gan_lib.critics`):
    `regularizers`, `f(critic, real, fake, rng) -> (*members,)`, to the critic's loss; `transforms`,
    `f(x, rng) -> x`, to all that the critic sees; `after_critic`, `f(critic)`, after each of its steps;
    `lookahead`, `f(critic, objective, real, fake) -> critic`, whose answer the generator learns from;
    `vector_field`, `f(losses, parameters) -> gradients`, each a dictionary over the two players, who then
    move at the same time.

    Returns the `History`. Raises ValueError for input that does not fit together and
    `TrainingDiverged`, with the history so far, when a loss is no longer finite.
    """
    objective = get_objective(objective)
    check_inputs(
        generator, critic, data, noise, objective, steps, batch, k, regularizers, vector_field, seed
    )
    run = Run(generator, critic, steps, seed)
    run.optimizers["generator"] = (optimizer or adam())(generator.parameters())
    run.optimizers["critic"] = (critic_optimizer or optimizer or adam())(critic.parameters())
    if resume is not None and Path(resume).exists():
        run.load(resume)
    rng, dtype = run.streams, run.history.critic_loss.dtype
    data = data.to(rng["data"].device) if hasattr(data, "to") else data

    def seen(x: Tensor) -> Tensor:
        for transform in transforms:
            x = transform(x, rng["transform"])
        return x

    def draw() -> Tensor:
        return seen(data.sample(batch, rng["data"], dtype=dtype))

    def generate() -> Tensor:
        return seen(generator(noise.sample(batch, rng["noise"], dtype=dtype)))

    def critic_losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        penalty = sum(p(critic, real, fake.detach(), rng["penalty"]) for p in regularizers)
        return objective.critic_loss(critic(real), critic(fake)), penalty

    def generator_loss_of(fake: Tensor) -> Tensor:
        real = draw() if objective.paired or lookahead else None
        judge = lookahead(critic, objective, real, fake) if lookahead else critic
        return objective.generator_loss(judge(real) if objective.paired else None, judge(fake))

    for step in run.steps(callbacks):
        if vector_field is not None:
            real, fake = draw(), generate()
            critic_loss, penalty = critic_losses(real, fake)
            generator_loss = generator_loss_of(fake)
            losses = {"generator": generator_loss, "critic": critic_loss + penalty}
            move_together(run.optimizers, losses, vector_field)
        else:
            for _ in range(k):
                real = draw()
                with torch.no_grad():  # the critic's step must not reach into the generator
                    fake = generate()
                critic_loss, penalty = critic_losses(real, fake)
                descend(run.optimizers["critic"], critic_loss + penalty)
                for hook in after_critic:
                    hook(critic)
            with frozen(critic):
                generator_loss = generator_loss_of(generate())
                descend(run.optimizers["generator"], generator_loss)
        run.history.critic_loss[step] = critic_loss.detach()
        run.history.generator_loss[step] = generator_loss.detach()
    return run.history


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient. Losses of all members are summed: no member sees another's."""
    optimizer.zero_grad()
    loss.sum().backward()
    optimizer.step()


def move_together(
    optimizers: dict[str, torch.optim.Optimizer], losses: dict[str, Tensor], vector_field: Callable
) -> None:
    """A simultaneous step: both players move along the vector field of the point where they stand."""
    parameters = {
        name: [p for group in o.param_groups for p in group["params"]]
        for name, o in optimizers.items()
    }
    gradients = vector_field(losses, parameters)
    for name, optimizer in optimizers.items():
        for p, gradient in zip(parameters[name], gradients[name], strict=True):
            p.grad = gradient.detach()
        optimizer.step()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Hold a player's parameters still: gradients pass through it, none are computed for it."""
    trainable = [p for p in module.parameters() if p.requires_grad]
    for p in trainable:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trainable:
            p.requires_grad_(True)


@torch.no_grad()
def sample(network: nn.Module, z: Tensor) -> Tensor:
    """`network(z)` in evaluation mode, without gradients; leaves the network in the mode it was in."""
    was_training = network.training
    network.eval()
    try:
        return network(z)
    finally:
        network.train(was_training)


def adam(lr: float = 1e-3, betas: tuple[float, float] = (0.5, 0.9)) -> Callable:
    """Adam (Kingma and Ba 2015) for `train`; fused is faster and gives the same numbers."""
    return lambda parameters: torch.optim.Adam(parameters, lr, betas, fused=True)


def sgd(lr: float = 0.1, momentum: float = 0.0) -> Callable:
    """Gradient descent with momentum, the rule of Goodfellow et al. (2014), for `train`."""
    return lambda parameters: torch.optim.SGD(parameters, lr, momentum, fused=True)


def rmsprop(lr: float = 1e-3) -> Callable:
    """RMSProp, the rule of Arjovsky et al. (2017), Algorithm 1: no momentum, which clipping would fight."""
    return lambda parameters: torch.optim.RMSprop(parameters, lr)


@dataclass
class History:
    """What happened: losses `(steps, *members)` without penalties, plus what the callbacks recorded.

    `snapshots`: (step, samples) pairs. `metrics`: name → (step, value) pairs. Steps count completed
    generator steps. `step`: how many are done; losses beyond it are NaN.
    """

    critic_loss: Tensor
    generator_loss: Tensor
    step: int = 0
    snapshots: list[tuple[int, Tensor]] = field(default_factory=list)
    metrics: dict[str, list] = field(default_factory=dict)


class TrainingDiverged(ArithmeticError):
    """A loss became NaN or infinite. `history` holds everything up to that step."""

    def __init__(self, message: str, history: History):
        super().__init__(message)
        self.history = history


class Run:
    """One training run: players, optimisers, random streams and history; what a checkpoint holds."""

    def __init__(self, generator: nn.Module, critic: nn.Module, steps: int, seed: Seed):
        self.generator, self.critic, self.total = generator, critic, steps
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        like = first_parameter(generator)
        names = ("data", "noise", "penalty", "transform")
        self.streams = {name: Streams(seed, name, like.device) for name in names}
        shape = (steps, *self.streams["data"].members)
        losses = torch.full((2, *shape), torch.nan, dtype=like.dtype, device=like.device)
        self.history = History(losses[0], losses[1])

    @property
    def step(self) -> int:
        return self.history.step

    def steps(self, callbacks: Sequence[Callable]) -> Iterator[int]:
        """Count the steps, look at the losses now and then, and call the callbacks when they are due."""
        if self.step == 0:
            self._call(callbacks)
        while self.step < self.total:
            yield self.step
            self.history.step += 1
            if self.step % CHECK_EVERY == 0 or self.step == self.total:
                self._check_finite()
            self._call(callbacks)

    def _call(self, callbacks: Sequence[Callable]) -> None:
        # Checkpoints come last, so that what the others did in this step is in them.
        for callback in sorted(callbacks, key=lambda c: getattr(c, "last", False)):
            if self.step % callback.every == 0 or self.step == self.total:
                callback(self)

    def _check_finite(self) -> None:
        h = self.history
        start = max(0, self.step - CHECK_EVERY)
        for player, losses in (("critic", h.critic_loss), ("generator", h.generator_loss)):
            bad = ~losses[start : self.step].isfinite()
            if bad.any():
                step = start + int(bad.reshape(len(bad), -1).any(1).nonzero()[0])
                raise TrainingDiverged(
                    f"the {player}'s loss is {losses[step].tolist()} at step {step}; lower the learning "
                    "rate, or look at the history up to there in this error's .history.",
                    h,
                )

    def save(self, path: str | Path) -> None:
        """Write a checkpoint; the old one stays whole until the new one is complete."""
        path = Path(path)
        scratch = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(
            {
                "generator": self.generator.state_dict(),
                "critic": self.critic.state_dict(),
                "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
                "streams": {name: s.state() for name, s in self.streams.items()},
                "history": vars(self.history),
            },
            scratch,
        )
        scratch.replace(path)

    def load(self, path: str | Path) -> None:
        """Continue from a checkpoint, with as many further steps as this run asks for."""
        like = first_parameter(self.generator)
        saved = torch.load(path, map_location=like.device, weights_only=True)
        done = saved["history"]["step"]
        if done > self.total:
            raise ValueError(
                f"{path} has {done} steps done; ask for steps > {done}, not {self.total}."
            )
        seeds = saved["streams"]["data"]["seeds"]
        if seeds != self.streams["data"].seeds:
            raise ValueError(
                f"{path} was begun with seeds {seeds}, not {self.streams['data'].seeds}: "
                "resume with the seeds of the first run."
            )
        self.generator.load_state_dict(saved["generator"])
        self.critic.load_state_dict(saved["critic"])
        for name, o in self.optimizers.items():
            o.load_state_dict(saved["optimizers"][name])
        for name, s in self.streams.items():
            s.load(saved["streams"][name])
        for player in ("critic_loss", "generator_loss"):
            getattr(self.history, player)[:done] = saved["history"].pop(player)[:done]
        vars(self.history).update(saved["history"])
