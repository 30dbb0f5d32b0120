"""Built-in energies: log Z against quadrature and enumeration, recovery by NCE, the tilted energy's base."""

import copy
import itertools
import json
import math

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, MultivariateNormal

from contrastive import (
    ContrastiveError,
    ContrastiveEstimator,
    available_energies,
    fit,
    load,
    make_density,
    make_energy,
    make_noise,
)
from contrastive.cli.main import main
from contrastive.energies import Tilted
from contrastive.energies.built_on_noise import BuiltOnNoise
from contrastive.registry import energies
from contrastive.training.trainer import Trainer

#: Those of images have tests of their own: `conv` below, the others in test_few_label_energies.
IMAGES = {"conv", "conv-small", "conv-large"}
BUILTIN = [
    name for name in available_energies() if energies.source(name) == energies.source("mlp") and name not in IMAGES
]


def randomized(name, event_shape, **options):
    """An energy in float64, every parameter moved away from where it starts."""
    energy = make_energy(name, event_shape=event_shape, **options).double()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    if isinstance(energy, BuiltOnNoise):
        energy.start_from(make_noise("gaussian", event_shape=event_shape, loc=float(torch.randn(()))).double())
    return energy


def spins(d):
    """All configurations, by another road than the library's."""
    return torch.tensor(list(itertools.product([-1.0, 1.0], repeat=d)), dtype=torch.float64)


@pytest.mark.parametrize("name", BUILTIN)
@pytest.mark.parametrize("event_shape", [(1,), (3,), (2, 2)])
def test_an_energy_gives_one_finite_number_a_point_with_finite_gradients(name, event_shape):
    energy = randomized(name, event_shape)
    x = (10 * torch.randn(7, *event_shape, dtype=torch.float64)).requires_grad_()
    f = energy(x)
    assert f.shape == (7,)
    assert f.dtype == torch.float64
    learned = [parameter for parameter in energy.parameters() if parameter.requires_grad]
    for gradient in torch.autograd.grad(f.sum(), [x, *learned]):
        assert gradient.isfinite().all()
    torch.testing.assert_close(torch.cat([energy(row[None]) for row in x]), f)


@pytest.mark.parametrize("name", BUILTIN)
def test_an_energy_is_its_state(name):
    energy, twin = randomized(name, (3,)), randomized(name, (3,))
    x = torch.randn(5, 3, dtype=torch.float64)
    assert not torch.equal(energy(x), twin(x))
    twin.load_state_dict(energy.state_dict())
    assert torch.equal(energy(x), twin(x))


