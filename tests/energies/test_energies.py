"""Built-in energies: log Z against quadrature and enumeration, recovery by NCE."""

import itertools
import math

import pytest
import torch
from helpers.energies import randomized
from torch.distributions import Categorical, MultivariateNormal

from contrastive import (
    ContrastiveError,
    ContrastiveEstimator,
    available_energies,
    make_energy,
    make_noise,
)
from contrastive.registry import energies

#: Those of images have tests of their own: test_conv.py, test_few_labels.py.
IMAGES = {"conv", "conv-small", "conv-large"}
BUILTIN = [
    name for name in available_energies() if energies.source(name) == energies.source("mlp") and name not in IMAGES
]


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
