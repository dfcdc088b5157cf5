"""Bugs that chapters and unit tests must notice. `make mutate` plants them one at a time and expects red
(`make mutate BATTERY=1`: under the unit tests of the module)."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """One edit of `gan_lib`: `old` occurs exactly once in `file` and becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    why: str = ""


REGISTRY = (
    Mutation(
        "critic-loss-sign",
        "gan_lib/objectives.py",
        "return -value(real, fake)",
        "return value(real, fake)",
        "the discriminator descends V instead of ascending it",
    ),
    Mutation(
        "value-swaps-real-and-fake",
        "gan_lib/objectives.py",
        "return -softplus(-real).mean(-1) - softplus(fake).mean(-1)",
        "return -softplus(real).mean(-1) - softplus(-fake).mean(-1)",
        "the labels real and fake are exchanged",
    ),
    Mutation(
        "value-forgets-fakes",
        "gan_lib/objectives.py",
        "return -softplus(-real).mean(-1) - softplus(fake).mean(-1)",
        "return -softplus(-real).mean(-1)",
        "V has only its first term",
    ),
    Mutation(
        "minimax-generator-sign",
        "gan_lib/objectives.py",
        "    return -softplus(fake).mean(-1)\n\n\ndef non_saturating",
        "    return softplus(fake).mean(-1)\n\n\ndef non_saturating",
        "the minimax generator helps the discriminator",
    ),
    Mutation(
        "non-saturating-generator-sign",
        "gan_lib/objectives.py",
        "return softplus(-fake).mean(-1)",
        "return softplus(fake).mean(-1)",
        "the non-saturating generator helps the discriminator",
    ),
    Mutation(
        "detach-dropped",
        "gan_lib/training.py",
        "with torch.no_grad():  # the critic's step must not reach into the generator",
        "with torch.enable_grad():",
        "the critic's step leaves gradients in the generator",
    ),
    Mutation(
        "critic-not-frozen",
        "gan_lib/training.py",
        "        p.requires_grad_(False)",
        "        pass",
        "the generator's step leaves gradients in the critic",
    ),
    Mutation(
        "one-critic-step-whatever-k",
        "gan_lib/training.py",
        "for _ in range(k):",
        "for _ in range(1):",
        "k is ignored",
    ),
    Mutation(
        "generator-never-steps",
        "gan_lib/training.py",
        'descend(run.optimizers["generator"], generator_loss)',
        "pass",
        "the generator stays where it started",
    ),
    Mutation(
        "ring-seven-modes",
        "gan_lib/data.py",
        "angles = [2 * math.pi * i / modes for i in range(modes)]",
        "angles = [2 * math.pi * i / (modes - 1) for i in range(modes)]",
        "the end point of the circle is repeated",
    ),
    Mutation(
        "log-prob-without-normaliser",
        "gan_lib/data.py",
        "stds.log() + 0.5 * math.log(2 * math.pi)",
        "stds.log()",
        "densities do not integrate to one",
    ),
    Mutation(
        "log-prob-variance-for-std",
        "gan_lib/data.py",
        "squared / (2 * stds**2)",
        "squared / (2 * stds)",
        "a density is evaluated with another width than it is sampled",
    ),
    Mutation(
        "optimal-logit-sign",
        "gan_lib/divergences.py",
        "return lambda x: p.log_prob(x) - q.log_prob(x)",
        "return lambda x: q.log_prob(x) - p.log_prob(x)",
        "D* is the probability of fake",
    ),
    Mutation(
        "jsd-without-halves",
        "gan_lib/divergences.py",
        "return 0.5 * _xlogy(log_p, log_p - log_m) + 0.5 * _xlogy(log_q, log_q - log_m)",
        "return _xlogy(log_p, log_p - log_m) + _xlogy(log_q, log_q - log_m)",
        "the Jensen–Shannon divergence is twice too large",
    ),
    Mutation(
        "parzen-forgets-dimension",
        "gan_lib/metrics.py",
        "math.log(n) + dim * math.log",
        "math.log(n) + math.log",
        "the kernel is normalised as if in one dimension",
    ),
    Mutation(
        "parzen-sigma-for-variance",
        "gan_lib/metrics.py",
        "(-squared / (2 * s * s))",
        "(-squared / (2 * s))",
        "σ is used where σ² belongs",
    ),
    Mutation(
        "members-share-noise",
        "gan_lib/rng.py",
        "for s in self.seeds]\n",
        "for s in [self.seeds[0]] * len(self.seeds)]\n",
        "an ensemble is one run copied n times",
    ),
    Mutation(
        "streams-ignore-name",
        "gan_lib/rng.py",
        'f"{self.name}/{key}/{block}"',
        'f"{key}/{block}"',
        "noise, data and weights share their random numbers",
    ),
    Mutation(
        "images-upside-down-range",
        "gan_lib/images.py",
        "x = torch.from_numpy((x / 255).astype(np.float32))",
        "x = torch.from_numpy((x / 128 - 1).astype(np.float32))",
        "pixels from −1 to 1 where 0 to 1 is promised",
    ),
)

MUTATIONS = {mutation.name: mutation for mutation in REGISTRY}


def occurrences(mutation, root):
    """How often the text to replace occurs; anything but 1 makes the mutation void."""
    return Path(root, mutation.file).read_text(encoding="utf-8").count(mutation.old)


def apply(mutation, root):
    """Plant the bug in the copy of the repository's `gan_lib` under `root`."""
    if occurrences(mutation, root) != 1:
        raise ValueError(
            f"Mutation {mutation.name!r}: its text must occur exactly once in {mutation.file}, "
            f"but occurs {occurrences(mutation, root)} times; update tests/mutations.py."
        )
    file = Path(root, mutation.file)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