# log Z ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("gaussian", {}, 1e-10),
        ("rbm", {"hidden": 3}, 1e-10),
        ("ica", {"expert": "laplace"}, 2e-3),  # the trapezoidal rule loses digits at the kinks
        ("ica", {"expert": "logistic"}, 1e-10),
        ("ring", {"radius": 2.0, "precision": 4.0}, 2e-4),  # and at the origin
    ],
)
def test_log_partition_and_its_gradient_agree_with_quadrature(name, options, tolerance, d):
    energy = randomized(name, (d,), **options)
    parameters = list(energy.parameters())
    line = torch.linspace(-25, 25, 20_001 if d == 1 else 1001, dtype=torch.float64)
    points = torch.cartesian_prod(*[line] * d).reshape(-1, d)
    exact = torch.logsumexp(energy(points), 0) + d * (line[1] - line[0]).log()
    assert energy.log_partition().shape == ()
    torch.testing.assert_close(energy.log_partition(), exact, rtol=0, atol=tolerance)
    given = [torch.autograd.grad(value, parameters, allow_unused=True) for value in (energy.log_partition(), exact)]
    for own, by_quadrature in zip(*given):
        own = torch.zeros_like(by_quadrature) if own is None else own  # a mean that moves changes no integral
        torch.testing.assert_close(own, by_quadrature, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("name", ["gaussian", "rbm", "ica", "ring", "ising"])
def test_log_partition_is_in_float64_for_a_float32_energy(name):
    energy = make_energy(name, event_shape=(3,))
    assert energy.log_partition().dtype == torch.float64
    torch.testing.assert_close(energy.log_partition(), energy.double().log_partition(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("d", [1, 2, 10, 784])
def test_a_ring_without_radius_is_a_gaussian(d):
    energy = make_energy("ring", event_shape=(d,), radius=1e-9, precision=2.5).double()
    assert float(energy.log_partition().detach()) == pytest.approx(d / 2 * math.log(2 * math.pi / 2.5), rel=1e-6)


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_a_thin_wide_ring_is_the_sphere_times_a_gaussian(d):
    """To 1e-4: the next term is (d - 1)(d - 2) / (2 precision radius^2)."""
    energy = make_energy("ring", event_shape=(d,), radius=20.0, precision=1e4).double()
    sphere = math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2) + (d - 1) * math.log(20.0)
    expected = sphere + 0.5 * math.log(2 * math.pi / 1e4)
    assert float(energy.log_partition().detach()) == pytest.approx(expected, abs=1e-4)


def test_free_energy_is_the_sum_over_hidden_states():
    energy = randomized("rbm", (4,), hidden=5)
    v = torch.randn(20, 4, dtype=torch.float64)
    width = energy.log_scale.exp()
    joint = [
        -(v - energy.visible_bias).square().sum(1) / (2 * width**2)
        + v @ (h @ energy.weight) / width**2
        + energy.hidden_bias @ h
        for h in (spins(5) + 1) / 2
    ]
    torch.testing.assert_close(energy(v), torch.logsumexp(torch.stack(joint), 0))


def test_an_rbm_without_weights_has_independent_hidden_units():
    """2^18 hidden states are summed in four parts."""
    energy = randomized("rbm", (2,), hidden=18)
    with torch.no_grad():
        energy.weight.zero_()
        expected = math.log(2 * math.pi) + 2 * energy.log_scale + torch.nn.functional.softplus(energy.hidden_bias).sum()
        torch.testing.assert_close(energy.log_partition(), expected)


@pytest.mark.parametrize("event_shape", [(1,), (4,), (2, 3)])
def test_ising_log_partition_is_the_sum_over_configurations(event_shape):
    energy = randomized("ising", event_shape)
    d = math.prod(event_shape)
    f = 0.5 * ((spins(d) @ energy.couplings) * spins(d)).sum(1) + spins(d) @ energy.field
    torch.testing.assert_close(energy(spins(d).reshape(-1, *event_shape)), f)
    torch.testing.assert_close(energy.log_partition(), torch.logsumexp(f, 0))


def test_an_open_chain_of_16_spins_has_its_textbook_partition_function():
    """Z = 2^d cosh(J)^(d - 1)."""
    energy = make_energy("ising", event_shape=(16,)).double()
    with torch.no_grad():
        energy.above_diagonal.copy_(0.7 * torch.eye(16, dtype=torch.float64).roll(1, 1).triu(1))
    expected = 16 * math.log(2) + 15 * math.log(math.cosh(0.7))
    assert float(energy.log_partition().detach()) == pytest.approx(expected, rel=1e-12)


# NCE finds them ------------------------------------------------------------------------------------------------------


def test_nce_recovers_a_precision_and_log_z():
    """2,000 updates on 1,000 fresh draws each; seeds 0 to 4 left at most 0.006 in a parameter, 0.0016 in log Z."""
    precision = torch.tensor([[1.5, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.8]])
    truth = MultivariateNormal(torch.tensor([0.5, -1.0, 0.0]), precision_matrix=precision)
    noise = MultivariateNormal(torch.zeros(3), 2.5 * torch.eye(3))
    estimator = ContrastiveEstimator(make_energy("gaussian", event_shape=(3,)), noise)
    estimator.fit(truth, steps=2000, batch_size=1000, quiet=True)
    energy = estimator.energy
    torch.testing.assert_close(energy.precision, precision, rtol=0, atol=0.02)
    torch.testing.assert_close(energy.loc, truth.loc, rtol=0, atol=0.02)
    assert float((estimator.log_normalizer - energy.log_partition()).detach()) == pytest.approx(0, abs=0.01)


def test_nce_recovers_an_ising_model_and_log_z():
    truth = randomized("ising", (5,))
    with torch.no_grad():
        draws = Categorical(logits=truth(spins(5))).sample((40_000,))
    noise = make_noise("bernoulli-spins", event_shape=(5,))
    estimator = ContrastiveEstimator(make_energy("ising", event_shape=(5,)), noise, noise_ratio=4.0)
    estimator.fit(spins(5)[draws], standardize=False, steps=1500, batch_size=1000, quiet=True)
    energy = estimator.energy
    torch.testing.assert_close(energy.couplings.double(), truth.couplings, rtol=0, atol=0.05)
    torch.testing.assert_close(energy.field.double(), truth.field, rtol=0, atol=0.05)
    assert float((estimator.log_normalizer - energy.log_partition()).detach()) == pytest.approx(0, abs=0.02)
    mass = estimator.log_prob(spins(5)).exp().sum()
    assert float(mass.detach()) == pytest.approx(1, abs=0.02)


# The tilted energy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [None, 2.0])
def test_a_tilted_energy_starts_as_the_noise(bound):
    noise = make_noise("gaussian", event_shape=(2,), loc=[1.0, -1.0], covariance=[[2.0, 0.5], [0.5, 1.0]])
    estimator = ContrastiveEstimator(make_energy("tilted", event_shape=(2,), bound=bound), noise)
    x = 5 * torch.randn(50, 2)
    assert torch.equal(estimator.log_ratio(x), torch.zeros(50))
    with torch.no_grad():
        estimator.log_normalizer.fill_(0.75)
    torch.testing.assert_close(estimator.log_ratio(x), torch.full((50,), -0.75), rtol=0, atol=1e-5)
    assert torch.equal(estimator.energy(x), noise.log_prob(x))


def test_a_bound_holds_everywhere():
    energy = randomized("tilted", (2,), bound=1.5)
    with torch.no_grad():
        energy.strength.fill_(1e3)
    x = 1e3 * torch.randn(100, 2, dtype=torch.float64)
    correction = energy(x) - energy.base.log_prob(x)
    assert (correction.abs() < 1.5 + 1e-6).all()
    assert (correction.abs() > 1.4).all(), "the test did not reach the bound"


def test_a_tilted_energy_of_classes():
    energy = make_energy("tilted", event_shape=(2,), num_classes=3, widths=(8,))
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(energy, noise)
    x = torch.randn(6, 2)
    torch.testing.assert_close(estimator.class_log_prob(x), noise.log_prob(x)[:, None].expand(6, 3))


def test_the_base_is_the_pretrained_noise_and_stays_when_the_noise_moves_on():
    """Nothing but the noise's pre-training is the same in both runs: NCE holds it, FCE moves it."""
    settings = {
        "energy": "tilted",
        "energy_options": {"widths": [8]},
        "noise_options": {"loc": [3.0, -3.0]},
        "pretrain_steps": 100,
        "steps": 60,
        "quiet": True,
    }
    held, moved = fit("moons", **settings), fit("moons", method="fce", schedule="alternate", **settings)
    x = torch.randn(20, 2)
    given = make_noise("gaussian", event_shape=(2,), loc=[3.0, -3.0])
    torch.testing.assert_close(held.energy.base.log_prob(x), held.noise.log_prob(x))
    torch.testing.assert_close(moved.energy.base.log_prob(x), held.noise.log_prob(x))
    assert float((moved.noise.log_prob(x) - moved.energy.base.log_prob(x)).detach().abs().max()) > 1e-3
    assert float((given.log_prob(x) - held.energy.base.log_prob(x)).detach().abs().max()) > 1.0


def test_a_learned_correction_keeps_its_base():
    estimator = fit("moons", energy="tilted", energy_options={"widths": [8]}, steps=20, quiet=True)
    x = torch.randn(20, 2)
    before = estimator.energy(x)
    ContrastiveEstimator(estimator.energy, make_noise("student-t", event_shape=(2,)))
    assert torch.equal(estimator.energy(x), before)


def test_a_restarted_energy_is_the_noise_as_it_now_is():
    estimator = fit("moons", energy="tilted", energy_options={"widths": [8]}, steps=20, quiet=True)
    with torch.no_grad():
        estimator.noise.loc.add_(0.5)
    x = torch.randn(20, 2)
    assert not torch.allclose(estimator.log_prob(x), estimator.noise_log_prob(x), atol=0.05)
    estimator.restart_energy()
    assert torch.equal(estimator.log_prob(x), estimator.noise_log_prob(x))
    with pytest.raises(ContrastiveError, match="not built on the noise"):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), estimator.noise).restart_energy()


