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
    Mutation(
        "hinge-of-the-mean",
        "gan_lib/objectives.py",
        "relu(1 - real).mean(-1) + relu(1 + fake).mean(-1)",
        "relu(1 - real.mean(-1)) + relu(1 + fake.mean(-1))",
        "the hinge has one margin for the whole batch",
    ),
    Mutation(
        "wasserstein-sign",
        "gan_lib/objectives.py",
        "lambda real, fake: fake.mean(-1) - real.mean(-1),",
        "lambda real, fake: real.mean(-1) - fake.mean(-1),",
        "the critic shrinks the gap that it should widen",
    ),
    Mutation(
        "least-squares-without-half",
        "gan_lib/objectives.py",
        "0.5 * ((real - b).square().mean(-1) + (fake - a).square().mean(-1))",
        "((real - b).square().mean(-1) + (fake - a).square().mean(-1))",
        "twice the loss of the paper",
    ),
    Mutation(
        "least-squares-labels-swapped",
        "gan_lib/objectives.py",
        "optimal=lambda r: a + (b - a) * r.sigmoid()",
        "optimal=lambda r: b + (a - b) * r.sigmoid()",
        "the best critic calls fakes real",
    ),
    Mutation(
        "relativistic-generator-as-critic",
        "gan_lib/objectives.py",
        "lambda real, fake: _pairwise(fake, real),",
        "lambda real, fake: _pairwise(real, fake),",
        "the generator helps the relativistic critic",
    ),
    Mutation(
        "relativistic-average-of-itself",
        "gan_lib/objectives.py",
        "softplus(worse.mean(-1, keepdim=True) - better)",
        "softplus(better.mean(-1, keepdim=True) - better)",
        "a score is compared with the mean of its own side",
    ),
    Mutation(
        "relativistic-average-over-members",
        "gan_lib/objectives.py",
        "worse - better.mean(-1, keepdim=True)",
        "worse - better.mean()",
        "the mean runs over all members",
    ),
    Mutation(
        "f-gan-generator-sign",
        "gan_lib/objectives.py",
        "lambda real, fake: -generator(fake).mean(-1),",
        "lambda real, fake: generator(fake).mean(-1),",
        "the f-GAN generator helps the critic",
    ),
    Mutation(
        "f-gan-forgets-conjugate",
        "gan_lib/objectives.py",
        "lambda real, fake: fused(fake).mean(-1) - g(real).mean(-1),",
        "lambda real, fake: g(fake).mean(-1) - g(real).mean(-1),",
        "E_Q of g_f instead of f*(g_f): no bound on D_f",
    ),
    Mutation(
        "tempered-multiplies",
        "gan_lib/objectives.py",
        "score / column.to(score)",
        "score * column.to(score)",
        "a high temperature makes the critic surer",
    ),
    Mutation(
        "pearson-conjugate-parabola",
        "gan_lib/f_divergences.py",
        "conjugate_of_activation=lambda v: v.clamp(min=-2) * (v.clamp(min=-2) / 4 + 1),",
        "conjugate_of_activation=lambda v: v * (v / 4 + 1),",
        "below −2 the conjugate of Pearson rises again",
    ),
    Mutation(
        "pearson-conjugate-factor",
        "gan_lib/f_divergences.py",
        "formula=lambda t: t * (t / 4 + 1),",
        "formula=lambda t: t * (t / 2 + 1),",
        "f* of Pearson has a wrong factor",
    ),
    Mutation(
        "kl-conjugate-shift",
        "gan_lib/f_divergences.py",
        "conjugate_of_activation=lambda v: (v - 1).exp(),",
        "conjugate_of_activation=lambda v: v.exp(),",
        "f* of KL without the −1",
    ),
    Mutation(
        "neyman-fused-composed",
        "gan_lib/f_divergences.py",
        "conjugate_of_activation=lambda v: 2 - 2 * (-v / 2).exp(),",
        "conjugate_of_activation=lambda v: 2 - 2 * (1 - (1 - (-v).exp())).sqrt(),",
        "f*(g_f(v)) composed: the activation has rounded onto the edge",
    ),
    Mutation(
        "js-row-halved",
        "gan_lib/f_divergences.py",
        "conjugate_of_activation=lambda v: softplus(v) - LOG2,",
        "conjugate_of_activation=lambda v: (softplus(v) - LOG2) / 2,",
        "the JS row's conjugate is halved",
    ),
    Mutation(
        "reverse-kl-activation-sign",
        "gan_lib/f_divergences.py",
        "activation=lambda v: -(-v).exp(),",
        "activation=lambda v: -v.exp(),",
        "the activation falls: high scores mean fake",
    ),
    Mutation(
        "neyman-pearson-swapped",
        "gan_lib/f_divergences.py",
        "integrand=lambda log_p, log_q: chi_square(log_q, log_p),",
        "integrand=lambda log_p, log_q: chi_square(log_p, log_q),",
        "the integrals of Pearson and Neyman are exchanged",
    ),
    Mutation(
        "conjugate-finite-everywhere",
        "gan_lib/f_divergences.py",
        "return torch.where(t > high, INF, self.formula(t.clamp(low, high)))",
        "return self.formula(t.clamp(low, high))",
        "f* is finite above its domain",
    ),
    Mutation(
        "lambert-slope",
        "gan_lib/numerics.py",
        "return grad / (1 + y.exp())",
        "return grad * y.exp() / (1 + y.exp())",
        "the slope of W instead of log W",
    ),
    Mutation(
        "lambert-three-newton-steps",
        "gan_lib/numerics.py",
        "for _ in range(8):",
        "for _ in range(3):",
        "Lambert's W has not converged",
    ),
    Mutation(
        "lambert-detached",
        "gan_lib/numerics.py",
        "(y,) = ctx.saved_tensors",
        "(y,) = (ctx.saved_tensors[0].detach(),)",
        "no second derivative for gradient penalties",
    ),
    Mutation(
        "log1mexp-one-branch",
        "gan_lib/numerics.py",
        "small = x < math.log(2)",
        "small = x < 0",
        "log(1 − e^−x) loses its digits for small x",
    ),
    Mutation(
        "softplus-of-torch",
        "gan_lib/numerics.py",
        "return -logsigmoid(-v)",
        "return torch.nn.functional.softplus(v)",
        "off by 2e-9 beyond 20",
    ),
    Mutation(
        "hellinger-halved",
        "gan_lib/divergences.py",
        "return 2 - 2 * math.sqrt",
        "return 1 - 1 * math.sqrt",
        "squared Hellinger in the convention with ½",
    ),
    Mutation(
        "chi-square-wide",
        "gan_lib/divergences.py",
        "if s >= math.sqrt(2) * t:",
        "if s > 2 * t:",
        "an infinite χ² is reported as a number",
    ),
    Mutation(
        "discrete-zero-free",
        "gan_lib/divergences.py",
        "torch.where((q == 0) & (p > 0), p * row.slope_at_infinity, terms)",
        "torch.where((q == 0) & (p > 0), 0.0, terms)",
        "mass where q has none costs nothing",
    ),
    Mutation(
        "discrete-p-zero-free",
        "gan_lib/divergences.py",
        "torch.where((p == 0) & (q > 0), q * row.at_zero, terms)",
        "torch.where((p == 0) & (q > 0), 0.0, terms)",
        "mass of q where p has none costs nothing",
    ),
    Mutation(
        "box-cut-silently",
        "gan_lib/divergences.py",
        "* (ends[1] - ends[0]) > 1e-6",
        "* (ends[1] - ends[0]) > 1e60",
        "a box that cuts the tail is not noticed",
    ),
    Mutation(
        "ebgan-margin-sign",
        "gan_lib/critics/energy.py",
        "relu(level - fake.energy)",
        "relu(fake.energy - level)",
        "the critic is paid for fakes below the margin",
    ),
    Mutation(
        "ebgan-without-hinge",
        "gan_lib/critics/energy.py",
        "relu(level - fake.energy).mean(-1)",
        "(level - fake.energy).mean(-1)",
        "fakes are pushed up without end",
    ),
    Mutation(
        "pulling-away-counts-itself",
        "gan_lib/critics/energy.py",
        "(cosine * others).square()",
        "cosine.square()",
        "each code is compared with itself",
    ),
    Mutation(
        "pulling-away-sign",
        "gan_lib/critics/energy.py",
        "fake.energy.mean(-1) + repelling",
        "fake.energy.mean(-1) - repelling",
        "samples attract each other",
    ),
    Mutation(
        "energy-summed",
        "gan_lib/critics/energy.py",
        "error.square().mean(-1)",
        "error.square().sum(-1)",
        "the margin's unit grows with the image",
    ),
    Mutation(
        "loss-sensitive-constant-margin",
        "gan_lib/critics/margins.py",
        "relu(scale * distance + real.loss - fake.loss)",
        "relu(scale + real.loss - fake.loss)",
        "the margin ignores distance",
    ),
    Mutation(
        "loss-sensitive-order",
        "gan_lib/critics/margins.py",
        "relu(scale * distance + real.loss - fake.loss)",
        "relu(scale * distance + fake.loss - real.loss)",
        "real and fake are exchanged",
    ),
    Mutation(
        "catgan-sure-of-fakes",
        "gan_lib/critics/classes.py",
        "marginal_entropy(real) - conditional_entropy(fake)",
        "marginal_entropy(real) + conditional_entropy(fake)",
        "the critic is sure about fakes",
    ),
    Mutation(
        "catgan-marginal-is-mean-log",
        "gan_lib/critics/classes.py",
        ".logsumexp(-2) - math.log(logits.shape[-2])",
        ".mean(-2)",
        "a mean of logs for the log of a mean",
    ),
    Mutation(
        "entropy-zero-times-infinity",
        "gan_lib/critics/classes.py",
        "return -(log_p.exp() * log_p).sum(-1)",
        "return -(log_p.exp() * log_p.exp().log()).sum(-1)",
        "NaN at sure logits",
    ),
    Mutation(
        "k-plus-one-by-maximum",
        "gan_lib/critics/classes.py",
        "return logits.logsumexp(-1)",
        "return logits.amax(-1)",
        "p(real) is the largest class, not the sum",
    ),
    Mutation(
        "feature-matching-sample-wise",
        "gan_lib/critics/classes.py",
        "(real.features.mean(-2) - fake.features.mean(-2)).square().sum(-1)",
        "(real.features - fake.features).square().sum(-1).mean(-1)",
        "samples are compared, not means",
    ),
    Mutation(
        "labels-drawn-apart",
        "gan_lib/critics/classes.py",
        "labels = y.to(real.device)[rows].unsqueeze(-1)",
        "labels = y.to(real.device)[rng.integers(y.shape[-1], batch)].unsqueeze(-1)",
        "image and label are drawn apart",
    ),
    Mutation(
        "minibatch-forgets-itself",
        "gan_lib/critics/batchwise.py",
        "(-distance).exp().sum(-2)",
        "(-distance).exp().sum(-2) - 1",
        "not the paper's sum",
    ),
    Mutation(
        "minibatch-squares",
        "gan_lib/critics/batchwise.py",
        ".abs().sum(-1)  # (",
        ".square().sum(-1)  # (",
        "another norm",
    ),
    Mutation(
        "packing-strides",
        "gan_lib/critics/batchwise.py",
        "x.unflatten(axis, (-1, self.pack)).flatten(axis + 1, axis + 2)",
        "x.unflatten(axis, (self.pack, -1)).transpose(axis, axis + 1).flatten(axis + 1, axis + 2)",
        "other samples than said are grouped",
    ),
    Mutation(
        "unrolled-first-order",
        "gan_lib/critics/unrolling.py",
        "weight - _like(lr, weight) * slope",
        "weight - _like(lr, weight) * slope.detach()",
        "no gradient through the steps",
    ),
    Mutation(
        "unrolled-ascends",
        "gan_lib/critics/unrolling.py",
        "weight - _like(lr, weight) * slope",
        "weight + _like(lr, weight) * slope",
        "the imagined critic gets worse",
    ),
    Mutation(
        "unrolled-once",
        "gan_lib/critics/unrolling.py",
        "for _ in range(steps):",
        "for _ in range(min(steps, 1)):",
        "K is ignored",
    ),
    Mutation(
        "unrolled-members-mix",
        "gan_lib/critics/unrolling.py",
        "loss.sum(), list",
        "loss.mean(), list",
        "a member's rate depends on how many there are",
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
