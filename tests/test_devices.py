"""Other devices, tested on a machine that has none.

Tensors on "meta" have a shape and a device but no numbers, and PyTorch's fake tensors say that they are on a
GPU. Both go through the code that a GPU would run; a tensor left behind on the CPU is an error in both.
"""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_lib import critics, data, images, training
from gan_lib.critics import CRITICS
from gan_lib.metrics import mode_coverage
from gan_lib.networks import maxout_mlp, mlp
from gan_lib.objectives import OBJECTIVES
from gan_lib.regularizers import REGULARIZERS
from gan_lib.rng import Streams, resolve_device
from gan_lib.training import train

SEEDS = [3, 11]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
lone_and_ensemble = pytest.mark.parametrize("seed", [0, SEEDS], ids=["lone", "ensemble"])

BUILDERS = {
    "mlp": lambda **o: mlp([2, 8, 2], output="tanh", **o),
    "maxout": lambda **o: maxout_mlp([2, 6, 5, 1], 3, **o),
    "classifier": lambda **o: critics.classifier_critic([2, 8, 8, 3], **o),
    "features": lambda **o: critics.feature_critic([2, 8, 8, 1], **o),
    "minibatch": lambda **o: critics.minibatch_critic([2, 8, 8, 1], **o),
    "autoencoder": lambda **o: critics.autoencoder_critic([2, 8, 3], **o),
    "packed": lambda **o: critics.packed(mlp([4, 8, 1], scalar=True, **o), 2),
    "samples": lambda **o: critics.with_samples(mlp([2, 8, 1], scalar=True, **o)),
}
DISTRIBUTIONS = {
    "ring": data.ring(),
    "grid": data.grid(),
    "normal": data.normal(2),
    "uniform": data.uniform(2),
    "lines": data.two_lines(0.5)[1],
    "roll": data.swiss_roll(),
}
every_builder = pytest.mark.parametrize("make", BUILDERS.values(), ids=BUILDERS)


class OneDevice(TorchDispatchMode):
    """Every operation must find its tensors on one device, as on a GPU; numbers, of no axes, may differ.

    "meta" alone would let a matrix product mix devices. Copies between devices are what they are for,
    and indices on the CPU are allowed.
    """

    FREE = {torch.ops.aten._to_copy, torch.ops.aten.index}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket not in self.FREE:
            tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            found = {t.device.type for t in tensors if t.ndim}
            assert len(found) <= 1, f"{function} mixes {found}"
        return function(*args, **kwargs or {})


@pytest.fixture
def generators(monkeypatch):
    """The devices for which generators were made; "meta" and fake tensors have no generator."""
    made = []

    class Generator:
        def __init__(self, device):
            made.append(torch.device(device))

        def manual_seed(self, seed):
            return None

    monkeypatch.setattr(torch, "Generator", Generator)
    return made


# ------------------------------------------------------------------------------------------ streams


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps"])
@pytest.mark.parametrize("draw", ["normal", "uniform", "integers"])
def test_a_stream_draws_on_its_device_with_a_generator_of_that_device(
    device, draw, generators, monkeypatch
):
    """A generator of another device is an error on a GPU, which neither meta nor fake tensors notice."""
    asked = []

    def sampler(*shape, dtype, device, generator):
        asked.append((device, dtype))
        return torch.zeros(shape[-1], dtype=dtype)

    for name in ("randn", "rand", "randint"):
        monkeypatch.setattr(torch, name, sampler)
    rng = Streams(SEEDS, "x", device)
    x = rng.integers(9, 5) if draw == "integers" else getattr(rng, draw)(5, dtype=torch.float32)
    assert x.shape == (2, 5)
    widest = torch.float32 if device == "mps" else torch.float64
    dtype = torch.int64 if draw == "integers" else widest
    assert asked == [(torch.device(device), dtype)] * 2
    assert generators == [torch.device(device)] * 2


