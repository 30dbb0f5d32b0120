"""The log normaliser that balances two samples.

One equation in one unknown, met twice: as the optimum of NCE's loss in c alone, and as the acceptance-ratio (bridge)
estimate of log Z, where samples of the model stand in the place of data.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.numerics.row_weights import weighted_mean

_TOLERANCE = 1e-14
_ITERATIONS = 200


def optimal_log_normalizer(
    r_data: Float[Tensor, " n"],
    r_noise: Float[Tensor, " m"],
    noise_ratio: float,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> float:
    """The c that solves mean sigmoid(-(r_data - c)) = nu mean sigmoid(r_noise - c), to the last digits of float64.

    The difference of both sides rises in c. Newton's method finds its root, held within a bracket that bisection
    halves where a step would leave it.

    Args:
        r_data: log-ratios at the data for c = 0.
        r_noise: log-ratios at the noise for c = 0.
        noise_ratio: nu.
        sample_weight: of the data, by which their mean is taken.

    Raises:
        ContrastiveError: if no log-ratio is finite.

    Example:
        >>> r = torch.tensor([1.0, 3.0])
        >>> optimal_log_normalizer(r, r, 1.0)
        2.0
    """
    r_data, r_noise = r_data.double(), r_noise.double()
    both = torch.cat([r_data, r_noise])
    both = both[both.isfinite()]
    if not len(both):
        raise ContrastiveError("no log-ratio is finite: the energy or the noise gives no usable density")
    low, high = float(both.min()) - 50.0, float(both.max()) + 50.0
    c = (low + high) / 2
    for _ in range(_ITERATIONS):
        missed_data, taken_noise = torch.sigmoid(c - r_data), torch.sigmoid(r_noise - c)
        of_data = weighted_mean(missed_data, sample_weight)
        missing = float(of_data - noise_ratio * taken_noise.mean())
        curvature = weighted_mean(missed_data * (1 - missed_data), sample_weight)
        slope = float(curvature + noise_ratio * (taken_noise * (1 - taken_noise)).mean())
        low, high = (low, c) if missing > 0 else (c, high)
        proposal = c - missing / slope if slope > 0 else math.nan
        following = proposal if low < proposal < high else (low + high) / 2
        if abs(following - c) <= _TOLERANCE * max(1.0, abs(c)):
            return following
        c = following
    return c
