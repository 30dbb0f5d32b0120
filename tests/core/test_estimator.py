"""The estimator against quadrature and closed forms, and what it refuses."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, from_energy, make_energy, make_noise
from contrastive.data.scaling import Scaling
from contrastive.errors import ContrastiveWarning
from contrastive.noises import Gaussian
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer


def test_energy_update_leaves_the_noise_alone():
    noise = make_noise("gaussian", event_shape=(2,))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, adapt_noise=True)
    estimator.contrast(torch.randn(50, 2)).loss.backward()
    assert all(parameter.grad is None for parameter in noise.parameters())


def test_at_the_truth_value_is_minus_log_4_and_accuracy_a_half():
    """With p = q every log-ratio is 0 at nu = 1, whatever the draws."""
    density = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)

    class LogDensity(nn.Module):
        def forward(self, x):
            return density.log_prob(x)

    estimator = ContrastiveEstimator(LogDensity(), density)
    value = estimator.value(torch.randn(100, 2))
    assert value.total == pytest.approx(-math.log(4), abs=1e-6)
    assert value.total == pytest.approx(value.data + value.noise)


@pytest.mark.parametrize("nu", [0.3, 1.0, 4.0])
def test_optimal_log_normalizer_is_the_minimum_of_the_loss_in_c(nu):
    r_data, r_noise = torch.randn(500, dtype=torch.float64) + 30, 2 * torch.randn(400, dtype=torch.float64) + 25
    c = optimal_log_normalizer(r_data, r_noise, nu)
    c = torch.tensor(c, dtype=torch.float64, requires_grad=True)
    soft = nn.functional.softplus
    (gradient,) = torch.autograd.grad(soft(c - r_data).mean() + nu * soft(r_noise - c).mean(), c)
    assert abs(float(gradient)) < 1e-12


def test_mixture_of_classes_is_logsumexp_minus_log_k():
    noise = make_noise("gaussian", event_shape=(2,))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,), num_classes=3), noise)
    with torch.no_grad():
        estimator.log_normalizer.copy_(torch.tensor([0.5, -1.0, 2.0]))
    x = torch.randn(7, 2)
    assert estimator.unnormalized_log_prob(x).shape == (7, 3)
    by_hand = estimator.class_log_prob(x).exp().mean(1).log()
    torch.testing.assert_close(estimator.log_prob(x), by_hand)
    estimator.contrast(x).loss.backward()
    assert estimator.log_normalizer.grad.shape == (3,)


def test_densities_are_in_original_units():
    """Integrated over the ORIGINAL axis, the noise's density is 1 and c means the same as in model coordinates."""
    scaling = Scaling(torch.tensor([5.0]), torch.tensor([0.01]))
    noise = make_noise("gaussian", event_shape=(1,), loc=0.0, covariance=1.0)
    energy = from_energy(nn.Sequential(nn.Linear(1, 1)))
    estimator = ContrastiveEstimator(energy, noise, scaling=scaling)
    x = torch.linspace(4.9, 5.1, 20001, dtype=torch.float64)[:, None]
    mass = estimator.noise_log_prob(x).detach().double().exp().sum() * (x[1] - x[0])
    assert float(mass) == pytest.approx(1, abs=1e-4)
    draws = estimator.sample_noise(10_000)
    assert float(draws.mean()) == pytest.approx(5.0, abs=5 * 0.01 / 100)
    ratio = estimator.log_prob(x[:5]) - estimator.noise_log_prob(x[:5])
    torch.testing.assert_close(estimator.log_ratio(x[:5]), ratio, rtol=1e-4, atol=1e-4)


def test_noise_ratio_and_draws_are_two_numbers():
    noise = make_noise("gaussian", event_shape=(2,))
    energy = make_energy("mlp", event_shape=(2,))
    assert len(ContrastiveEstimator(energy, noise, noise_ratio=2.5).contrast(torch.zeros(10, 2)).r_noise) == 25
    tied = ContrastiveEstimator(energy, noise, noise_ratio=2.5, noise_per_data=4)
    assert len(tied.contrast(torch.zeros(10, 2)).r_noise) == 40
    assert len(ContrastiveEstimator(energy, noise, noise_ratio=0.01).contrast(torch.zeros(10, 2)).r_noise) == 1


def test_any_torch_distribution_is_a_noise():
    noise = MultivariateNormal(torch.zeros(2), torch.eye(2))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise).double()
    assert estimator.noise_log_prob(torch.zeros(3, 2, dtype=torch.float64)).dtype == torch.float64
    assert noise.loc.dtype == torch.float32, "the caller's distribution was changed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise": object()}, "is not a noise"),
        ({"adapt_noise": True, "noise": Independent(Normal(torch.zeros(2), 1.0), 1)}, "cannot adapt"),
        ({"noise_ratio": 0}, "positive"),
        ({"noise_ratio": float("nan")}, "positive"),
        ({"noise": Normal(torch.zeros(2), torch.ones(2))}, "Independent"),
        ({"objective": "mle"}, "unknown objective"),
    ],
)
def test_bad_arguments_are_refused_in_a_sentence(arguments, message):
    arguments = {"noise": make_noise("gaussian", event_shape=(2,)), **arguments}
    with pytest.raises(ContrastiveError, match=message):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), **arguments)


def test_wrong_shapes_are_refused_in_a_sentence():
    noise = make_noise("gaussian", event_shape=(2,))
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise)
    for x in (torch.zeros(2), torch.zeros(5, 3), torch.zeros(5, 2, 2)):
        with pytest.raises(ContrastiveError, match="expected a batch of events"):
            estimator.log_prob(x)
    with pytest.raises(ContrastiveError, match="num_classes"):
        ContrastiveEstimator(nn.Linear(2, 3), noise).log_prob(torch.zeros(5, 2))


def test_unknown_noise_of_fce_names_those_that_can(tmp_path):
    from contrastive import fit

    with pytest.raises(ContrastiveError, match=r"'uniform' cannot.*gaussian"):
        fit("8gaussians", noise="uniform", method="fce", steps=1, quiet=True)


def test_names_of_before_warn_and_work():
    estimator = ContrastiveEstimator(lambda x: -x.square().sum(-1), Independent(Normal(torch.zeros(2), 1.0), 1))
    z = torch.randn(50, 2)
    torch.manual_seed(0)
    with pytest.warns(DeprecationWarning, match="solve_log_normalizer"):
        estimator.balance(z)
    before = estimator.log_normalizer.detach().clone()
    torch.manual_seed(0)
    estimator.solve_log_normalizer(z)
    assert torch.equal(estimator.log_normalizer.detach(), before)
    with pytest.warns(DeprecationWarning, match="update_base_noise"):
        estimator.introduce_noise()


def test_an_estimator_that_has_seen_nothing_says_so_when_asked_for_a_density():
    x = torch.randn(50, 2)
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    with pytest.warns(ContrastiveWarning, match="is not fitted"):
        estimator.log_prob(x)
    estimator.solve_log_normalizer(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContrastiveWarning)
        estimator.log_prob(x)


@pytest.mark.parametrize("noise", [Independent(Normal(torch.zeros(2), 1.0), 1), Gaussian((2,), loc=0.0)])
def test_an_energy_with_known_parameters_needs_no_fit(noise):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ContrastiveWarning)
        ContrastiveEstimator(lambda x: -x.square().sum(-1) / 2, noise).log_prob(torch.zeros(3, 2))