def test_a_game_restarts_its_energy_in_the_first_half_only(monkeypatch):
    restarts = []
    restart = Tilted.restart_from

    def counted(energy, noise):
        restarts.append(bool(energy.strength != 0))
        restart(energy, noise)

    monkeypatch.setattr(Tilted, "restart_from", counted)
    settings = {"method": "fce", "schedule": "alternate", "steps": 60, "restart_energy_every": 20, "quiet": True}
    estimator = fit("moons", energy="tilted", energy_options={"widths": [8]}, **settings)
    assert restarts.count(True) == 2  # after update 20, the estimator's energy and its moving average's
    torch.testing.assert_close(estimator.energy.strength.abs() > 0, torch.tensor(True))
    with pytest.raises(ContrastiveError, match="built on the noise"):
        fit("moons", **settings)


def test_a_tilted_run_resumes_and_loads(tmp_path, monkeypatch):
    """Stopped in the middle of the game it ends at the figures of the run that was not."""
    settings = {
        "energy": "tilted",
        "energy_options": {"bound": 4.0, "widths": [16]},
        "noise_options": {"loc": [1.0, 0.0]},
        "method": "fce",
        "schedule": "alternate",
        "pretrain_steps": 40,
        "steps": 100,
        "evaluate_every": 50,
        "checkpoint_every": 30,
        "quiet": True,
    }
    whole = fit("moons", out=str(tmp_path / "whole"), **settings)
    save = Trainer.save

    def save_and_stop(trainer):
        save(trainer)
        if trainer.position.updates == 100:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit("moons", out=str(tmp_path / "stopped"), **settings)
    assert not main(["fit", "--resume", str(tmp_path / "stopped"), "--no-report", "--quiet"])
    x = torch.randn(20, 2)
    for run in ("whole", "stopped"):
        loaded = load(tmp_path / run)
        assert loaded.energy.bound == 4.0
        torch.testing.assert_close(loaded.log_prob(x), whole.log_prob(x))
    keys = {"test_log_prob_energy", "log_normalizer", "value"}
    whole_summary, summary = (json.loads((tmp_path / run / "summary.json").read_text()) for run in ("whole", "stopped"))
    assert {key: summary[key] for key in keys} == {key: whole_summary[key] for key in keys}


