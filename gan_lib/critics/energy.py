"""The energy-based GAN (Zhao, Mathieu and LeCun 2017, arXiv 1609.03126): an autoencoder is the critic.

What it reconstructs badly has a high energy. Energies are `(*members, batch)`, losses `(*members,)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from gan_lib.networks import mlp
from gan_lib.objectives import Objective
from gan_lib.rng import Seed, Streams
from gan_lib.training import adam, descend
from gan_lib.training_checks import check_members, check_whole, first_parameter

ENERGIES = {
    "mean": lambda error: error.square().mean(-1),
    "norm": lambda error: torch.linalg.vector_norm(error, dim=-1),
}


class Reconstruction(NamedTuple):
    """What an autoencoder critic says: `energy` `(*members, batch)`, `code` `(*members, batch, c)`."""

    energy: Tensor
    code: Tensor


class Autoencoder(nn.Module):
    """x ↦ (E(x), Enc(x)), where E measures the error Dec(Enc(x)) − x of each sample."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, members=(), energy: str = "mean"):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.members, self.energy = members, energy

    def forward(self, x: Tensor) -> Reconstruction:
        code = self.encoder(x)
        return Reconstruction(ENERGIES[self.energy](self.decoder(code) - x), code)


def autoencoder_critic(
    sizes: Sequence[int],
    seed: Seed = 0,
    activation: str = "relu",
    output: str | None = None,
    energy: str = "mean",
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "auto",
) -> Autoencoder:
    """An autoencoder from `sizes` = [inputs, hidden …, code] and back again, as a critic.

    `energy="mean"`: E(x) = ‖Dec(Enc(x)) − x‖² / inputs, so that a margin means the same for small and
    large images; `"norm"`: E(x) = ‖Dec(Enc(x)) − x‖, as in the paper (section 2.3). The code is linear;
    `output` is the activation of the last layer. Returns a module that maps `(*members, batch, inputs)`
    to a `Reconstruction`. Raises ValueError for an unknown energy, and as `mlp` does.
    """
    if energy not in ENERGIES:
        raise ValueError(f"unknown energy {energy!r}; choose from {', '.join(ENERGIES)}.")
    if len(sizes) < 2:
        raise ValueError(f"sizes={list(sizes)} needs at least an input and a code size.")
    there_and_back = [*sizes, *sizes[-2::-1]]
    network = mlp(there_and_back, seed, activation, output, dtype=dtype, device=device)
    middle = 2 * (len(sizes) - 1)  # linear maps and activations alternate; the code drops its own
    return Autoencoder(network[: middle - 1], network[middle:], network.members, energy)


def pulling_away(code: Tensor) -> Tensor:
    """f_PT(S) = 1/(N(N − 1)) Σ_i Σ_{j≠i} (S_iᵀS_j / ‖S_i‖‖S_j‖)²: how alike the codes of a batch are.

    Zhao et al. 2017, section 2.4. `code` `(*members, N, c)` → `(*members,)`: 0 where all codes are
    orthogonal, 1 where all are parallel. Raises ValueError for a batch of one.
    """
    n = code.shape[-2]
    if n < 2:
        raise ValueError("the pulling-away term compares samples: take a batch of at least 2.")
    direction = normalize(code, dim=-1)
    cosine = direction @ direction.mT
    others = ~torch.eye(n, dtype=torch.bool, device=code.device)
    return (cosine * others).square().sum((-2, -1)) / (n * (n - 1))


def energy_based(margin: float | Tensor, pull_away: float = 0.0) -> Objective:
    """Low energy for data, high for samples, but no higher than `margin` m > 0 (eqs. 1 and 2).

    Critic: E(x) + max(0, m − E(G(z))); generator: E(G(z)) + `pull_away` · f_PT(codes of the samples).
    `margin`: a number, or a tensor `(*members,)`, in units of the energy. Needs `autoencoder_critic`.
    Raises ValueError if a margin is not positive or the weight is negative.
    """
    if (torch.as_tensor(margin) <= 0).any():
        raise ValueError(f"margin={margin}: a margin must be positive, or no sample is pushed up.")
    if pull_away < 0:
        raise ValueError(f"pull_away={pull_away}: a weight ≥ 0, or the samples are drawn together.")

    def critic_loss(real: Reconstruction, fake: Reconstruction) -> Tensor:
        level = margin.to(fake.energy).unsqueeze(-1) if isinstance(margin, Tensor) else margin
        return real.energy.mean(-1) + relu(level - fake.energy).mean(-1)

    def generator_loss(real: None, fake: Reconstruction) -> Tensor:
        repelling = pull_away * pulling_away(fake.code) if pull_away else 0.0
        return fake.energy.mean(-1) + repelling

    return Objective(
        "energy-based",
        critic_loss,
        generator_loss,
        "Zhao et al. 2017, eqs. 1–2" + ", § 2.4" * bool(pull_away),
        output="an energy and a code: use autoencoder_critic",
    )


def pretrain(
    autoencoder: nn.Module,
    data,
    steps: int,
    *,
    batch: int = 64,
    optimizer: Callable | None = None,
    seed: Seed = 0,
) -> Tensor:
    """Lower the mean energy of real samples alone, before any generator is there.

    `data`, `optimizer` and `seed` as in `train`. Returns the mean energies `(steps, *members)`, each
    before its step. Raises ValueError if the seeds are not as many as the members, or steps < 1.
    """
    like = first_parameter(autoencoder)
    rng = Streams(seed, "pretrain", like.device)
    check_members("autoencoder", autoencoder, rng.members)
    check_whole(steps=steps, batch=batch)
    data = data.to(like.device) if hasattr(data, "to") else data
    descent, losses = (optimizer or adam())(autoencoder.parameters()), []
    for _ in range(steps):
        loss = autoencoder(data.sample(batch, rng, dtype=like.dtype)).energy.mean(-1)
        descend(descent, loss)
        losses.append(loss.detach())
    return torch.stack(losses)
