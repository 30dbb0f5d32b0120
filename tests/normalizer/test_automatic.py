"""log Z of whole estimators: against closed forms, quadrature and enumeration, and the verdicts.

Errors are allowed 4.5 of the stated standard errors, false-alarm rate 7e-6 each.
"""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, make_energy, make_noise
from contrastive.data.scaling import Scaling
from contrastive.energies.enumeration import log_sum_over_states
from contrastive.normalizer import log_partitions
from contrastive.testing.oracles import (
    CosineTilt,
    IsingTorus,
    ShearFlow,
    constant_oracle,
    cosine_oracle,
    gaussian_oracle,
    mixture_oracle,
    student_noise,
)

SIGMAS = 4.5
DRAWS = 4_000


def assert_right(estimate, log_z):
    assert estimate.is_reliable, str(estimate)
    assert abs(estimate.log_z - log_z) < SIGMAS * estimate.standard_error + 1e-6, f"{estimate}, exact {log_z}"
    assert estimate.low < estimate.log_z < estimate.high


def randomized(energy, size=0.3):
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return energy


# The oracles themselves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("coupling", [-0.3, 0.2, 0.6])
def test_transfer_matrix_of_the_torus_is_the_sum_over_all_states(coupling):
    torus = IsingTorus(3, coupling)
    couplings = torch.zeros(9, 9, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            for k in (3 * ((i + 1) % 3) + j, 3 * i + (j + 1) % 3):
                couplings[3 * i + j, k] += coupling
    enumerated = log_sum_over_states(torch.zeros(9), couplings, (-1.0, 1.0))
    assert torus.log_partition() == pytest.approx(float(enumerated), rel=1e-12)
    spins = torch.randint(0, 2, (5, 9)).float() * 2 - 1
    torch.testing.assert_close(torus(spins), ((spins.double() @ couplings) * spins).sum(1).float())


def test_shear_flow_is_normalised_and_inverts():
    flow = ShearFlow(2)
    g = torch.linspace(-9, 9, 1201)
    grid = torch.cartesian_prod(g, g + 2)
    assert float(flow.log_prob(grid).double().exp().sum()) * 0.015**2 == pytest.approx(1.0, abs=1e-4)
    u = torch.randn(7, 2)
    x, log_det = flow.from_latent(u)
    back, inverse_log_det = flow.to_latent(x)
    torch.testing.assert_close(back, u)
    torch.testing.assert_close(log_det, -inverse_log_det)


def test_cosine_tilt_has_weights_of_mean_one_and_variance_half_its_square_and_exact_samples():
    tilt = CosineTilt(ShearFlow(16), 0.8, 2)
    x = tilt.flow.sample(torch.Size([100_000]))
    weights = (tilt(x) - tilt.flow.log_prob(x)).double().exp()
    assert abs(float(weights.mean()) - 1) < SIGMAS * math.sqrt(0.32 / 100_000)
    assert float(weights.var()) == pytest.approx(0.32, rel=0.02)
    u = tilt.flow.to_latent(tilt.sample(50_000))[0][:, 0]
    # Under p, E[cos(2 pi j U)] = a / 2.
    assert float(torch.cos(4 * math.pi * torch.special.ndtr(u)).mean()) == pytest.approx(0.4, abs=SIGMAS * 0.0032)


# log Z of energies --------------------------------------------------------------------------------------------


def spins(probability=0.5):
    return make_noise("bernoulli-spins", event_shape=(16,), probability=0.5)


def exact_energies():
    """Name -> (energy, noise, exact log Z)."""
    torch.manual_seed(3)
    gaussian = randomized(make_energy("gaussian", event_shape=(5,)), 0.15)
    ica = randomized(make_energy("ica", event_shape=(4,)), 0.2)
    rbm = randomized(make_energy("rbm", event_shape=(3,), hidden=5), 0.3)
    ring = make_energy("ring", event_shape=(2,), radius=2.0, precision=8.0)
    torus = IsingTorus(4, 0.1)
    return {
        "gaussian": (gaussian, student_noise(5, scale=1.2), gaussian.log_partition()),
        "ica": (ica, student_noise(4, scale=1.2), ica.log_partition()),
        "rbm": (rbm, student_noise(3, scale=1.7), rbm.log_partition()),
        "ring": (ring, Independent(Normal(torch.zeros(2), 1.8 * torch.ones(2)), 1), ring.log_partition()),
        "torus": (torus, spins(), torus.log_partition()),
    }


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *((name, "importance") for name in ("gaussian", "ica", "rbm", "ring", "torus")),
        ("rbm", "bridge"),
        ("torus", "bridge"),
    ],
)
def test_known_energies(name, method):
    energy, noise, log_z = exact_energies()[name]
    assert_right(ContrastiveEstimator(energy, noise).log_partition(method, draws=20_000), float(log_z))


