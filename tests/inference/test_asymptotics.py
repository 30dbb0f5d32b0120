"""Standard errors against the figures that quadrature gives for N(0.5, 1), and against replications."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, make_energy

TRUTH = torch.tensor([0.5, 1.0, 0.5 * math.log(2 * math.pi)], dtype=torch.float64)


class Gaussian1d(nn.Module):
    """f(x) = -precision (x - mean)^2 / 2: one number each."""

    def __init__(self):
        super().__init__()
        self.mean, self.precision = nn.Parameter(torch.tensor(0.5).double()), nn.Parameter(torch.tensor(1.0).double())

    def forward(self, x):
        return -0.5 * self.precision * (x[:, 0] - self.mean).square()


def at_the_truth(noise_scale, loc=0.0, **settings):
    noise = Independent(Normal(torch.tensor([loc]).double(), torch.tensor([noise_scale]).double()), 1)
    estimator = ContrastiveEstimator(Gaussian1d(), noise, **settings).double()
    with torch.no_grad():
        estimator.log_normalizer.fill_(0.5 * math.log(2 * math.pi))
    return estimator


def data(n, seed=0):
    return 0.5 + torch.randn(n, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("settings", "kappa", "expected"),
    [
        ({"noise_scale": 2.0}, 1.0, [1.751, 3.034, 1.888]),
        ({"noise_scale": 2.0, "noise_ratio": 10.0}, 10.0, [1.088, 2.127, 0.653]),
        ({"noise_scale": 1.0, "loc": 0.5}, 1.0, [2.0, 4.0, 1.0]),
        ({"noise_scale": 1.0, "loc": 0.5}, math.inf, [1.0, 2.0, 0.5]),
        ({"noise_scale": 2.0, "objective": "is-mle"}, 1.0, [1.903, 3.322, 2.061]),
        ({"noise_scale": 2.0, "objective": "ranking"}, math.inf, [2.139, 4.045]),
        ({"noise_scale": 2.0, "objective": "ranking", "noise_per_data": 5}, math.inf, [1.192, 2.301]),
    ],
)
def test_n_times_the_covariance_is_what_quadrature_gives(settings, kappa, expected):
    """The expected figures are exact to three places; 400,000 draws are within 3 % of them, by far (seed fixed)."""
    torch.manual_seed(1)
    n = 400_000
    found = at_the_truth(**settings).standard_errors(data(n), noise_per_data=kappa, draws=1_000_000)
    assert found.names == ("mean", "precision", "c")[: len(expected)]
    torch.testing.assert_close(
        n * found.covariance.diagonal(), torch.tensor(expected, dtype=torch.float64), rtol=0.03, atol=0
    )
    torch.testing.assert_close(
        n * found.cramer_rao.diagonal(), torch.tensor([1, 2, 0.5]).double()[: len(expected)], rtol=0.03, atol=0
    )


def test_nce_with_as_many_draws_as_nu_is_the_known_formula():
    """Gutmann & Hyvarinen: n Cov = I_w^-1 - (1 + 1/nu) e_c e_c^T where kappa = nu."""
    torch.manual_seed(2)
    nu, n = 3.0, 300_000
    estimator, x = at_the_truth(2.0, noise_ratio=nu), data(300_000)
    with torch.no_grad():
        w = torch.sigmoid(-estimator.log_ratio(x))
        psi = torch.stack([x[:, 0] - 0.5, -0.5 * (x[:, 0] - 0.5).square(), -torch.ones(n).double()], 1)
    expected = torch.linalg.inv((psi * w[:, None]).mT @ psi / n)
    expected[2, 2] -= 1 + 1 / nu
    found = estimator.standard_errors(x, noise_per_data=nu, draws=2_000_000)
    torch.testing.assert_close(n * found.covariance, expected, rtol=0.02, atol=0.02)


def test_intervals_wald_and_efficiency():
    torch.manual_seed(3)
    found = at_the_truth(2.0).standard_errors(data(1_000))
    low, high = found.interval(0.95)
    torch.testing.assert_close((high - low) / 2, 1.959964 * found.standard_errors)
    torch.testing.assert_close(found.estimates, TRUTH)
    assert found.wald(found.estimates) == 0
    shift = torch.zeros(3).double()
    shift[0] = float(found.standard_errors[0])
    # One standard error along one axis: at least 1, since the others are correlated with it.
    assert found.wald(found.estimates + shift) >= 1
    assert bool((found.efficiency <= 1.05).all())
    assert "efficiency" in str(found)
    assert "precision" in str(found)


def test_unused_entries_are_left_out_and_classes_have_a_c_each():
    torch.manual_seed(4)
    noise = Independent(Normal(torch.zeros(2), 2 * torch.ones(2)), 1)
    estimator = ContrastiveEstimator(make_energy("gaussian", event_shape=(2,)), noise)
    names = estimator.standard_errors(torch.randn(500, 2)).names
    assert names == ("loc[0]", "loc[1]", "log_diagonal[0]", "log_diagonal[1]", "below_diagonal[1, 0]", "c")


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            lambda noise: ContrastiveEstimator(make_energy("mlp", event_shape=(1,)), noise),
            "parameters; standard",
        ),
        (
            lambda noise: ContrastiveEstimator(make_energy("mlp", event_shape=(1,), widths=(8,)), noise),
            "do not determine",
        ),
        (lambda noise: ContrastiveEstimator(lambda x: -x[:, 0], noise), "no trainable"),
        (lambda noise: ContrastiveEstimator(Gaussian1d(), noise, objective="mc-mle"), "Bregman family"),
    ],
)
def test_what_has_no_standard_errors_is_refused(estimator, message):
    noise = Independent(Normal(torch.zeros(1), torch.ones(1)), 1)
    with pytest.raises(ContrastiveError, match=message):
        estimator(noise).standard_errors(torch.randn(100, 1))
