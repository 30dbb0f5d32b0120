"""A conditional density of which everything is known: x given y is N(y, 0.8^2), from proposals N(y / 2, 1.5^2)."""

import math

import torch
from torch import nn
from torch.distributions import Normal

from contrastive import ContrastiveEstimator, joint_noise
from contrastive.noises.linear_gaussian import LinearGaussian

SCALE = 0.8


class Shifted(nn.Module):
    """f(x, y) = log N(x; y, 0.8^2) + 2 sin y + 1, so that log Z(y) = 2 sin y + 1."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(1.0))

    def forward(self, rows):
        x, y = rows[:, 0], rows[:, 1]
        return Normal(y, SCALE).log_prob(x) + log_z(y) - 1 + self.offset


def log_z(y):
    return 2 * torch.sin(y) + 1


def proposal(contexts=None):
    noise = LinearGaussian((1,), (1,))
    with torch.no_grad():
        noise.weight.fill_(0.5)
        noise.log_diagonal.fill_(math.log(1.5))
        noise.fitted.fill_(True)
    return joint_noise(noise, torch.linspace(-2, 2, 50)[:, None] if contexts is None else contexts)


def shifted_estimator():
    return ContrastiveEstimator(Shifted(), proposal())
