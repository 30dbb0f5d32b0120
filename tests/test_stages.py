"""What one update of the game does."""

import math

import pytest
import torch

from contrastive import ContrastiveEstimator, make_energy, make_noise
from contrastive.data.sources import Batch
from contrastive.training.schedules import Alternate
from contrastive.training.stages import Game


class Recorder:
    """A player that keeps its gradient and moves nothing."""

    skipped_in_a_row = 0

    def __init__(self, parameters):
        self.parameters = list(parameters)

    def step(self, loss, progress):
        self.gradient = torch.autograd.grad(loss, self.parameters)


def noise_gradient(estimator, z, weight):
    """Of one move of the noise."""
    schedule, recorder = Alternate(1, 1), Recorder(estimator.noise.parameters())
    schedule.mover = "noise"
    torch.manual_seed(1)
    Game(estimator, {"noise": recorder}, schedule, 10, likelihood_weight=weight).update(Batch(z), 0.0)
    return recorder.gradient


def estimator_around(loc, energy=None):
    noise = make_noise("diag-gaussian", event_shape=(2,), loc=loc)
    return ContrastiveEstimator(energy or make_energy("gaussian", event_shape=(2,)), noise, adapt_noise=True)


def test_the_likelihood_weight_adds_the_gradient_of_maximum_likelihood():
    estimator, z = estimator_around(0.3), torch.randn(64, 2)
    plain, weighted = noise_gradient(estimator, z, 0.0), noise_gradient(estimator, z, 0.7)
    likelihood = torch.autograd.grad(-estimator.noise.log_prob(z).mean(), list(estimator.noise.parameters()))
    for with_weight, without, of_likelihood in zip(weighted, plain, likelihood):
        torch.testing.assert_close(with_weight, without + 0.7 * of_likelihood)


def test_the_value_alone_forgets_data_that_the_noise_has_left():
    """A tenth of the data at 9, the noise at 0: V barely pulls the noise's mean up, the likelihood does."""

    def energy(x):  # log of 2 pi (0.9 N(0, 1) + 0.1 N(9, 0.1^2))
        return torch.logaddexp(-0.5 * x.square().sum(1) + math.log(0.9), -50 * (x - 9).square().sum(1) + math.log(10))

    estimator = estimator_around(0.0, energy)
    with torch.no_grad():
        estimator.log_normalizer.fill_(math.log(2 * math.pi))
    z = torch.cat([torch.randn(900, 2), 9 + 0.1 * torch.randn(100, 2)])
    plain, weighted = noise_gradient(estimator, z, 0.0)[0], noise_gradient(estimator, z, 0.1)[0]
    assert float(plain.abs().max()) < 0.05
    assert float((weighted - plain).max()) == pytest.approx(-0.09, abs=0.02)  # 0.1 of the mean distance, 0.9
