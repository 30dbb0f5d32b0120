"""Classes whose posterior is known."""

import math

import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveEstimator

NOISE = Independent(Normal(torch.zeros(2), 3 * torch.ones(2)), 1)


class Normals(nn.Module):
    """f_k = -|x - m_k|^2 / 2 + shift_k: log Z_k = log 2 pi + shift_k."""

    num_classes = 3

    def __init__(self, shift=(0.0, 0.0, 0.0)):
        super().__init__()
        self.means = nn.Parameter(torch.tensor([[-1.5, 0.0], [1.0, 1.0], [0.0, -2.0]]))
        self.shift = torch.tensor(shift)

    def forward(self, x):
        return -0.5 * (x[:, None] - self.means.to(x)).square().sum(-1) + self.shift.to(x)


def normalized(prior=None, shift=(2.0, -1.0, 0.5), scaling=None):
    """An estimator of `Normals` whose c is log Z, class by class."""
    estimator = ContrastiveEstimator(Normals(shift), NOISE, class_prior=prior, scaling=scaling).double()
    with torch.no_grad():
        estimator.log_normalizer.copy_(math.log(2 * math.pi) + torch.tensor(shift))
    return estimator


def two_normals(n, seed, share=0.5):
    """Classes at (-1, 0) and (1, 0) with unit variance: P(1 | x) = 1 / (1 + exp(-2 x_0) (1 - share) / share)."""
    generator = torch.Generator().manual_seed(seed)
    y = (torch.rand(n, generator=generator) < share).long()
    x = torch.randn(n, 2, generator=generator)
    x[:, 0] += 2.0 * y - 1
    return x, y
