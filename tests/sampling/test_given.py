"""Draws from p(x | y) for chosen y, against closed forms."""

import math

import pytest
import torch
from helpers.conditional import SCALE, shifted_estimator
from torch import nn

from contrastive import ContrastiveError, ContrastiveEstimator, make_noise
from contrastive.energies.noise import NoiseEnergy
from contrastive.sampling import sample_energy, sample_given

Y = torch.tensor([[-1.0], [0.0], [2.0]])


def test_draws_follow_the_density_of_their_own_context():
    """Mean y and deviation 0.8 for each y: 4.5 standard errors, false-alarm rate 7e-6 for each of the six figures."""
    torch.manual_seed(0)
    n = 4000
    drawn = sample_given(shifted_estimator(), n, Y)
    assert drawn.x.shape == (n, 3, 1)
    assert drawn.steps > 0
    assert drawn.warning == ""
    torch.testing.assert_close(drawn.rows[..., 1:], Y.double().expand(n, 3, 1), atol=1e-6, rtol=0)
    assert ((drawn.x.mean(0) - Y).abs() < 4.5 * SCALE / math.sqrt(n)).all()
    assert ((drawn.x.std(0) - SCALE).abs() < 4.5 * SCALE / math.sqrt(2 * n)).all()


def test_of_an_energy_that_is_the_noise_the_draws_are_the_noise_s():
    estimator = shifted_estimator()
    noise_alone = ContrastiveEstimator(NoiseEnergy((2,)), estimator.noise)
    drawn = sample_given(noise_alone, 10, Y)
    assert drawn.steps == 0
    assert "exact" in str(drawn)


def test_chains_leave_the_given_columns_where_they_are():
    """Local moves too: of all rows y stays within the contexts of the data, of one context it is that one."""
    torch.manual_seed(0)
    estimator = shifted_estimator()
    samples = sample_energy(estimator, 50, chains=4, warmup=10)
    assert torch.isin(samples.z[..., 1].float(), estimator.noise.contexts.flatten()).all()
    assert samples.acceptance["local"] > 0.5
    x = estimator.sample(40, given=[1.5], chains=4, warmup=10)
    assert x.shape == (40, 1)


def test_a_noise_far_from_the_energy_is_said():
    class Narrow(nn.Module):
        def forward(self, rows):
            return -0.5 * ((rows[:, 0] - 8) / 0.01).square()

    drawn = sample_given(ContrastiveEstimator(Narrow(), shifted_estimator().noise), 20, Y)
    assert "total variation" in drawn.warning


@pytest.mark.parametrize(("n", "y", "message"), [(0, Y, "at least 1"), (5, torch.zeros(1, 2), "not conditional on")])
def test_bad_requests_are_refused(n, y, message):
    with pytest.raises(ContrastiveError, match=message):
        sample_given(shifted_estimator(), n, y)


def test_a_density_without_contexts_has_none_to_sample_for():
    estimator = ContrastiveEstimator(NoiseEnergy((2,)), make_noise("gaussian", event_shape=(2,), loc=0.0))
    with pytest.raises(ContrastiveError, match="not conditional"):
        estimator.sample(5, given=[1.0])