def test_auto_builds_float64_toys_on_the_cpu_where_the_accelerator_lacks_float64(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert mlp([2, 3, 1])[0].weight.device.type == "cpu"
    with pytest.raises(ValueError, match="'mps' is not available for torch.float64"):
        mlp([2, 3, 1], device="mps")
    assert resolve_device("mps", torch.float32).type == "mps"


# ----------------------------------------------------------------------------------- made on a device


@lone_and_ensemble
@every_builder
def test_a_network_is_made_on_the_device_asked_for(make, seed, generators):
    network = make(seed=seed, device="meta", dtype=torch.float32)
    state = [*network.named_parameters(), *network.named_buffers()]
    assert {name: t.device.type for name, t in state} == {name: "meta" for name, _ in state}
    assert {t.dtype for _, t in state if t.is_floating_point()} == {torch.float32}
    streams = [m.rng.device.type for m in network.modules() if hasattr(m, "rng")]
    assert set(streams) <= {"meta"}, "dropout draws its masks where its input is"


def fake_gpu(network, mode):
    """The network with fake tensors on a GPU; `.to` cannot do it."""
    for module in network.modules():
        for kind in (module._parameters, module._buffers):
            for name, t in kind.items():
                if t is not None:
                    with mode:
                        kind[name] = torch.empty(t.shape, dtype=t.dtype, device="cuda")
        if hasattr(module, "rng"):
            module.rng = Streams(module.rng.seeds, module.rng.name, "cuda")
    return network


def on_gpu(output):
    return {t.device.type for t in tree_leaves(output)} == {"cuda"}


@every_builder
def test_forward_on_a_gpu_without_one(make, generators):
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    network = fake_gpu(make(seed=SEEDS, device="cpu", dtype=torch.float64), mode)
    with mode, torch.no_grad():
        assert on_gpu(network(torch.empty(2, 6, 2, device="cuda", dtype=torch.float64)))
        with pytest.raises((FakeTensorDeviceMismatchError, ValueError), match="same device"):
            network(torch.zeros(2, 6, 2, dtype=torch.float64))
    assert {d.type for d in generators} <= {"cuda", "cpu"}  # weights are drawn on the CPU


@every_objective
def test_losses_on_a_gpu_without_one(objective):
    with FakeTensorMode(allow_non_fake_inputs=True):
        real, fake = (torch.empty(2, 5, device="cuda", dtype=torch.float64) for _ in range(2))
        assert on_gpu([objective.critic_loss(real, fake), objective.generator_loss(real, fake)])
        with pytest.raises(FakeTensorDeviceMismatchError):
            objective.critic_loss(real, torch.zeros(2, 5, dtype=torch.float64))


@pytest.mark.parametrize("p", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_distributions_on_a_gpu_without_one(p, generators):
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = p.sample(7, Streams(SEEDS, "data", "cuda"), dtype=torch.float32)
        assert on_gpu(x) and x.shape == (2, 7, 2) and x.dtype == torch.float32
        if p not in (DISTRIBUTIONS["lines"], DISTRIBUTIONS["roll"]):
            assert on_gpu(p.log_prob(x))
    assert {d.type for d in generators} == {"cuda"}


def test_mode_coverage_on_a_gpu_without_one():
    with FakeTensorMode(allow_non_fake_inputs=True):
        found = mode_coverage(torch.empty(2, 30, 2, device="cuda"), DISTRIBUTIONS["ring"])
        assert on_gpu([found.modes, found.high_quality, found.reverse_kl])


# ------------------------------------------------------------------------- training on another device


@pytest.fixture
def elsewhere(generators, monkeypatch):
    """`train` on "meta", where no loss has a value that could be looked at, and autocast is unknown."""
    monkeypatch.setattr(training.Run, "_check_finite", lambda run: None)
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: nullcontext())

    def run(critic, objective="non-saturating", seed=SEEDS, like=DISTRIBUTIONS["ring"], **options):
        generator = mlp([2, 4, like.dim], seed, device="meta")
        plain = lambda p: torch.optim.SGD(p, 0.1)  # noqa: E731  (fused optimisers want a real device)
        options = {"batch": 16, "optimizer": plain, "seed": seed, **options}
        with OneDevice():
            history = train(generator, critic, like, data.normal(2), objective, 2, **options)
        assert history.critic_loss.device.type == history.generator_loss.device.type == "meta"
        for p in [*generator.parameters(), *critic.parameters()]:
            assert p.device.type == "meta"
        assert {d.type for d in generators} <= {"meta", "cpu"}  # weights are drawn on the CPU
        return generators

    return run


def meta_critic(seed=SEEDS):
    return mlp([2, 4, 1], seed, scalar=True, device="meta")


@every_objective
@lone_and_ensemble
def test_every_objective_trains_elsewhere(objective, seed, elsewhere):
    elsewhere(meta_critic(seed), objective, seed)


def test_digits_train_elsewhere(elsewhere):
    critic = mlp([784, 4, 1], scalar=True, device="meta")
    elsewhere(critic, seed=0, like=images.digits())


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_trains_elsewhere(name, elsewhere):
    place, make = REGULARIZERS[name]
    critic = maxout_mlp([2, 4, 1], 2, (0.8, 0.5), SEEDS, dtype=torch.float64, device="meta")
    if place == "critic":
        elsewhere(make()(critic) or critic)
    else:
        elsewhere(critic, **{place: make() if place == "vector_field" else [make()]})


@pytest.mark.parametrize("name", CRITICS)
def test_every_critic_trains_elsewhere(name, elsewhere):
    critic, objective, options = CRITICS[name](SEEDS)
    elsewhere(critic.to("meta"), objective, **options)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(16, 2, dtype=x.dtype),
        lambda x: x @ torch.eye(2, dtype=x.dtype),
        lambda x: torch.cat([x[..., :1], torch.zeros(2, 16, 1, dtype=x.dtype)], -1),
    ],
    ids=["sum", "product", "cat"],
)
def test_a_tensor_left_on_the_cpu_is_noticed_elsewhere(mistake, elsewhere):
    with pytest.raises((AssertionError, RuntimeError), match="mixes|expected device"):
        elsewhere(meta_critic(), transforms=[lambda x, rng: mistake(x)])


