"""Contrast over a chain of densities, for data and noise that do not overlap.

Between a data point x_0 and a noise draw x_K lie x_k = cos(t_k) x_0 + sin(t_k) x_K, t_k = (pi / 2) k / K: equal steps
on an arc, which keeps the variance where both ends have the same. Neighbours overlap, however far apart the ends are.
An energy of `bridges` has a log-ratio for each pair of neighbours; their sum is log p - log q.

The constants are learned well at any distance. The ratios near the noise are seen where the data are not, and at the
data they are an extrapolation of the network's: take no more bridges, and no wider ones, than it takes.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from contrastive.errors import ContrastiveError
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer
from contrastive.objectives.base import Objective
from contrastive.objectives.bregman import LOGISTIC
from contrastive.objectives.contrast import Contrast
from contrastive.protocols import BridgedEnergy, EnergyModel


class _Chained(Objective):
    """What both objectives share. As a function of r they are NCE's: what a report calls V."""

    allows_adaptive_noise = False

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """NCE's losses at the two ends."""
        return LOGISTIC(r_data, r_noise, noise_ratio)

    def check(self, energy: EnergyModel) -> None:
        """Refuse an energy without bridges.

        Raises:
            ContrastiveError: if the energy has no log-ratios of its own.
        """
        if not isinstance(energy, BridgedEnergy):
            raise ContrastiveError(
                f"this objective learns an energy of bridges, {type(energy).__name__} has none; take --energy bridges"
            )

    @torch.no_grad()
    def solve_log_normalizers(self, energy: BridgedEnergy, z: Tensor, z_noise: Tensor) -> None:
        """Set each c_k to the exact optimum of its own bridge."""
        ratios = _ratios_on_chain(energy, z, z_noise)
        for k, c in enumerate(energy.bridge_log_normalizers):
            c += optimal_log_normalizer(ratios[k, :, k], ratios[k + 1, :, k], 1.0)


class Telescoping(_Chained):
    """The sum over bridges of the logistic loss between the two neighbours.

    Reference: Rhodes, Xu & Gutmann (2020), "Telescoping density-ratio estimation", NeurIPS, eq. 8.
    """

    def contrast(self, energy: BridgedEnergy, z: Tensor, z_noise: Tensor) -> Contrast:
        """The log-ratios at both ends of each chain, and the losses of its bridges, by neighbour."""
        ratios = _ratios_on_chain(energy, z, z_noise)
        before = ratios[:-1].diagonal(dim1=0, dim2=2)  # (n, K): bridge k at x_k
        after = ratios[1:].diagonal(dim1=0, dim2=2)
        return Contrast.from_losses(
            ratios[0].sum(1), ratios[-1].sum(1), softplus(-before).sum(1), softplus(after).sum(1)
        )


class Multinomial(_Chained):
    """The cross-entropy of telling on which of the K + 1 levels a point lies; with the c_k alone it is MBAR.

    The log-odds of level j against the noise are the sum of the ratios of the bridges from j on.

    Reference: Srivastava, Han, Xu, Rhodes & Gutmann (2023), "Estimating the density ratio between distributions with
    high discrepancy using multinomial logistic regression", arXiv 2305.00869.
    """

    def contrast(self, energy: BridgedEnergy, z: Tensor, z_noise: Tensor) -> Contrast:
        """The log-ratios at both ends of each chain, and the cross-entropies: the last level's is the noise term."""
        ratios = _ratios_on_chain(energy, z, z_noise)
        odds = ratios.flip(2).cumsum(2).flip(2)
        logits = torch.cat([odds, torch.zeros_like(odds[..., :1])], 2)  # (K + 1, n, K + 1)
        levels = torch.arange(len(logits), device=logits.device)[:, None].expand(logits.shape[:2])
        losses = cross_entropy(logits.permute(0, 2, 1), levels, reduction="none")
        return Contrast.from_losses(ratios[0].sum(1), ratios[-1].sum(1), losses[:-1].sum(0), losses[-1])


def _ratios_on_chain(energy: BridgedEnergy, z: Tensor, z_noise: Tensor) -> Float[Tensor, "levels n bridges"]:
    """Every bridge's log-ratio at every level, in one pass."""
    n, count = len(z), len(energy.bridge_log_normalizers)
    if len(z_noise) != n:
        raise ContrastiveError(f"a chain takes one noise draw a data point, got {len(z_noise)} for {n}")
    angle = torch.linspace(0, math.pi / 2, count + 1, dtype=z.dtype, device=z.device).reshape(-1, *[1] * z.ndim)
    points = angle.cos() * z + angle.sin() * z_noise
    ratios = energy.log_ratios(points.flatten(0, 1)).reshape(count + 1, n, count)
    return ratios if ratios.dtype == torch.float64 else ratios.float()
