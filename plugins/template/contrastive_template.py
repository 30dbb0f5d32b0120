"""Laplace noise for `contrastive`: `--noise laplace`. Copy this folder to write your own."""

import torch
from torch import distributions as td
from torch import nn

from contrastive import Noise


class Laplace(Noise):
    """Independent Laplace noise with learnable location and scale."""

    def __init__(self, event_shape, *, scale=1.0):
        super().__init__(event_shape)
        self.loc = nn.Parameter(torch.zeros(event_shape))
        self.log_scale = nn.Parameter(torch.full(event_shape, scale).log())

    def distribution(self):
        return td.Independent(td.Laplace(self.loc, self.log_scale.exp()), len(self.event_shape))

    def log_prob(self, value):
        return self.distribution().log_prob(value)

    @torch.no_grad()
    def sample(self, sample_shape=torch.Size()):
        return self.distribution().sample(sample_shape)

    def rsample_and_log_prob(self, sample_shape=torch.Size()):  # with this it can adapt: --method fce
        x = self.distribution().rsample(sample_shape)
        return x, self.log_prob(x)