# ------------------------------------------------------------------------------- no float64 on it

REAL = {**DISTRIBUTIONS, "digits": images.digits()}


class NoFloat64(TorchDispatchMode):
    """What MPS is: no operation may make float64 numbers on the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **kwargs or {})
        for t in tree_leaves(output):
            if isinstance(t, torch.Tensor) and t.device.type == "meta" and t.dtype == torch.float64:
                raise TypeError(f"{function} makes float64 numbers, and MPS has none")
        return output


PLAYERS = {
    "perceptron": lambda n, **o: mlp([n, 4, 1], scalar=True, **o),
    "dropout": lambda n, **o: maxout_mlp([n, 4, 1], 2, (0.8, 0.5), **o),
}


def narrow_on_meta(draw, *shape, dtype, device, **options):
    dtype = torch.float32 if torch.device(device).type == "meta" else dtype
    return draw(*shape, dtype=dtype, device=device, **options)


@pytest.mark.parametrize("make", PLAYERS.values(), ids=PLAYERS)
@pytest.mark.parametrize("real", REAL.values(), ids=REAL)
def test_training_in_float32_asks_for_no_float64_on_the_device(real, make, generators, monkeypatch):
    for name in ("randn", "rand"):  # as Streams asks of MPS; "meta" stands for it here
        monkeypatch.setattr(torch, name, partial(narrow_on_meta, getattr(torch, name)))
    monkeypatch.setattr(training.Run, "_check_finite", lambda run: None)
    made = {"dtype": torch.float32, "device": "meta"}
    with NoFloat64():
        players = mlp([2, 4, real.dim], **made), make(real.dim, **made)
        plain = lambda p: torch.optim.SGD(p, 0.1)  # noqa: E731
        train(*players, real, data.normal(2), "non-saturating", 2, optimizer=plain)