@pytest.mark.parametrize("method", ["importance", "auto"])
def test_flow_times_a_constant_has_exactly_that_constant(method):
    estimate = constant_oracle("constant", 8, 5.0).estimator.log_partition(method, draws=1_000)
    assert estimate.log_z == pytest.approx(5.0, abs=1e-5)
    assert estimate.is_reliable


def test_importance_at_image_size():
    oracle = cosine_oracle("cosine", 3072, 0.8)
    estimate = oracle.estimator.log_partition("importance", draws=DRAWS)
    assert_right(estimate, 0.0)
    assert estimate.diagnostics["relative_ess"] == pytest.approx(1 / 1.32, abs=0.04)


def quadrature(estimator, half=9.0, points=1201):
    """log of the integral of exp(f) over a square, in the estimator's own units."""
    g = torch.linspace(-half, half, points)
    with torch.no_grad():
        f = torch.cat([estimator.unnormalized_log_prob(x) for x in torch.cartesian_prod(g, g).split(100_000)])
    return float(f.double().logsumexp(0)) + 2 * math.log(2 * half / (points - 1))


@pytest.fixture(scope="module")
def trained():
    """A small MLP, trained in standardised coordinates on 2-D data."""
    torch.manual_seed(0)
    x = torch.randn(4_000, 2) * torch.tensor([1.5, 0.7]) + torch.tensor([0.5, 0.0])
    x[:, 1] += 0.3 * x[:, 0] ** 2
    noise = make_noise("student-t", event_shape=(2,))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,), widths=(32, 32)), noise)
    estimator.fit(x, steps=400, batch_size=400, quiet=True, log_partition_draws=0)
    return estimator.eval(), x


@pytest.fixture(scope="module")
def trained_log_z(trained):
    return quadrature(trained[0], half=20.0)


@pytest.mark.parametrize("method", ["importance", "annealing", "auto"])
def test_trained_network_against_quadrature(trained, trained_log_z, method):
    estimator, x = trained
    assert_right(estimator.log_partition(method, draws=20_000, data=x), trained_log_z)


def test_data_enter_no_estimate(trained):
    estimator, x = trained
    torch.manual_seed(1)
    without = estimator.log_partition("bridge", draws=DRAWS)
    torch.manual_seed(1)
    beside = estimator.log_partition("bridge", draws=DRAWS, data=x)
    assert (without.log_z, without.standard_error) == (beside.log_z, beside.standard_error)


def test_units_change_nothing():
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0, covariance=2 * torch.eye(2))
    energy = make_energy("gaussian", event_shape=(2,))
    scaling = Scaling(torch.tensor([5.0, 1.0]), torch.tensor([0.01, 30.0]))
    estimates = []
    for s in (None, scaling):
        torch.manual_seed(2)
        estimates.append(ContrastiveEstimator(energy, noise, scaling=s).log_partition("importance", draws=DRAWS))
    assert estimates[0].log_z == estimates[1].log_z


def test_each_class_has_its_own():
    class Classes(nn.Module):
        num_classes = 2
        shifts = torch.tensor([-1.0, 1.0])

        def forward(self, z):
            return -0.5 * (z[:, None] - self.shifts[:, None]).square().sum(-1) + self.shifts

    estimator = ContrastiveEstimator(Classes(), student_noise(2, scale=1.5))
    for estimate, shift in zip(estimator.class_log_partitions("bridge", draws=DRAWS), Classes.shifts):
        assert_right(estimate, math.log(2 * math.pi) + float(shift))
    with pytest.raises(ContrastiveError, match="2 classes, each with its own log Z"):
        estimator.log_partition()
    with pytest.raises(ContrastiveError, match="no classes"):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), student_noise(2)).class_log_partitions()


