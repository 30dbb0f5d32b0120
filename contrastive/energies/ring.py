"""An energy of a ring or spherical shell."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.errors import ContrastiveError

_NODES = 200
_WIDTHS = 12.0  # half the window of the radial integral; outside it the integrand is below exp(-72) of its peak


class RingEnergy(Energy):
    """f(x) = -precision/2 (|x| - radius)^2: a ring in the plane, a shell in more dimensions; high = likely.

    Radius and precision are learned, both as logarithms. Data near a curved manifold of fewer dimensions, where a
    Gaussian noise is far from the data almost everywhere.

    Args:
        event_shape: shape of one data point; it is flattened to d entries.
        radius: where it starts, positive.
        precision: where it starts, positive; 1/sqrt(precision) is the ring's thickness.

    Raises:
        ContrastiveError: if `radius` or `precision` is not positive.

    Reference: Ceylan & Gutmann (2018), "Conditional noise-contrastive estimation of unnormalised models", the ring
    model.
    """

    def __init__(self, event_shape: tuple[int, ...], *, radius: float = 1.0, precision: float = 1.0) -> None:
        super().__init__()
        for name, value in {"radius": radius, "precision": precision}.items():
            if not 0 < value < math.inf:
                raise ContrastiveError(f"the ring's {name} must be positive, got {value}")
        self.dim = math.prod(event_shape)
        self.log_radius = nn.Parameter(torch.tensor(math.log(radius)))
        self.log_precision = nn.Parameter(torch.tensor(math.log(precision)))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`."""
        return self._radial(torch.linalg.vector_norm(x.flatten(1), dim=1), self.log_radius, self.log_precision)

    def log_partition(self) -> Float[Tensor, ""]:
        """log Z in nats, float64, differentiable: the sphere's surface times a radial integral by Gauss-Legendre.

        Z = 2 pi^(d/2) / Gamma(d/2)  integral over r > 0 of r^(d-1) exp(-precision/2 (r - radius)^2).
        """
        log_radius, log_precision = self.log_radius.double(), self.log_precision.double()
        with torch.no_grad():
            # The integrand is log-concave, more sharply than exp(-precision/2 r^2), around this peak.
            radius, precision = log_radius.exp(), log_precision.exp()
            peak = (radius + (radius.square() + 4 * (self.dim - 1) / precision).sqrt()) / 2
            low = (peak - _WIDTHS / precision.sqrt()).clamp_min(0.0)
            half = (peak + _WIDTHS / precision.sqrt() - low) / 2
            nodes, weights = (torch.from_numpy(a).to(radius.device) for a in np.polynomial.legendre.leggauss(_NODES))
            r = low + half * (1 + nodes)
        log_integrand = (self.dim - 1) * r.log() + self._radial(r, log_radius, log_precision)
        log_surface = math.log(2) + self.dim / 2 * math.log(math.pi) - math.lgamma(self.dim / 2)
        return log_surface + torch.logsumexp(log_integrand + (half * weights).log(), 0)

    @staticmethod
    def _radial(r: Tensor, log_radius: Tensor, log_precision: Tensor) -> Tensor:
        return -0.5 * log_precision.exp() * (r - log_radius.exp()).square()
