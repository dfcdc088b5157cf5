"""Critics that say more than one number a sample, and the objectives that listen to them.

All are trained by `gan_lib.training.train`. An objective names the critic it needs in `output`, and
`train` refuses any other. `CRITICS` holds a small example of each.
"""

from gan_lib.critics.batchwise import MinibatchDiscrimination, minibatch_critic, packed
from gan_lib.critics.classes import (
    Classified,
    Scored,
    categorical,
    classifier_critic,
    conditional_entropy,
    feature_critic,
    feature_matching,
    marginal_entropy,
    mean_feature_distance,
    real_logit,
    semi_supervised,
    semi_supervised_cross_entropy,
    supervised,
)
from gan_lib.critics.energy import (
    Reconstruction,
    autoencoder_critic,
    energy_based,
    pretrain,
    pulling_away,
)
from gan_lib.critics.margins import Judged, loss_sensitive, with_samples
from gan_lib.critics.registry import CRITICS, Setup
from gan_lib.critics.unrolling import unrolled

__all__ = [
    "CRITICS",
    "Classified",
    "Judged",
    "MinibatchDiscrimination",
    "Reconstruction",
    "Scored",
    "Setup",
    "autoencoder_critic",
    "categorical",
    "classifier_critic",
    "conditional_entropy",
    "energy_based",
    "feature_critic",
    "feature_matching",
    "loss_sensitive",
    "marginal_entropy",
    "mean_feature_distance",
    "minibatch_critic",
    "packed",
    "pretrain",
    "pulling_away",
    "real_logit",
    "semi_supervised",
    "semi_supervised_cross_entropy",
    "supervised",
    "unrolled",
    "with_samples",
]