# Certified ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [None, 2])
def test_certified_interval_of_a_tilted_energy(classes):
    torch.manual_seed(4)
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0, covariance=torch.eye(2))
    energy = make_energy("tilted", event_shape=(2,), bound=1.5, widths=(16,), num_classes=classes)
    estimator = ContrastiveEstimator(randomized(energy, 0.7), noise)
    estimator.update_base_noise()
    settings = {"draws": 20_000}
    found = estimator.class_log_partitions("certified", **settings) if classes else None
    found = found or [estimator.log_partition("certified", **settings)]
    g = torch.linspace(-9, 9, 601)
    with torch.no_grad():
        f = estimator.unnormalized_log_prob(torch.cartesian_prod(g, g)).double().reshape(601 * 601, -1)
    exact = f.logsumexp(0) + 2 * math.log(0.03)
    for estimate, log_z in zip(found, exact.tolist()):
        assert estimate.low < log_z < estimate.high  # misses with probability 0.05 at most, in practice hardly ever
        assert estimate.high - estimate.low < 0.2
    if not classes:
        auto = estimator.log_partition("auto", **settings)
        assert_right(auto, float(exact))
        assert auto.diagnostics["certified_low"] < float(exact) < auto.diagnostics["certified_high"]


def test_certified_needs_a_bound():
    estimator = ContrastiveEstimator(make_energy("tilted", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    with pytest.raises(ContrastiveError, match="energy with a bound"):
        estimator.log_partition("certified")


# Verdicts -----------------------------------------------------------------------------------------------------


def missed_mode(mode=0.8):
    centres = torch.tensor([[-4.0, 0.0], [4.0, 0.0]])
    return mixture_oracle("missed", centres, mode, Independent(Normal(centres[0], torch.ones(2)), 1))


@pytest.mark.parametrize("method", ["importance", "auto"])
def test_a_missed_mode_is_doubted_by_the_data(method):
    oracle = missed_mode(0.4)
    estimate = oracle.estimator.log_partition(method, draws=DRAWS, data=oracle.sample(1_000))
    assert "of the data lie beyond the draws" in str(estimate)
    assert estimate.log_z == pytest.approx(oracle.log_z - math.log(2), abs=0.1)
    x = torch.tensor([4.0, 0.0]) + 0.1 * torch.randn(1_000, 2, generator=torch.Generator().manual_seed(0))
    estimate = oracle.estimator.log_partition(method, draws=DRAWS, data=x)
    assert "all of the data lie beyond the draws: log Z is too low" in str(estimate)


def test_eight_separate_modes_by_plain_importance_sampling_are_doubted():
    oracle = mixture_oracle("separate", 4 * torch.eye(8), 0.3)
    estimate = oracle.estimator.log_partition("importance", draws=20_000)
    assert estimate.verdict == "doubtful"
    assert "too far from the energy" in str(estimate)


def test_a_noise_too_narrow_for_importance_sampling_is_bridged():
    """k is 0.64 here: the weights have no variance, those of the bridge are bounded."""
    oracle = gaussian_oracle("light", 1, scale=1.0, noise_scale=0.6)
    assert oracle.estimator.log_partition("importance", draws=20_000).verdict == "doubtful"
    estimate = oracle.estimator.log_partition(draws=20_000)
    assert_right(estimate, oracle.log_z)
    assert estimate.diagnostics["pareto_k"] > 0.4


def test_a_noise_too_far_is_annealed():
    oracle = gaussian_oracle("narrow", 20, scale=0.4)
    estimate = oracle.estimator.log_partition(draws=20_000, data=oracle.sample(1_000))
    assert estimate.method == "annealing"
    assert_right(estimate, oracle.log_z)
    assert estimate.diagnostics["pareto_k"] > 0.7


def test_a_budget_that_ends_is_said():
    oracle = gaussian_oracle("narrow", 100, scale=0.4)
    estimate = oracle.estimator.log_partition(draws=DRAWS, max_temperatures=8)
    assert "forward and reverse annealing differ" in str(estimate)


# Bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "anealing"}, "did you mean 'annealing'"),
        ({"draws": 10}, "at least 1,000"),
        ({"level": 1.0}, "between 0 and 1"),
        ({"max_temperatures": 0}, "at least 1 temperature"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(ContrastiveError, match=message):
        log_partitions(gaussian_oracle("g", 1, scale=0.5).estimator, **arguments)


def test_the_argument_of_before_warns_and_is_taken():
    estimator = gaussian_oracle("g", 1, scale=0.5).estimator
    with (
        pytest.warns(DeprecationWarning, match="use max_temperatures"),
        pytest.raises(ContrastiveError, match="max_temperatures=0"),
    ):
        log_partitions(estimator, longest=0)


def test_an_energy_that_gives_nan_is_refused():
    class Broken(nn.Module):
        def forward(self, z):
            return z.sum(1) * float("nan")

    with pytest.raises(ContrastiveError, match="NaN"):
        ContrastiveEstimator(Broken(), student_noise(2)).log_partition("importance")
