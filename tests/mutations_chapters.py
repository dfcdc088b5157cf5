"""Bugs in the chapters' own lines, for the claims that rest on no line of `gan_lib`.

Of each: its name, the text that occurs once in the chapter's code, what stands there instead, what is wrong then.
"""

from tests.mutations import Mutation

BUGS = {
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
            "second-generator-mean-for-width",
            "lambda z: 1 - 2 * z,",
            "lambda z: 2 - 1 * z,",
            "mean and standard deviation of the mirrored generator are swapped",
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
            "the line was copied and the row's name not changed, so every claim about the kink looks at Pearson",
        ),
        (
            "numpy-bridge-in-single-precision",
            "return function(torch.as_tensor(x, dtype=torch.float64)).numpy()",
            "return function(torch.as_tensor(x, dtype=torch.float32)).numpy()",
            "NumPy numbers reach the library in single precision",
        ),
        (
            "pearson-f-halved",
            '"Pearson": ((U - 1) ** 2, T**2 / 4 + T),',
            '"Pearson": ((U - 1) ** 2 / 2, T**2 / 4 + T),',
            "f of Pearson carries the ½ of another convention, and its conjugate does not",
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
