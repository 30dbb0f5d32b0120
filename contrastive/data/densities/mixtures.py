"""Equal mixtures of isotropic Gaussians."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.data.densities.base import Density


class GaussianMixture2D(Density):
    """An equal mixture of Gaussians of one standard deviation.

    Args:
        centres: shape `(K, 2)`.
        sd: standard deviation of each coordinate.
    """

    def __init__(self, centres: Float[Tensor, "K 2"], sd: float) -> None:
        self.centres, self.sd = centres.double(), sd
        reach = float(centres.abs().max()) + 5.5 * sd
        self.extent = (-reach, reach, -reach, reach)

    def _sample(self, n: int) -> Tensor:
        centres = self.centres.to(torch.get_default_dtype())
        return centres[torch.randint(len(centres), (n,))] + self.sd * torch.randn(n, 2)

    def _log_prob(self, x: Tensor) -> Tensor:
        distance = (x[:, None] - self.centres.to(x)).square().sum(-1)
        constant = math.log(len(self.centres)) + math.log(2 * math.pi * self.sd**2)
        return torch.logsumexp(-distance / (2 * self.sd**2), -1) - constant


def gaussian_ring(radius: float, sd: float, modes: int = 8) -> GaussianMixture2D:
    """Gaussians evenly around a circle."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return GaussianMixture2D(radius * torch.stack([angle.cos(), angle.sin()], -1), sd)


def gaussian_grid(side: int = 5, spacing: float = 2.0, sd: float = 0.2) -> GaussianMixture2D:
    """Gaussians on a square grid around 0."""
    line = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return GaussianMixture2D(torch.cartesian_prod(line, line), sd)
