"""The Dirac-GAN against closed forms and published rates (Mescheder et al. 2018)."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from gan_lib.dirac import ALL_REMEDIES, clipped, dirac_gan, survey
from gan_lib.dynamics import STEPS, Game, consensus, eigenvalues, iterate, step_factor, vector_field
from gan_lib.objectives import OBJECTIVES, least_squares_of
from gan_lib.regularizers import REGULARIZERS, gradient_penalty, r1, r2, wgan_gp

ZERO, ONE = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
LR = 0.2


def radius(game, step, n=500, after=None):
    theta, psi = iterate(game, STEPS[step], ONE, -ONE, LR, n, after)
    return math.hypot(theta[-1], psi[-1])


def spectrum(game):
    """Eigenvalues at the equilibrium, as sorted (real, imaginary) pairs."""
    return sorted((z.real, z.imag) for z in eigenvalues(game, ZERO, ZERO).tolist())


# objective, options → eigenvalue with the larger imaginary part, |1 + hλ|
KNOWN = [
    ("minimax", {}, 0.5j, 1.00499),
    ("non-saturating", {}, 0.5j, 1.00499),
    ("wasserstein", {}, 1j, 1.0198),
    ("minimax", {"penalty": r1(0.3)}, -0.15 + 1j * math.sqrt(0.25 - 0.0225), 0.97468),
    ("minimax", {"penalty": r2(0.3)}, -0.15 + 1j * math.sqrt(0.25 - 0.0225), 0.97468),
    ("minimax", {"noise": 0.7}, -0.1225 + 0.4848j, 0.98031),
    ("non-saturating", {"noise": 0.7}, -0.1225 + 0.4848j, 0.98031),
    ("minimax", {"consensus": 1.0}, -0.25 + 0.5j, 0.95525),
    ("minimax", {"penalty": r1(1.0)}, -0.5, 0.9),
    # Both means are 0 with noise of mean 0: E softplus(ψσx) has curvature σ²/4, twice, against slope 1.
    ("relativistic-average", {"noise": 0.7}, -0.1225 + 1j * math.sqrt(1 - 0.1225**2), 0.99549),
]


@pytest.mark.parametrize("objective, options, top, factor", KNOWN)
def test_eigenvalues_and_rates(objective, options, top, factor):
    game = dirac_gan(objective, **options)
    (real, imaginary) = spectrum(game)[-1]
    assert abs(complex(real, abs(imaginary)) - top) < 1e-4
    assert abs(step_factor(game, STEPS["simultaneous"], ZERO, ZERO, LR) - factor) < 1e-5


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_r1_by_its_formula(gamma):
    root = (gamma**2 / 4 - 0.25) ** 0.5  # complex below γ = 1
    expected = sorted(
        (complex(z).real, complex(z).imag) for z in (-gamma / 2 - root, -gamma / 2 + root)
    )
    found = spectrum(dirac_gan("minimax", r1(gamma)))
    # At γ = 1 both eigenvalues coincide, where they can be computed to half the digits.
    assert torch.allclose(torch.tensor(found), torch.tensor(expected), atol=1e-7)


def test_consensus_by_its_formula():
    step = lambda game, state, lr: consensus(game, state, lr, gamma=1.0)  # noqa: E731
    expected = abs(1 + LR * complex(-0.25, 0.5))
    assert abs(step_factor(dirac_gan("minimax"), step, ZERO, ZERO, LR) - expected) < 1e-12
    assert abs(expected - 0.95525) < 1e-5


RADII = [
    ("minimax", {}, ("3.10", "1.42", "1.413")),
    ("non-saturating", {}, ("0.640", "0.284", "0.2706")),
    ("minimax", {"penalty": r1(0.3)}, ("2.6e-6", "2.3e-7", "2.4e-7")),
    ("minimax", {"penalty": r1(1.0)}, ("9.5e-22", "7.5e-17", "8.5e-17")),
]


def rounds_to(found, published):
    """Whether all printed digits agree."""
    digits = len(published.split("e")[0].lstrip("0.").replace(".", ""))
    return float(f"{found:.{digits}g}") == float(published)


@pytest.mark.parametrize("objective, options, published", RADII)
def test_radius_after_500_steps(objective, options, published):
    game = dirac_gan(objective, **options)
    for step, expected in zip(
        ("simultaneous", "alternating, a first", "alternating, b first"), published, strict=True
    ):
        assert rounds_to(radius(game, step), expected), step


@pytest.mark.parametrize(
    "first, published, radii",
    [("a", -0.5016, ("0.284", "0.0880", "0.0277")), ("b", -0.497, ("0.2706", "0.0905", "0.0288"))],
)
def test_non_saturating_falls_as_one_over_root_t(first, published, radii):
    """The exponent from 5,000 to 50,000 alternating steps, by a recursion that the library follows."""

    def sigmoid(s):
        return 1 / (1 + math.exp(-s))

    theta, psi, seen = 1.0, -1.0, {}
    for t in range(1, 50_001):
        if first == "a":
            theta += LR * psi * sigmoid(-psi * theta)
        psi -= LR * theta * sigmoid(psi * theta)
        if first == "b":
            theta += LR * psi * sigmoid(-psi * theta)
        seen[t] = math.hypot(theta, psi)
    assert abs(math.log10(seen[50_000] / seen[5_000]) - published) < 1e-3
    for t, expected in zip((500, 5_000, 50_000), radii, strict=True):
        assert rounds_to(seen[t], expected)
    library = radius(dirac_gan("non-saturating"), f"alternating, {first} first", 100)
    assert abs(library - seen[100]) < 1e-12


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_field_of_every_objective_is_that_of_its_losses_by_differences(name):
    objective, eps = OBJECTIVES[name], 1e-6
    theta, psi = torch.tensor([0.6], dtype=torch.float64), torch.tensor([-0.8], dtype=torch.float64)

    def losses(theta, psi):
        real, fake = psi * 0, psi * theta
        return objective.generator_loss(real, fake), objective.critic_loss(real, fake)

    v = vector_field(dirac_gan(objective), theta, psi).detach()
    down = losses(theta + eps, psi)[0] - losses(theta - eps, psi)[0]
    assert abs(v[0] + down / (2 * eps)) < 1e-7
    down = losses(theta, psi + eps)[1] - losses(theta, psi - eps)[1]
    assert abs(v[1] + down / (2 * eps)) < 1e-7


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_rests_at_the_equilibrium(name):
    """θ = 0, ψ = 0 is a rest point of all, and no objective turns it into an attractor."""
    game = dirac_gan(name)
    assert vector_field(game, ZERO, ZERO).abs().max() < 1e-12
    real = max(z[0] for z in spectrum(game))
    assert real > -1e-9, "no damping without a regulariser"


def test_penalty_acts_on_the_critic_alone_and_by_its_formula():
    theta, psi = 0.4 * ONE, 1.7 * ONE
    plain = vector_field(dirac_gan("minimax"), theta, psi).detach()
    for penalty, slope in (
        (r1(0.5), 0.5 * 1.7),
        (r2(0.5), 0.5 * 1.7),
        (wgan_gp(10.0), 20 * (1.7 - 1)),
        (gradient_penalty(3.0, sides="one-linear"), 3.0),
        (gradient_penalty(3.0, "around_data", "one-squared"), 6 * (1.7 - 1)),
    ):
        field = vector_field(dirac_gan("minimax", penalty), theta, psi).detach()
        assert field[0] == plain[0]
        assert abs(field[1] - (plain[1] - slope)) < 1e-12


def test_clipping_bounds_the_critic_on_both_sides():
    theta, psi = clipped(0.5)(2 * ONE, torch.tensor([-3.0, -0.2, 3.0]))
    assert theta == 2 and psi.tolist() == pytest.approx([-0.5, -0.2, 0.5])


def test_wgan_gp_and_clipping_do_not_settle():
    """Mescheder et al. 2018, §§ 3.1–3.2: with simultaneous steps both go round the equilibrium for ever."""
    wasserstein = dirac_gan("wasserstein")
    assert radius(dirac_gan("wasserstein", wgan_gp(1.0)), "simultaneous", 1000) > 0.1
    assert radius(wasserstein, "simultaneous", 1000, after=clipped(1.0)) > 0.1
    assert radius(dirac_gan("wasserstein", r1(1.0)), "simultaneous", 1000) < 1e-9


@pytest.mark.parametrize("name", OBJECTIVES)
def test_noise_is_the_expectation_over_many_draws(name):
    """One huge batch: a relativistic average compares each sample with the mean of all of them."""
    game, objective = dirac_gan(name, noise=0.7), OBJECTIVES[name]
    draws = 0.7 * torch.randn(2, 400_000, dtype=torch.float64, generator=torch.manual_seed(0))
    theta, psi = 0.5 * ONE, -1.1 * ONE
    real, fake = psi * draws[0], psi * (theta + draws[1])
    assert abs(game.loss_b(theta, psi) - objective.critic_loss(real, fake)) < 1e-2
    sampled = objective.generator_loss(real if objective.paired else None, fake)
    assert abs(game.loss_a(theta, psi) - sampled) < 1e-2


def softplus_over_noise(at, scale):
    """E softplus(at + scale · x) for standard normal x, by SciPy."""
    f = lambda x: np.logaddexp(0, at + scale * x) * norm.pdf(x)  # noqa: E731
    return quad(f, -12, 12, epsabs=1e-13, epsrel=1e-12)[0]


@pytest.mark.parametrize("psi, error", [(-1.0, 1e-13), (1.4, 1e-11), (4.0, 4e-5)])
def test_quadrature_is_as_exact_as_it_says(psi, error):
    sigma, theta = 0.7, 0.5
    expected = {
        "minimax": softplus_over_noise(0, sigma * psi)
        + softplus_over_noise(psi * theta, sigma * psi),
        "relativistic": softplus_over_noise(psi * theta, math.sqrt(2) * sigma * psi),
        "relativistic-average": 2 * softplus_over_noise(psi * theta, sigma * psi),
    }
    for name, value in expected.items():
        found = dirac_gan(name, noise=sigma).loss_b(theta * ONE, psi * ONE).item()
        bound = 100 * error if name == "relativistic" else error  # it sees √2 σ
        assert abs(found - value) < bound, name


def test_least_squares_with_labels_0_and_1_leaves_every_place_at_rest():
    """A line through the origin cannot say 1 at 0, and with ψ = 0 it is right about every fake."""
    game = dirac_gan("least-squares")
    theta = torch.linspace(-2, 2, 5, dtype=torch.float64).unsqueeze(-1)
    assert vector_field(game, theta, 0 * theta)[:, 1].abs().max() == 0
    assert eigenvalues(game, ZERO, ZERO).abs().max() == 0
    symmetric = eigenvalues(dirac_gan(least_squares_of(-1.0, 1.0, 1.0)), ZERO, ZERO)
    assert sorted(symmetric.imag.tolist()) == pytest.approx([-1, 1])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_survey_of_all_remedies(name):
    lines = {v.regularizer: v for v in survey([name], ALL_REMEDIES, lr=LR, n=1)}
    assert list(lines) == list(ALL_REMEDIES)
    for remedy, line in lines.items():
        if remedy.startswith("WGAN-GP"):  # |ψ| has a kink at 0: nothing rests there
            assert math.isnan(line.factor) and line.eigenvalues.isnan().all()
        else:
            assert abs(line.factor - (1 + LR * line.eigenvalues).abs().max()) < 1e-9
    free, damped = lines["none"], lines["R1, γ = 0.3"]
    for remedy in ("one-sided, λ = 1", "clipping, c = 1"):  # both flat near 0
        assert torch.equal(lines[remedy].eigenvalues, free.eigenvalues)
    assert torch.allclose(lines["R2, γ = 0.3"].eigenvalues, damped.eigenvalues)
    if name != "least-squares":
        assert damped.factor < free.factor


def test_survey_says_what_was_measured():
    lines = {(v.objective, v.regularizer): v for v in survey(["minimax", "wasserstein"], n=300)}
    assert not lines["minimax", "none"].converges and lines["minimax", "R1, γ = 1"].converges
    assert not lines["wasserstein", "instance noise, σ = 0.7"].converges, (
        "noise damps nothing linear"
    )
    assert lines["minimax", "none"].factor > 1 > lines["minimax", "R1, γ = 0.3"].factor


def test_members_and_wrong_input():
    theta = torch.tensor([[0.1], [0.5]], dtype=torch.float64)
    game = dirac_gan("minimax", r1(torch.tensor([0.3, 1.0], dtype=torch.float64)))
    together = iterate(game, STEPS["simultaneous"], theta, -theta, LR, 50)[0]
    for i, gamma in enumerate((0.3, 1.0)):
        alone = dirac_gan("minimax", r1(gamma))
        assert torch.allclose(
            together[:, i], iterate(alone, STEPS["simultaneous"], theta[i], -theta[i], LR, 50)[0]
        )
    with pytest.raises(ValueError, match="must not be negative"):
        dirac_gan("minimax", noise=-1)
    assert isinstance(game, Game) and "r1" in REGULARIZERS
