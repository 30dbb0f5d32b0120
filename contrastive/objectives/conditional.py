"""Contrast of each data point with a perturbed copy of itself."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from contrastive.errors import ContrastiveError
from contrastive.objectives.base import Objective
from contrastive.objectives.bregman import LOGISTIC
from contrastive.objectives.contrast import Contrast
from contrastive.protocols import EnergyModel


class Conditional(Objective):
    """softplus(-(f(x) - f(x'))), x' = x + scale sd(x) e, e standard normal: the noise needs no density of its own.

    The kernel is symmetric, so its density cancels, and c with it. A small scale looks at f's slope, as score matching
    does; modes that no step of this size joins are weighted arbitrarily.

    Args:
        scale: of the steps, relative to the standard deviation of each coordinate in the batch.

    Raises:
        ContrastiveError: if the scale is not positive.

    Reference: Ceylan & Gutmann (2018), "Conditional noise-contrastive estimation of unnormalised models", ICML, eq. 11.
    """

    learns_normalizer = False
    allows_adaptive_noise = False

    def __init__(self, scale: float = 0.5) -> None:
        if not (isinstance(scale, float | int) and 0 < scale < math.inf):
            raise ContrastiveError(f"steps of the conditional objective need a positive scale, got {scale!r}")
        self.scale = scale

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """NCE's losses: what a report calls V."""
        return LOGISTIC(r_data, r_noise, noise_ratio)

    def contrast(self, energy: EnergyModel, z: Tensor, z_noise: Tensor) -> Contrast:
        """The loss of every pair is the data term; the noise term is 0."""
        step = self.scale * z.std(0, correction=0) * torch.randn_like(z)
        f, f_moved = energy(torch.cat([z, z + step])).float().chunk(2)
        gap = f - f_moved
        return Contrast.from_losses(gap, -gap, softplus(-gap), torch.zeros_like(gap))
