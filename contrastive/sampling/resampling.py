"""Sampling-importance-resampling, a fast approximation to samples of the energy."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.numerics.chunks import rows_at_once
from contrastive.protocols import NoiseModel, sample_and_log_prob
from contrastive.sampling.kernels import LogDensity
from contrastive.sampling.targets import energy_target

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


def resample(estimator: Estimator, n: int, *, oversampling: int = 50) -> Resampled:
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
    z, size = pick(energy_target(estimator), estimator.noise, n, proposals=n * oversampling)
    return Resampled(estimator.scaling.inverse(z), size, n * oversampling)


@torch.no_grad()
def pick(target: LogDensity, noise: NoiseModel, n: int, *, proposals: int) -> tuple[Float[Tensor, "n *event"], float]:
    """`n` of `proposals` noise draws by their importance weights, and (sum w)^2 / sum w^2; in model coordinates.

    Raises:
        ContrastiveError: if no proposal has a finite weight.
    """
    parts, log_weights = [], []
    rows = rows_at_once(tuple(noise.event_shape), _ROWS)
    for start in range(0, proposals, rows):
        z, log_q = sample_and_log_prob(noise, min(rows, proposals - start))
        parts.append(z)
        log_weights.append((target(z) - log_q).double())
    z, log_w = torch.cat(parts), torch.cat(log_weights)
    usable = log_w.isfinite()
    if not bool(usable.any()):
        raise ContrastiveError("no draw of the noise has a finite density under the energy: the model did not train")
    weights = torch.softmax(torch.where(usable, log_w, -torch.inf), 0)
    picked = torch.searchsorted(weights.cumsum(0), torch.rand(n, dtype=torch.float64, device=weights.device))
    return z[picked.clamp(max=len(z) - 1)], float(1 / weights.square().sum())
