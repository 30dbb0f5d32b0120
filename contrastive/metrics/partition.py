"""Held-out figures that use an estimate of log Z."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.metrics.evaluation import image_bits
from contrastive.normalizer import LogPartition
from contrastive.numerics.chunks import rows_at_once
from contrastive.numerics.row_weights import weighted_mean

_ROWS = 10_000  # at once


def partition_figures(
    estimator: Estimator,
    estimates: Sequence[LogPartition],
    x: Float[Tensor, "n *event"] | None = None,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> dict[str, Any]:
    """log Z with its interval, and held-out log-densities by it; lists for a K-class energy.

    Args:
        estimator: what was judged.
        estimates: of `log_partitions`.
        x: held-out data in original units.
        sample_weight: of these.

    Returns:
        `log_partition`, `log_partition_low`, `log_partition_high`, `log_partition_method`, `log_partition_verdict`
        and, with `x`, what `normalized_figures` gives with log Z at its upper, conservative end.
    """
    columns: dict[str, list[Any]] = {
        "log_partition": [estimate.log_z for estimate in estimates],
        "log_partition_low": [estimate.low for estimate in estimates],
        "log_partition_high": [estimate.high for estimate in estimates],
        "log_partition_method": [estimate.method for estimate in estimates],
        "log_partition_verdict": [estimate.verdict_with_reasons for estimate in estimates],
    }
    figures = {key: column[0] if estimator.num_classes is None else column for key, column in columns.items()}
    if x is None:
        return figures
    high = torch.tensor(columns["log_partition_high"], dtype=torch.float64)
    return figures | normalized_figures(estimator, x, high, sample_weight)


def normalized_figures(
    estimator: Estimator,
    x: Float[Tensor, "n *event"],
    log_normalizer: Float[Tensor, " classes"],
    sample_weight: Float[Tensor, " n"] | None = None,
) -> dict[str, float]:
    """`test_log_prob_energy_normalized`, of `mean_log_prob`, and for images the same in bits per dimension."""
    log_p = mean_log_prob(estimator, x, log_normalizer, sample_weight)
    return {"test_log_prob_energy_normalized": log_p, **image_bits(estimator, "energy_normalized", log_p)}


@torch.no_grad()
def mean_log_prob(
    estimator: Estimator,
    x: Float[Tensor, "n *event"],
    log_normalizer: Float[Tensor, " classes"],
    sample_weight: Float[Tensor, " n"] | None = None,
) -> float:
    """Mean log p at `x` in original units, with log Z given in the place of the learned c; see `log_prob_given`."""
    return float(weighted_mean(log_prob_given(estimator, x, log_normalizer), sample_weight))


@torch.no_grad()
def log_prob_given(
    estimator: Estimator, x: Float[Tensor, "n *event"], log_normalizer: Float[Tensor, " classes"]
) -> Float[Tensor, " n"]:
    """log p at `x` with log Z given in the place of the learned c, nats, float64, on the CPU.

    Args:
        estimator: what is judged.
        x: rows in original units.
        log_normalizer: log Z, one entry; or one for each class, whose densities are mixed by the class prior.
    """
    rows = rows_at_once(tuple(x.shape[1:]), _ROWS)
    f = torch.cat([estimator.unnormalized_log_prob(part).cpu() for part in x.split(rows)]).double()
    log_p = f.reshape(len(x), -1) - log_normalizer.cpu().double()
    if estimator.log_class_prior is not None:
        log_p = log_p + estimator.log_class_prior.cpu().double()
    return log_p.logsumexp(1)
