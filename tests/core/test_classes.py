"""Energies with classes: their mixture, their posterior, and draws of a class."""

import math

import pytest
import torch
from helpers.classes import NOISE, Normals, normalized

from contrastive import ContrastiveError, ContrastiveEstimator, make_energy
from contrastive.data.scaling import Scaling


def truth(x, prior):
    """Joint densities pi_k p(x | k), by scipy-free arithmetic in float64."""
    means = Normals().means.detach().double()
    density = torch.exp(-0.5 * (x[:, None] - means).square().sum(-1)) / (2 * math.pi)
    return density * torch.tensor(prior, dtype=torch.float64) / sum(prior)


@pytest.mark.parametrize("prior", [None, (0.2, 0.5, 0.3), (2, 5, 3)])
def test_the_mixture_weighs_classes_by_the_prior(prior):
    x = 3 * torch.randn(50, 2, dtype=torch.float64)
    by_hand = truth(x, prior or (1, 1, 1)).sum(1).log()
    torch.testing.assert_close(normalized(prior).log_prob(x).detach(), by_hand, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("prior", [None, (0.2, 0.5, 0.3)])
def test_the_posterior_is_bayes_rule(prior):
    x = 3 * torch.randn(50, 2, dtype=torch.float64)
    joint = truth(x, prior or (1, 1, 1))
    estimator = normalized(prior)
    torch.testing.assert_close(
        estimator.predict_proba(x).detach(), joint / joint.sum(1, keepdim=True), atol=1e-6, rtol=0
    )
    assert torch.equal(estimator.predict(x), joint.argmax(1))


def test_the_posterior_does_not_change_with_the_units():
    scaling = Scaling(torch.tensor([5.0, -2.0]), torch.tensor([0.01, 10.0]))
    z = torch.randn(20, 2, dtype=torch.float64)
    torch.testing.assert_close(
        normalized(scaling=scaling).predict_proba(scaling.inverse(z)), normalized().predict_proba(z)
    )


def test_the_mixture_integrates_to_one():
    line = torch.linspace(-9, 9, 400, dtype=torch.float64)
    mass = normalized((0.1, 0.1, 0.8)).log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2
    assert float(mass.detach()) == pytest.approx(1, abs=1e-6)


def test_draws_of_a_class_are_of_its_density():
    """Means of 2,000 draws of weighted chains; 5 sd of 300 effective draws: false alarms below 1e-5."""
    torch.manual_seed(0)
    estimator = ContrastiveEstimator(Normals(), NOISE, class_prior=(0.6, 0.2, 0.2))
    draws = estimator.sample(2000, label=2)
    assert (draws.mean(0) - torch.tensor([0.0, -2.0])).abs().max() < 5 / math.sqrt(300)
    share = (estimator.sample(2000).double() @ torch.tensor([1.0, 0.0]).double()).mean()
    assert float(share) == pytest.approx(-0.6 * 1.5 + 0.2, abs=5 * 1.5 / math.sqrt(300))


@pytest.mark.parametrize(
    ("prior", "message"), [((0.5, 0.5), "3 positive"), ((1, 1, 0), "positive"), ((1, 1, float("nan")), "positive")]
)
def test_a_bad_prior_is_refused(prior, message):
    with pytest.raises(ContrastiveError, match=message):
        ContrastiveEstimator(Normals(), NOISE, class_prior=prior)


def test_without_classes_there_is_no_posterior():
    plain = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), NOISE)
    for method in ("predict", "predict_proba", "class_log_prob"):
        with pytest.raises(ContrastiveError, match="no classes"):
            getattr(plain, method)(torch.zeros(3, 2))
    with pytest.raises(ContrastiveError, match="has none"):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), NOISE, class_prior=(0.5, 0.5))