def test_a_tilted_energy_takes_noises_that_are_no_modules():
    estimator = ContrastiveEstimator(make_energy("tilted", event_shape=(2,)), make_density("banana"))
    estimator.fit("banana", steps=5, quiet=True)
    assert estimator.log_prob(torch.zeros(3, 2)).isfinite().all()


# A tilted energy that follows the noise ------------------------------------------------------------------------------


def following(num_classes=None):
    """An adapting estimator whose energy follows, and one that has the same numbers in a frozen copy."""
    torch.manual_seed(0)
    noise = make_noise("glow", event_shape=(2,), depth=2, width=8)
    noise.initialize(torch.randn(50, 2))
    noise = noise.double()
    options = {"widths": (8,), "num_classes": num_classes}
    follows = make_energy("tilted", event_shape=(2,), follow=True, **options).double()
    copied = make_energy("tilted", event_shape=(2,), **options).double()
    copied.load_state_dict(follows.state_dict())
    copied.start_from(noise)
    copied.restart_from(noise)
    with torch.no_grad():
        for energy in (follows, copied):
            energy.strength.fill_(0.7)
    estimators = [ContrastiveEstimator(energy, noise, adapt_noise=True).double() for energy in (follows, copied)]
    with torch.no_grad():
        for estimator in estimators:
            estimator.log_normalizer.fill_(0.3)
    return estimators


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("way", ["energy", "path", "full"])
def test_an_energy_that_follows_has_the_log_ratios_and_gradients_of_one_on_a_copy(way, num_classes):
    z, found = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), []
    for estimator in following(num_classes):
        torch.manual_seed(2)
        if way == "energy":
            contrast = estimator.contrast(z)
            own = [estimator.log_normalizer, *(p for p in estimator.energy.parameters() if p.requires_grad)]
            gradient = torch.autograd.grad(contrast.loss, own)
        else:
            contrast = estimator.noise_loss(z, path_only=way == "path")
            loss = contrast.value + 0.1 * contrast.r_data.mean()
            gradient = torch.autograd.grad(loss, list(estimator.noise.parameters()))
        found.append([contrast.r_data, contrast.r_noise, *gradient])
    assert any(float(g.detach().abs().max()) > 1e-3 for g in found[0][2:])
    for followed, copied in zip(*found):
        torch.testing.assert_close(followed, copied, atol=1e-9, rtol=1e-7)


