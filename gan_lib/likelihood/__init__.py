"""The other three families of generative models: likelihood exact, bounded, or none.

`made`: a fully visible belief network, whose density is exact. `vae`: a latent variable, whose density has
a lower bound. `gsn`: a Markov chain, which has no density. All are trained by `fit` and drawn from by
`model.sample(n, rng)`.
"""

from gan_lib.likelihood.bits import BitTable, Rebinarised, binarised, every_state
from gan_lib.likelihood.fit import Fit, FitDiverged, fit
from gan_lib.likelihood.gsn import GSN, autocorrelation, effective_sample_size, gsn
from gan_lib.likelihood.made import MADE, made
from gan_lib.likelihood.observations import Bernoulli, Gaussian
from gan_lib.likelihood.vae import VAE, exact_log_prob, linear_gaussian, vae

__all__ = [
    "GSN",
    "MADE",
    "VAE",
    "Bernoulli",
    "BitTable",
    "Fit",
    "FitDiverged",
    "Gaussian",
    "Rebinarised",
    "autocorrelation",
    "binarised",
    "effective_sample_size",
    "every_state",
    "exact_log_prob",
    "fit",
    "gsn",
    "linear_gaussian",
    "made",
    "vae",
]
