"""Importance resampling against closed forms."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator
from contrastive.sampling import resample


class LogNormalDensity(nn.Module):
    def __init__(self, loc, scale):
        super().__init__()
        self.target = Independent(Normal(loc, scale), 1)

    def forward(self, x):
        return self.target.log_prob(x) + 7.0  # the constant must not matter


def test_moments_and_effective_sample_size():
    """p = N(0.5, 0.8^2) from q = N(0, 1) in two dimensions: E_q[w^2] = prod s^-1 (2 - s^2)^-1/2 exp(m^2/(2 - s^2))."""
    m, s, n = 0.5, 0.8, 4000
    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    estimator = ContrastiveEstimator(LogNormalDensity(torch.full((2,), m), s), noise)
    torch.manual_seed(1)
    drawn = resample(estimator, n)
    second_moment = (math.exp(m**2 / (2 - s**2)) / (s * math.sqrt(2 - s**2))) ** 2
    assert drawn.effective_sample_size / drawn.proposals == pytest.approx(1 / second_moment, rel=0.02)
    # 4.5 standard errors, false-alarm rate 7e-6 an entry.
    assert ((drawn.x.mean(0) - m).abs() < 4.5 * s / math.sqrt(n)).all()
    assert ((drawn.x.std(0) - s).abs() < 4.5 * s / math.sqrt(2 * n)).all()


def test_bad_requests_are_refused():
    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    estimator = ContrastiveEstimator(LogNormalDensity(torch.zeros(2), 1.0), noise)
    with pytest.raises(ContrastiveError, match="at least 1"):
        resample(estimator, 0)
