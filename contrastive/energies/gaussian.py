"""A Gaussian energy, whose log Z is known."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy


class GaussianEnergy(Energy):
    """f(x) = -|L^T (x - mu)|^2 / 2, mean mu and precision L L^T unknown; high = likely.

    The precision's Cholesky factor L keeps it positive definite: its diagonal is learned as a logarithm. It starts as
    the standard Gaussian. Fit it where the answer must be checked: precision, mean and log Z are known.

    Args:
        event_shape: shape of one data point; it is flattened to d entries.

    Reference: Gutmann & Hyvarinen (2012), "Noise-contrastive estimation of unnormalized statistical models", JMLR 13,
    where a Gaussian of unknown precision is the first example.
    """

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = math.prod(event_shape)
        self.loc = nn.Parameter(torch.zeros(self.dim))
        self.log_diagonal = nn.Parameter(torch.zeros(self.dim))
        self.below_diagonal = nn.Parameter(torch.zeros(self.dim, self.dim))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`."""
        return -0.5 * ((x.flatten(1) - self.loc) @ self._factor()).square().sum(1)

    @property
    def precision(self) -> Float[Tensor, "d d"]:
        """The inverse covariance."""
        return self._factor() @ self._factor().mT

    def log_partition(self) -> Float[Tensor, ""]:
        """log Z = d/2 log(2 pi) - log det L in nats, float64, differentiable."""
        return self.dim / 2 * math.log(2 * math.pi) - self.log_diagonal.double().sum()

    def _factor(self) -> Float[Tensor, "d d"]:
        return self.below_diagonal.tril(-1) + self.log_diagonal.exp().diag_embed()