def test_an_energy_that_follows_is_log_q_plus_the_tilt_wherever_the_noise_goes():
    estimator = following()[0]
    twin, x = copy.deepcopy(estimator), torch.randn(20, 2, dtype=torch.float64)
    before = twin.log_prob(x)
    with torch.no_grad():
        for parameter in estimator.noise.parameters():
            parameter.add_(0.2)
    torch.testing.assert_close(estimator.energy(x), estimator.noise.log_prob(x) + estimator.energy.tilt(x))
    assert not torch.allclose(estimator.log_prob(x), before)
    torch.testing.assert_close(twin.log_prob(x), before)  # a copy of the estimator follows the copy's noise
    assert not [name for name in estimator.energy.state_dict() if name.startswith("base")]


def test_a_run_whose_energy_follows_plays_loads_and_resumes(tmp_path):
    settings = {"energy": "tilted", "energy_options": {"follow": True, "widths": [8]}, "noise": "glow", "quiet": True}
    settings |= {"noise_options": {"depth": 2, "width": 8}, "method": "fce", "schedule": "alternate", "steps": 60}
    fitted = fit("moons", noise_gradient="path", defensive_share=0.0, out=str(tmp_path / "run"), **settings)
    loaded, x = load(tmp_path / "run"), torch.randn(20, 2)
    torch.testing.assert_close(loaded.log_prob(x), fitted.log_prob(x))
    assert loaded.energy.follows(loaded.noise)
    torch.testing.assert_close(loaded.log_ratio(x), loaded.energy.tilt(x) - loaded.log_normalizer, atol=1e-4, rtol=0)
    assert float(loaded.energy.tilt(x).abs().max()) > 1e-3


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rbm", {"hidden": 0}, "hidden must be at least 1"),
        ("ica", {"experts": 0}, "experts must be at least 1"),
        ("ica", {"expert": "laplacian"}, "did you mean 'laplace'"),
        ("ring", {"radius": 0.0}, "radius must be positive"),
        ("ring", {"precision": float("nan")}, "precision must be positive"),
        ("tilted", {"bound": 0.0}, "bound of a tilted energy must be positive"),
        ("tilted", {"correction": "tilted"}, "cannot be tilted itself"),
        ("tilted", {"correction": "ringg"}, "did you mean 'ring'"),
        ("tilted", {"width": 3}, "no option 'width'; did you mean 'widths'"),
        ("mlp", {"num_classes": 0}, "num_classes must be at least 1"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(name, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_energy(name, event_shape=(2,), **options)


@pytest.mark.parametrize(
    ("name", "d", "options", "message"),
    [
        ("rbm", 2, {"hidden": 21}, r"2\^21 hidden states"),
        ("ica", 2, {"experts": 3}, "not for 3 in 2"),
        ("ising", 17, {}, r"2\^17 configurations"),
    ],
)
def test_a_log_partition_out_of_reach_is_refused_in_a_sentence(name, d, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_energy(name, event_shape=(d,), **options).log_partition()


def test_a_tilted_energy_without_a_noise_says_so():
    with pytest.raises(ContrastiveError, match="has no noise yet"):
        make_energy("tilted", event_shape=(2,))(torch.zeros(3, 2))


# The convolutional energy ----------------------------------------------------------------------------------------


def test_the_convolutional_energy_is_the_papers_at_32_by_32():
    """Table 5, right column: 4x4 convolutions of 64, 128, 256 channels, stride 2, leaky ReLU 0.2, then 4x4 to one."""
    energy = make_energy("conv", event_shape=(3, 32, 32))
    lines = [nn.Conv2d(3, 64, 4, 2, 1), nn.Conv2d(64, 128, 4, 2, 1), nn.Conv2d(128, 256, 4, 2, 1), nn.Conv2d(256, 1, 4)]
    by_hand = nn.Sequential(*[m for line in lines[:-1] for m in (line, nn.LeakyReLU(0.2))], lines[-1], nn.Flatten(0))
    by_hand.load_state_dict({key.replace("layers.", ""): value for key, value in energy.state_dict().items()})
    x = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(energy(x), by_hand(x))


@pytest.mark.parametrize("normalization", ["none", "spectral", "weight"])
def test_the_convolutional_energy_of_classes_fits_other_sizes(normalization):
    energy = make_energy("conv", event_shape=(1, 28, 28), widths=(8, 8), normalization=normalization, num_classes=4)
    assert energy(torch.randn(2, 1, 28, 28)).shape == (2, 4)


def test_detail_is_what_a_pixel_has_over_the_mean_of_those_around_it():
    energy, seen = make_energy("conv", event_shape=(2, 4, 4), widths=(8,), detail=3.0), []
    energy.layers[0].register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    x = torch.randn(5, 2, 4, 4)
    energy(x)
    by_hand = torch.empty_like(x)
    for i in range(4):
        for j in range(4):
            around = x[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            by_hand[:, :, i, j] = torch.tanh(3 * (x[:, :, i, j] - around.mean((2, 3))))
    torch.testing.assert_close(seen[0], torch.cat([x, by_hand], 1))


def test_spectral_normalisation_bounds_every_layer():
    """As the matrix that torch's parametrisation normalises, filters by their entries: largest singular value 1."""
    torch.manual_seed(0)
    energy = make_energy("conv", event_shape=(3, 8, 8), widths=(16,), normalization="spectral")
    for _ in range(50):
        energy(torch.randn(2, 3, 8, 8))  # power iterations
    for layer in energy.layers:
        if isinstance(layer, nn.Conv2d):
            assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2,), {}, "is for images"),
        ((3, 28, 28), {}, "fewer --energy.widths"),
        ((3, 32, 32), {"normalization": "batch"}, "none, spectral or weight"),
        ((3, 32, 32), {"activation": "relux"}, "unknown activation"),
        ((3, 32, 32), {"widths": (0,)}, "must be positive"),
        ((3, 32, 32), {"detail": -1.0}, "gain of the detail must be finite"),
    ],
)
def test_images_that_the_convolutions_cannot_halve_are_refused(shape, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_energy("conv", event_shape=shape, **options)
