"""Held-out figures of a conditional density."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.normalizer import log_partitions_given
from contrastive.numerics.row_weights import weights_of
from contrastive.numerics.statistics import mean_with_error
from contrastive.sampling import sample_given

_ROWS, _DRAWS = 500, 500  # whose log Z(y) is estimated, and draws for each
_TRANSFORMED, _SAMPLES = 1_000, 100


@torch.no_grad()
def conditional_figures(
    estimator: Estimator, x: Float[Tensor, "n row"], sample_weight: Float[Tensor, " n"] | None = None
) -> dict[str, Any]:
    """Mean log p(x | y) of held-out rows, each with the upper end of the interval of its own log Z(y).

    Args:
        estimator: of a conditional density without classes.
        x: rows (x, y) in original units; the first 500 count.
        sample_weight: of the rows, by which the mean is taken.

    Returns:
        `test_log_prob_given` with its standard error over rows, the spread of log Z(y) over them, which f leaves to be
        absorbed, and the share of rows whose log Z(y) is reliable.
    """
    x = x[:_ROWS].to(estimator.log_normalizer.device)
    z = estimator.model_coordinates(x)
    estimates = log_partitions_given(estimator, z[:, -estimator.scaling.num_given :], draws=_DRAWS)
    high = torch.tensor([estimate.high for estimate in estimates], dtype=torch.float64)
    log_z = torch.tensor([estimate.log_z for estimate in estimates], dtype=torch.float64)
    log_p = estimator.unnormalized_log_prob(x).double().cpu() - high
    mean, error = mean_with_error(log_p, weights_of(sample_weight, slice(_ROWS)))
    return {
        "test_log_prob_given": mean,
        "test_log_prob_given_error": error,
        "log_partition_given_spread": float(log_z.std()) if len(log_z) > 1 else 0.0,
        "log_partition_given_reliable": sum(estimate.is_reliable for estimate in estimates) / len(estimates),
    }


@torch.no_grad()
def conditional_transforms(estimator: Estimator, x: Float[Tensor, "n row"]) -> Float[Tensor, "m d"]:
    """Probability integral transform of each entry of x given y: uniform on (0, 1) where p(x_j | y) is right.

    The rank of the entry among 100 draws of p(. | y), ties and the ends broken at random.

    Args:
        estimator: of a conditional density.
        x: rows (x, y) in original units; the first 1,000 count.
    """
    x = x[:_TRANSFORMED].to(estimator.log_normalizer.device)
    k = estimator.scaling.num_given
    z = estimator.model_coordinates(x)
    draws = sample_given(estimator, _SAMPLES, z[:, -k:]).x
    below = (draws < x[:, :-k].double()).double().sum(0)
    return (below + torch.rand_like(below)) / (_SAMPLES + 1)
