"""NCE with a balanced classifier: log-ratios that err to the conservative side."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.objectives.base import Objective
from contrastive.objectives.bregman import LOGISTIC


class Balanced(Objective):
    """NCE's loss + weight (mean d at the data + nu mean d at the noise - 1)^2, d = sigmoid(r) = p / (p + nu q).

    The exact d is balanced, so the penalty moves no optimum of infinitely large batches. A free c is balanced at NCE's
    own optimum too; what is left in a batch of n points is the variance of d, (Var d at the data + nu^2 Var d at the
    noise / kappa) / n in expectation, which shrinks d towards its mean: ratios are too flat rather than too steep. The
    strength of that depends on the batch size.

    Args:
        weight: of the penalty, at least 0; 0 is `nce`.

    Raises:
        ContrastiveError: if the weight is negative or not finite.

    Reference: Delaunoy, Hermans, Rozet, Wehenkel & Louppe (2022), "Towards reliable simulation-based inference with
    balanced neural ratio estimation", NeurIPS, eq. 6 and algorithm 1, with weight 100.
    """

    allows_adaptive_noise = False

    def __init__(self, weight: float = 100.0) -> None:
        if not (isinstance(weight, float | int) and 0 <= weight < math.inf):
            raise ContrastiveError(f"the balanced objective needs a weight of at least 0, got {weight!r}")
        self.weight = weight

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """NCE's losses; the penalty, one number a batch, is added to each of the noise's."""
        data, noise = LOGISTIC(r_data, r_noise, noise_ratio)
        surplus = torch.sigmoid(r_data).mean() + noise_ratio * torch.sigmoid(r_noise).mean() - 1
        return data, noise + self.weight * surplus.square()
