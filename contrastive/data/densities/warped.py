"""Gaussians bent or squeezed, exact by the product rule p(x, y) = p(x) p(y | x)."""

import math

import torch
from torch import Tensor

from contrastive.data.densities.base import Density, normal_log_prob


class Banana(Density):
    """x ~ N(0, 1.5^2), y | x ~ N(x^2 / 2 - 1, 0.5^2)."""

    extent = (-7.8, 7.8, -4.0, 31.0)

    def _sample(self, n: int) -> Tensor:
        z = torch.randn(n, 2)
        x = 1.5 * z[:, 0]
        return torch.stack([x, x.square() / 2 - 1 + 0.5 * z[:, 1]], -1)

    def _log_prob(self, x: Tensor) -> Tensor:
        log_x = normal_log_prob(x[:, 0] / 1.5, math.log(1.5))
        return log_x + normal_log_prob((x[:, 1] - x[:, 0].square() / 2 + 1) / 0.5, math.log(0.5))


class Funnel(Density):
    """Neal's funnel in the plane: v ~ N(0, 1), x | v ~ N(0, e^(2 v)); points are (x, v).

    Reference: Neal (2003), "Slice sampling", section 8 (there v has standard deviation 3, which no plot can show).
    """

    extent = (-120.0, 120.0, -5.5, 5.5)

    def _sample(self, n: int) -> Tensor:
        z = torch.randn(n, 2)
        return torch.stack([z[:, 0] * z[:, 1].exp(), z[:, 1]], -1)

    def _log_prob(self, x: Tensor) -> Tensor:
        v = x[:, 1]
        # Far below, e^-v overflows: the density there is 0 unless x is.
        standardized = x[:, 0] * (-v).clamp_max(80.0).exp()
        return normal_log_prob(v, 0.0) + normal_log_prob(standardized, v)
