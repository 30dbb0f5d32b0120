"""Sampling-importance-resampling: a preview of the energy's samples, as good as the noise is near."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.estimator import ContrastiveEstimator

_ROWS = 20_000  # at once


@dataclass(frozen=True)
class Resampled:
    """Draws and how far to trust them.

    Attributes:
        x: draws in original units, shape `(n, *event)`.
        effective_sample_size: (sum w)^2 / sum w^2 of the importance weights.
        proposals: number of noise draws that `x` was picked from.
    """

    x: Float[Tensor, "n *event"]
    effective_sample_size: float
    proposals: int


@torch.no_grad()
def resample(estimator: ContrastiveEstimator, n: int, *, oversampling: int = 50) -> Resampled:
    """Draw from p by picking noise draws with probability proportional to w = p / q.

    The draws follow p exactly only as `oversampling` grows, and repeat themselves where the effective sample size is
    not well above `n`. c cancels in the weights.

    Args:
        estimator: its noise proposes, its energy weighs.
        n: number of draws.
        oversampling: proposals a draw.

    Raises:
        ContrastiveError: if `n` or `oversampling` is below 1, or no proposal has a finite weight.

    Reference: Rubin (1987), "The SIR algorithm", JASA 82, 543-546.
    """
    if min(n, oversampling) < 1:
        raise ContrastiveError(f"resampling needs n and oversampling of at least 1, got {n} and {oversampling}")
    proposals, log_weights = [], []
    left = n * oversampling
    while left > 0:
        z, log_q = estimator.draw_noise(min(left, _ROWS))
        x = estimator.scaling.inverse(z)
        proposals.append(x)
        # log_prob adds the scaling's log-determinant, a constant that the weights forget.
        log_weights.append((estimator.log_prob(x) - log_q).double())
        left -= len(x)
    x, log_w = torch.cat(proposals), torch.cat(log_weights)
    if not bool(log_w.isfinite().any()):
        raise ContrastiveError("no draw of the noise has a finite density under the energy: the model did not train")
    weights = torch.softmax(log_w, 0)
    picked = torch.searchsorted(weights.cumsum(0), torch.rand(n, dtype=torch.float64, device=weights.device))
    return Resampled(x[picked.clamp(max=len(x) - 1)], float(1 / weights.square().sum()), len(x))
