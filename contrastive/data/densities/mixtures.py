"""Equal mixtures of isotropic Gaussians."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.data.densities.base import LabelledDensity


class GaussianMixture2D(LabelledDensity):
    """An equal mixture of Gaussians of one standard deviation; a point's class is its Gaussian.

    Args:
        centres: shape `(K, 2)`.
        sd: standard deviation of each coordinate.
    """

    def __init__(self, centres: Float[Tensor, "K 2"], sd: float) -> None:
        self.centres, self.sd, self.num_classes = centres.double(), sd, len(centres)
        reach = float(centres.abs().max()) + 5.5 * sd
        self.extent = (-reach, reach, -reach, reach)

    def _sample_labelled(self, n: int) -> tuple[Tensor, Tensor]:
        centres = self.centres.to(torch.get_default_dtype())
        chosen = torch.randint(len(centres), (n,))
        return centres[chosen] + self.sd * torch.randn(n, 2), chosen

    def class_log_prob(self, x: Tensor) -> Tensor:
        """log p(x | Gaussian k) in nats."""
        distance = (x[:, None] - self.centres.to(x)).square().sum(-1)
        return -distance / (2 * self.sd**2) - math.log(2 * math.pi * self.sd**2)


def gaussian_ring(radius: float, sd: float, modes: int = 8) -> GaussianMixture2D:
    """Gaussians evenly around a circle."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return GaussianMixture2D(radius * torch.stack([angle.cos(), angle.sin()], -1), sd)


def gaussian_grid(side: int = 5, spacing: float = 2.0, sd: float = 0.2) -> GaussianMixture2D:
    """Gaussians on a square grid around 0."""
    line = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return GaussianMixture2D(torch.cartesian_prod(line, line), sd)
