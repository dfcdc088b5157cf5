"""Bugs in the chapters' own lines, for the claims that rest on no line of `gan_lib`.

Of each: its name, the text that occurs once in the chapter's code, what replaces it, and what is wrong then.
"""

from tests.mutations import Mutation

BUGS = {
    "motivation/two_players": (
        (
            "judge-labels-swapped",
            "[1] * half + [0] * half",
            "[0] * half + [1] * half",
            "the judge learns the labels the wrong way round",
        ),
        (
            "moved-and-alone-swapped",
            "alone = torch.cat([training.sample(generator, one[None]) for one in z[:50]])\n"
            "moved = training.sample(generator, z[:50] + 0.1)",
            "moved = torch.cat([training.sample(generator, one[None]) for one in z[:50]])\n"
            "alone = training.sample(generator, z[:50] + 0.1)",
            "the samples of the same noise and those of the shifted noise change names",
        ),
        (
            "true-and-wrong-width-swapped",
            "args=(2, 0.5)).statistic for one in z]\n"
            'wider = [stats.kstest(0.5 * one.ravel() + 2, "norm", args=(2, 0.8))',
            "args=(2, 0.8)).statistic for one in z]\n"
            'wider = [stats.kstest(0.5 * one.ravel() + 2, "norm", args=(2, 0.5))',
            "each of the two tests is made against the other's standard deviation",
        ),
        (
            "before-minus-after",
            "return seen[-1] - seen[0]",
            "return seen[0] - seen[-1]",
            "the change of the losses is taken as before minus after",
        ),
    ),
    "motivation/maximum_likelihood": (
        (
            "images-drawn-again",
            "torch.stack([pixel[torch.randperm(100, generator=rng)] for pixel in digits.T], 1)",
            "digits[torch.randint(100, (100,), generator=rng)]",
            "whole images are drawn again, with replacement, in place of a shuffle of each pixel",
        ),
        (
            "mean-for-product",
            "few, many = density[:, :20].prod(-1), density.prod(-1)",
            "few, many = density[:, :20].mean(-1), density.mean(-1)",
            "the mean of the densities stands for their product",
        ),
        (
            "exponent-without-half",
            "log_normal = -(z**2) / 2 - log_stds",
            "log_normal = -(z**2) - log_stds",
            "the exponent of the normal density has lost its half",
        ),
        (
            "kl-from-model-to-data",
            "divergences.kl(truth, q, [-12], [12])",
            "divergences.kl(q, truth, [-12], [12])",
            "the KL divergence is taken in the other direction",
        ),
    ),
    "motivation/fully_visible_belief_nets": (
        (
            "chain-rule-without-division",
            ".all(-1).double() @ p / before",
            ".all(-1).double() @ p",
            "each factor is a joint probability, not divided by that of what came before",
        ),
        (
            "copy-of-another-sample",
            "-Bernoulli().log_prob(autoencoder(x), x).mean(-1)",
            "-Bernoulli().log_prob(autoencoder(x.roll(1, -2)), x).mean(-1)",
            "inputs and targets are shifted by one sample",
        ),
        (
            "first-pass-not-counted",
            "return len(calls)",
            "return len(calls) - 1",
            "the first pass is not counted",
        ),
        (
            "upper-half-wiped",
            "upper[:, 392:] = 0",
            "upper[:, :392] = 0",
            "the half that should be given is wiped out",
        ),
    ),
    "motivation/variational_autoencoders": (
        (
            "unflattened-the-other-way",
            ".unflatten(-1, (-1, k))",
            ".unflatten(-1, (k, -1))",
            "k groups are formed where groups of k are meant",
        ),
        (
            "two-pi-outside-the-half",
            "return -0.5 * (u.square() + math.log(2 * math.pi))",
            "return -0.5 * u.square() - math.log(2 * math.pi)",
            "log 2π stands outside the half",
        ),
        (
            "variance-of-one-cause",
            "variance = w**2 / tau**2, 2 * w**2 + tau**2",
            "variance = w**2 / tau**2, w**2 + tau**2",
            "the variance of the model counts one of its two causes",
        ),
    ),
    "motivation/generative_stochastic_networks": (
        (
            "right-eigenvector",
            "torch.linalg.eig(T.mT)",
            "torch.linalg.eig(T)",
            "the right eigenvector, all ones, stands for the left one",
        ),
        (
            "believed-of-the-rest",
            "(2 * np.arange(d + 1) - d)",
            "(d - 2 * np.arange(d + 1))",
            "the posterior believes in all ink where there is none",
        ),
        (
            "counts-at-one-rate",
            "return spoilt(d, r / 2) @ np.array([binomial(d, p) for p in believed(d, r / 2)])",
            "return spoilt(d, RATE / 2) @ np.array([binomial(d, p) for p in believed(d, RATE / 2)])",
            "the chain of counts ignores the rate that it is given",
        ),
        (
            "noise-that-walks",
            "normal(moves_run, 100, 20, dtype=torch.float32)",
            "normal(moves_run, 100, 20, dtype=torch.float32).cumsum(0)",
            "each noise vector is a step from the one before, not a fresh draw",
        ),
        (
            "counters-swapped",
            'net.register_forward_hook(lambda *_: calls["GSN"].append(1)),\n'
            '    generator.register_forward_hook(lambda *_: calls["GAN"].append(1)),',
            'net.register_forward_hook(lambda *_: calls["GAN"].append(1)),\n'
            '    generator.register_forward_hook(lambda *_: calls["GSN"].append(1)),',
            "each network counts on the other's list",
        ),
    ),
    "motivation/four_families": (
        (
            "only-first-family-trained",
            "for name in families[:3]:",
            "for name in families[:1]:",
            "the VAE and the GSN are never trained",
        ),
        (
            "counts-pictures-not-passes",
            "        self.n += 1",
            "        self.n += len(_[-1])",
            "the hook counts the pictures in a batch instead of the passes",
        ),
        (
            "film-rows-interleaved",
            "    return torch.cat(rows)\n",
            "    return torch.stack(rows, 1).flatten(0, 1)\n",
            "the four rows of pictures are interleaved instead of laid one under the other",
        ),
        (
            "vae-mean-still-sampled",
            'Streams(seed, "samples VAE", device), mean=True)',
            'Streams(seed, "samples VAE", device))',
            "the means of the VAE are samples of its pixels again",
        ),
    ),
    "game/minimax": (
        (
            "data-for-noise",
            "z = noise.sample(100_000, fresh)",
            "z = target.sample(100_000, fresh)",
            "the generator is fed with data in place of noise",
        ),
        (
            "log-density-as-weight",
            "log_q.exp() * logsigmoid(-logits)",
            "log_q * logsigmoid(-logits)",
            "the second term is weighted with the log density, not with the density",
        ),
    ),
    "game/saturating_gradients": (
        (
            "sigmoid-of-minus-s",
            "D = 1 / (1 + sp.exp(-S))",
            "D = 1 / (1 + sp.exp(S))",
            "the symbolic D falls with its logit",
        ),
        (
            "variance-of-the-frozen-fake",
            "data.gaussian(*map(float, theta)))",
            "data.gaussian(float(theta[0]), float(theta[1]) ** 2))",
            "the frozen D* belongs to fakes with σ² as their standard deviation",
        ),
    ),
    "theory/optimal_discriminator": (
        (
            "hill-with-minus-between-logs",
            "f = A * sp.log(Y) + B",
            "f = A * sp.log(Y) - B",
            "the second term of f has the wrong sign",
        ),
        (
            "ratio-without-brackets",
            "D_zero = u / (u + v)",
            "D_zero = u / u + v",
            "the denominator of D* loses its brackets",
        ),
        (
            "lattice-from-minus-one",
            "lattice = torch.linspace(0, 1, 2001",
            "lattice = torch.linspace(-1, 1, 2001",
            "y runs over the range of a tanh, not of a probability",
        ),
        (
            "grid-value-as-loss",
            "    return (xlogy(a, D) + xlogy(b, 1 - D)).sum(-1) * dx",
            "    return -(xlogy(a, D) + xlogy(b, 1 - D)).sum(-1) * dx",
            "V has the sign of a loss",
        ),
    ),
    "theory/jensen_shannon": (
        (
            "second-expectation-subtracted",
            "return logs + add(lambda v, s, r: v * sp.log(s / r), Q, top_q, bottom)",
            "return logs - add(lambda v, s, r: v * sp.log(s / r), Q, top_q, bottom)",
            "the expectation over p_g is subtracted instead of added",
        ),
        (
            "criterion-shifted-to-zero",
            "return value_of(optimal_logit(p, q), p, q, low, high)",
            "return value_of(optimal_logit(p, q), p, q, low, high) + LOG4",
            "log 4 is added already, so that C(G) is 2 JSD and no value of the game",
        ),
        (
            "jsd-from-the-gan-row",
            'return discrete_f_divergence(ROWS["Jensen-Shannon"], p, q) / 2',
            'return discrete_f_divergence(ROWS["GAN"], p, q) / 2',
            "the GAN row is halved, and its log 4 is not added back",
        ),
        (
            "best-response-tells-the-fakes",
            "D = target / (target + q)",
            "D = q / (target + q)",
            "D is the probability of a fake, where V wants that of a real sample",
        ),
        (
            "third-generator-without-width",
            "lambda z: 1 + 2 * swap_halves(z)]",
            "lambda z: 1 + swap_halves(z)]",
            "the generator that swaps halves forgets to stretch by the data's width 2",
        ),
    ),
    "theory/convergence": (
        (
            "generator-weight-inside-log",
            "p * (1 - D).log()).sum(-1)",
            "(p * (1 - D)).log()).sum(-1)",
            "the bracket closes too late, so that U takes the logarithm of p as well",
        ),
        (
            "fakes-counted-twice-in-best-answer",
            "return target / (target + p)",
            "return target / (target + 2 * p)",
            "D* is the best answer to twice as many fakes as real samples",
        ),
        (
            "bump-centres-ascend",
            "theta = (theta - rate * g).detach()",
            "theta = (theta + rate * g).detach()",
            "the two bumps climb C instead of descending it",
        ),
        (
            "renewed-value-with-negative-jsd",
            "return 2 * divergences.jsd(unit,",
            "return -2 * divergences.jsd(unit,",
            "C(θ) falls as the JSD grows",
        ),
        (
            "exponential-of-reversed-difference",
            "(2 * x - 2).exp()])\n\n\nx =",
            "(2 - 2 * x).exp()])\n\n\nx =",
            "the exponential among the three functions falls, while its derivative is that of the rising one",
        ),
    ),
    "theory/game_dynamics": (
        (
            "critic-gain-with-reversed-score",
            "psi -= h * before * sigma(psi * before)",
            "psi -= h * before * sigma(-psi * before)",
            "the critic of the recursion weighs its step with the sigmoid of minus its score",
        ),
        (
            "critic-curvature-sign",
            "g1, c1 = jacobian(game, zero, one)[0, 0], -jacobian(game, one, zero)[1, 1]",
            "g1, c1 = jacobian(game, zero, one)[0, 0], jacobian(game, one, zero)[1, 1]",
            "c is minus the field, and its derivative forgets the minus",
        ),
        (
            "edge-without-root",
            "edge = 1 / math.sqrt(3)",
            "edge = 1 / 3",
            "the largest rate of optimistic steps is 1/3 instead of 1/√3",
        ),
        (
            "survey-reshaped-by-remedy",
            ".reshape(-1, 4)",
            ".reshape(4, -1).T",
            "the survey lists remedies within objectives and is read as objectives within remedies",
        ),
        (
            "saddle-upside-down",
            "own * (product(a, P, a) - product(b, R, b))",
            "own * (product(b, R, b) - product(a, P, a))",
            "the own terms of both players have the wrong sign, so that each sits on its worst point",
        ),
        (
            "clip-at-two",
            '"clipped at 1": (wasserstein, clipped(1.0))',
            '"clipped at 1": (wasserstein, clipped(2.0))',
            "the clip lets ψ grow to 2",
        ),
    ),
    "practice/digits": (
        (
            "logit-of-fake-negative",
            "s = torch.tensor(17.0, requires_grad=True)",
            "s = torch.tensor(-17.0, requires_grad=True)",
            "the logit has the wrong sign, so that 1 − σ is near 1 instead of 0",
        ),
    ),
    "f_gan/f_divergences": (
        (
            "zero-test-turned-around",
            "return sp.simplify(sp.expand(sp.expand_log(split, force=True))) == 0",
            "return sp.simplify(sp.expand(sp.expand_log(split, force=True))) != 0",
            "the symbolic test says yes exactly where the difference does not vanish",
        ),
        (
            "power-integral-widths-swapped",
            "w = A * T**2 + (1 - A) * S**2",
            "w = A * S**2 + (1 - A) * T**2",
            "the two variances are swapped in the closed form of ∫ pᵃ q¹⁻ᵃ",
        ),
        (
            "late-price-without-max",
            "f=lambda u: (u - 2).relu(),",
            "f=lambda u: u - 2,",
            "the price u − 2 forgets the max with 0",
        ),
        (
            "box-with-p-and-q-swapped",
            "wide, unit = data.gaussian(0.0, s), data.normal(1)",
            "wide, unit = data.normal(1), data.gaussian(0.0, s)",
            "the box integrates q²/p, whose tails always fall, instead of p²/q",
        ),
        (
            "change-of-variables-exponent",
            "return self.base.log_prob(x) + 1.5 * torch.log1p(x.square()).squeeze(-1)",
            "return self.base.log_prob(x) + 0.5 * torch.log1p(x.square()).squeeze(-1)",
            "dx/dy is taken to be √(1 + x²) instead of its third power",
        ),
        (
            "density-without-exp",
            "at_zero = float(narrow.log_prob(torch.zeros(1, dtype=torch.float64)).exp())",
            "at_zero = float(narrow.log_prob(torch.zeros(1, dtype=torch.float64)))",
            "the log density is taken for the density",
        ),
    ),
    "f_gan/fenchel_conjugates": (
        (
            "kl-f-in-the-never-negative-form",
            '"KL": (U * sp.log(U), sp.exp(T - 1)),',
            '"KL": (U * sp.log(U) - U + 1, sp.exp(T - 1)),',
            "f of KL is written in its other common form u log u − u + 1, which has another conjugate",
        ),
        (
            "biconjugate-adds-the-conjugate",
            "return np.array([(value * t - star).max() for value in u])",
            "return np.array([(value * t + star).max() for value in u])",
            "f** is the supremum of ut + f*(t) instead of ut − f*(t)",
        ),
        (
            "tv-handle-copied-from-pearson",
            'TV = ROWS["total variation"]',
            'TV = ROWS["Pearson"]',
            "the line was copied without its name changed, so that Pearson stands for total variation",
        ),
        (
            "jeffrey-slope-log-sign",
            "t_of_w = 1 - w - sp.log(w)",
            "t_of_w = 1 - w + sp.log(w)",
            "log w changes sides of w + log w = 1 − t with the wrong sign",
        ),
        (
            "pearson-f-halved",
            '"Pearson": ((U - 1) ** 2, T**2 / 4 + T),',
            '"Pearson": ((U - 1) ** 2 / 2, T**2 / 4 + T),',
            "f of Pearson carries the ½ of another convention, and its conjugate does not",
        ),
        (
            "numpy-bridge-in-single-precision",
            "return function(torch.as_tensor(x, dtype=torch.float64)).numpy()",
            "return function(torch.as_tensor(x, dtype=torch.float32)).numpy()",
            "NumPy numbers reach the library in single precision",
        ),
    ),
    "f_gan/training_f_gans": (
        (
            "bound-swaps-p-and-q",
            "return (a * row.activation(v) - b * row.conjugate_of_activation(v)).sum(-1) * dx",
            "return (b * row.activation(v) - a * row.conjugate_of_activation(v)).sum(-1) * dx",
            "the bound takes the expectation of T under q and that of f*(T) under p",
        ),
        (
            "unbounded-by-f-at-zero",
            "math.isinf(ROWS[name].slope_at_infinity)",
            "math.isinf(ROWS[name].at_zero)",
            "the rows without an upper edge are sought by f(0) instead of f′(∞)",
        ),
    ),
    "f_gan/which_divergence": (
        (
            "price-branches-swapped",
            'return float(row.f(u) + w * row.slope_at_infinity if fault == "missing"',
            'return float(row.f(u) + w * row.slope_at_infinity if fault == "straying"',
            "the formula for a missed mode is used for a stray sample, and the other way round",
        ),
        (
            "search-without-zero-grad",
            "        optimizer.zero_grad()\n        D(name, fit, log_p)",
            "        D(name, fit, log_p)",
            "the search adds up the gradients of all its steps",
        ),
        (
            "modes-twice-as-far",
            "[-float(d) / 2, float(d) / 2]",
            "[-float(d), float(d)]",
            "the modes stand at ±d, so that their distance is 2d",
        ),
        (
            "games-and-seeds-mixed-up",
            "return x.reshape(len(games), n, 2500, 2), history",
            "return x.reshape(n, len(games), 2500, 2).transpose(0, 1), history",
            "the members are read as seeds of games instead of games of seeds",
        ),
        (
            "stored-scores-read-by-seed",
            'zip(run["games"], run["scores"]["frechet"], strict=True)',
            "zip(\n"
            '            run["games"],\n'
            '            np.reshape(run["scores"]["frechet"], (-1, len(run["games"]))).T,\n'
            "            strict=True,\n"
            "        )",
            "the stored scores are read as one row a seed, though there is one row a game",
        ),
    ),
    "wasserstein/disjoint_supports": (
        (
            "box-exponent-sign",
            "math.log(fine / coarse)",
            "math.log(coarse / fine)",
            "the exponent of the number of cells has the wrong sign",
        ),
        (
            "crossings-not-transposed",
            "cross_sides(b, a).mT",
            "cross_sides(b, a)",
            "segment i of one curve is paired with segment j in one table and j with i in the other",
        ),
        (
            "outside-the-tube",
            "(near < tube)",
            "(near > tube)",
            "the points outside the tube are counted instead of those inside",
        ),
        (
            "boxes-overlap",
            "data.uniform(1, 1.0, 2.0)",
            "data.uniform(1, -1.0, 2.0)",
            "a lost sign: the fakes begin at −1, so that their support covers the data",
        ),
        (
            "criterion-without-half",
            "return 0.5 * (p * (D - c) ** 2",
            "return (p * (D - c) ** 2",
            "C(G) lacks the factor ½ of the least-squares losses",
        ),
    ),
    "wasserstein/earth_mover": (
        (
            "cost-weighted-by-row-sums",
            "return (moves * cost).sum() / loads",
            "return (moves.sum(1) * cost).sum() / loads",
            "the ways are weighted with the row sums instead of with the plan",
        ),
        (
            "second-cart-of-a-pair-lost",
            "np.add.at(moves, (start, goal), 1)",
            "moves[start, goal] = 1",
            "two loads with the same way count as one",
        ),
        (
            "way-back-without-earth",
            "np.where(moves > 1e-9, to_y - cost, np.inf)",
            "np.where(moves >= 0, to_y - cost, np.inf)",
            "the road map has a way back for pairs between which no earth moves, too",
        ),
        (
            "step-right-goes-up-too",
            "curve + theta * torch.tensor([1.0, 0.0])",
            "curve + theta * torch.tensor([1.0, 1.0])",
            "the generator moves up as well as to the right",
        ),
        (
            "first-coordinate-only",
            "if dim == 1 else wasserstein1(x, y)",
            "if dim >= 1 else wasserstein1(x, y)",
            "samples in the plane and in 10 dimensions are compared by their first coordinate alone",
        ),
    ),
    "wasserstein/wasserstein_gan": (
        (
            "gap-of-sums",
            "D(x).mean(-1) - D(y).mean(-1)",
            "D(x).sum(-1) - D(y).sum(-1)",
            "V is a difference of sums, with 30 data against 20 fakes, instead of means",
        ),
        (
            "level-lowers-the-critic",
            "[critic(batch) + level for",
            "[critic(batch) - level for",
            "the critic is lowered by the level instead of raised, so that the logarithm does not exist",
        ),
        (
            "unconstrained-run-clipped",
            "ascend(net, adam(1e-3), loss, watch)",
            "ascend(net, adam(1e-3), loss, watch, [clip_weights(0.1)])",
            "the critic that should run free is clipped as well",
        ),
        (
            "clip-at-both-ends",
            "        if not first:\n            clip(critic)",
            "        clip(critic)",
            "the critic that clips before the step clips after it, too",
        ),
        (
            "distance-correlated-with-itself",
            "measured[row, :, i])[0, 1]",
            "measured[row, :, i])[0, 0]",
            "the entry of the correlation matrix is that of W₁ with itself, always 1",
        ),
    ),
    "wasserstein/gradient_penalties": (
        (
            "gradient-of-the-mean",
            "    return torch.autograd.grad(critic(x).sum(), x)[0]",
            "    return torch.autograd.grad(critic(x).mean(), x)[0]",
            "the gradient of the mean over all outputs, not of the sum, is too small by their number",
        ),
        (
            "projection-not-divided",
            "along = e.mean(-1, keepdim=True)",
            "along = e.sum(-1, keepdim=True)",
            "the projection on the segment forgets to divide by the squared length d",
        ),
        (
            "noise-and-mean-swapped",
            "return torch.stack(values).std(0), torch.stack(values).mean(0)",
            "return torch.stack(values).mean(0), torch.stack(values).std(0)",
            "the mean is returned where the callers expect the noise",
        ),
        (
            "first-snapshot-judged",
            "x = films[name][-1][1]",
            "x = films[name][0][1]",
            "the generators are judged by their first snapshot, before training",
        ),
        (
            "fakes-minus-data",
            "look = lambda: -sample(D, centres).diff(dim=-1).squeeze(-1)",
            "look = lambda: sample(D, centres).diff(dim=-1).squeeze(-1)",
            "the rise is D(fakes) − D(data), with the wrong sign",
        ),
    ),
    "wasserstein/spectral_normalization": (
        (
            "power-round-leaves-u",
            "        u = normalize(W @ v, dim=-2)\n        sigmas",
            "        u = normalize(u, dim=-2)\n        sigmas",
            "the round normalises u but forgets to multiply by W",
        ),
        (
            "matrix-norm-frobenius",
            "    return torch.linalg.svdvals(matrix)[..., 0]",
            "    return torch.linalg.matrix_norm(matrix)",
            "matrix_norm without ord=2 is the Frobenius norm, not the largest singular value",
        ),
        (
            "slope-over-all-points",
            "    return squared.detach().sqrt()",
            "    return squared.detach().sum(-1, keepdim=True).sqrt().expand_as(squared)",
            "the norm is taken over all points together, not point by point",
        ),
        (
            "leash-not-put-on",
            "    return spectral_normalize(critic, seed=many)",
            "    return critic",
            "the critics of the games go into training without the normalisation",
        ),
        (
            "normed-and-plain-swapped",
            "plain, normed = make(), normalised(make())",
            "normed, plain = make(), normalised(make())",
            "the critic with the constraint and the one without change names",
        ),
        (
            "temperature-is-the-factor",
            "(1 / torch.tensor(factors_K, dtype=torch.float64))",
            "torch.tensor(factors_K, dtype=torch.float64)",
            "scores are divided by K where they should be multiplied with it",
        ),
    ),
    "wasserstein/energy_and_margin": (
        (
            "noise-for-data",
            "critic(pair), ring, data.normal(2), objective, steps,",
            "critic(pair), data.normal(2), ring, objective, steps,",
            "data and noise change places in the replayed runs",
        ),
        (
            "data-and-fake-points-swapped",
            "two = torch.tensor([[0.0], [1.0]]",
            "two = torch.tensor([[1.0], [0.0]]",
            "the places of data and fakes change names where the gap is read",
        ),
        (
            "minus-on-the-wrong-score",
            "return -said.energy if isinstance(said, Reconstruction) else said",
            "return said.energy if isinstance(said, Reconstruction) else -said",
            "the minus stands at the logit instead of at the energy",
        ),
        (
            "first-look-as-final",
            "return np.array(runs[name][key][-1])",
            "return np.array(runs[name][key][0])",
            "the first look at a run is taken for the last",
        ),
        (
            "practice-of-another-copier",
            "curve = pretrain(practised, real, 300, seed=seeds)",
            "curve = pretrain(copier(), real, 300, seed=seeds)",
            "a fresh autoencoder is trained and thrown away, the one that is judged stays untrained",
        ),
    ),
}

CHAPTER_MUTATIONS = {
    name: Mutation(name, f"book/{chapter}.ipynb", *edit)
    for chapter, edits in BUGS.items()
    for name, *edit in edits
}
