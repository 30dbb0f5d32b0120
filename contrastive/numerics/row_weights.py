"""Weights of rows: multiplicities up to a common factor, so that data are a weighted empirical distribution.

Every mean over rows is taken under that distribution: it is the mean over the same rows, each repeated as often as its
weight says, and does not change when all weights are scaled. None stands for equal weights throughout.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from contrastive.errors import ContrastiveError

_THINNING = 0x7417  # keeps these numbers apart from those of a seed that users take


def as_weights(sample_weight: Any, rows: int) -> Float[Tensor, " n"]:
    """Weights of `rows` rows in float64, as they were given.

    Raises:
        ContrastiveError: if there is not one a row, one is negative or not finite, or all are 0.
    """
    try:
        given = sample_weight if isinstance(sample_weight, Tensor) else torch.from_numpy(np.array(sample_weight))
        weights = given.detach().double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ContrastiveError("weights must be one number a row, such as counts") from error
    if weights.shape != (rows,):
        raise ContrastiveError(f"weights of shape {tuple(weights.shape)} for {rows} rows: give one number a row")
    bad = ~(weights.isfinite() & (weights >= 0))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ContrastiveError(
            f"{int(bad.sum())} of {rows} weights are negative, NaN or infinite; the first is {float(weights[row]):g}, "
            f"of row {row + 1}: a weight says how often its row counts, 0 leaves it out"
        )
    if not bool((weights > 0).any()):
        raise ContrastiveError(f"all {rows} weights are 0, no row is left to fit: give positive ones")
    return weights


def weights_of(sample_weight: Float[Tensor, " n"] | None, rows: Tensor | slice) -> Float[Tensor, " m"] | None:
    """The weights of some of the rows, given by number or as a mask."""
    if sample_weight is None:
        return None
    return sample_weight[rows.to(sample_weight.device) if isinstance(rows, Tensor) else rows]


def weighted_mean(values: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None) -> Tensor:
    """sum_i w_i v_i / sum_i w_i over the first dimension, in the dtype of `values`."""
    if sample_weight is None:
        return values.mean(0)
    return torch.tensordot(shares(sample_weight).to(values), values, 1)


def weighted_std(x: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None) -> Tensor:
    """Standard deviation over the first dimension, the square root of the mean squared deviation."""
    if sample_weight is None:
        return x.std(0, correction=0)
    return weighted_mean((x - weighted_mean(x, sample_weight)).square(), sample_weight).sqrt()


def shares(sample_weight: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Weights that sum to 1, float64."""
    weights = sample_weight.double()
    return weights / weights.sum()


def effective_size(sample_weight: Float[Tensor, " n"] | None, rows: int) -> float:
    """(sum w)^2 / sum w^2, Kish's effective number of rows: `rows` for equal weights, less for all others.

    The variance of a weighted mean is that of a mean over so many rows, where weights do not depend on the values.

    Reference: Kish (1965), "Survey sampling", section 11.7.
    """
    return float(rows) if sample_weight is None else float(1 / shares(sample_weight).square().sum())


def rows_by_weight(sample_weight: Float[Tensor, " n"], count: int, offset: float = 0.5) -> Int[Tensor, " count"]:
    """Row numbers in order, row i floor or ceil(`count` w_i / sum w) times: systematic resampling.

    With `offset` uniform on [0, 1) the expected number of times is `count` w_i / sum w, exactly. Equal weights and as
    many draws as rows give each row once.

    Reference: Kitagawa (1996), "Monte Carlo filter and smoother for non-Gaussian nonlinear state space models".
    """
    cumulative = sample_weight.double().cumsum(0)
    points = (torch.arange(count, dtype=torch.float64, device=cumulative.device) + offset) / count * cumulative[-1]
    return torch.searchsorted(cumulative, points, right=True).clamp_max(len(cumulative) - 1)


def resampled(
    x: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None, count: int | None = None
) -> Float[Tensor, "m *event"]:
    """`count` rows (default: as many as there are) by `rows_by_weight`, for what takes no weights.

    Rows without weights stay as they are, all of them.
    """
    return x if sample_weight is None else x[rows_by_weight(sample_weight, count or len(x)).to(x.device)]


def thinned(sample_weight: Float[Tensor, " n"]) -> Bool[Tensor, " n"]:
    """Which rows to keep so that those kept follow the weighted distribution, none of them twice.

    Row i is kept with probability w_i / max w: rejection sampling. Of independent rows whose weight is a function of
    the row, those kept are independent draws from the density in proportion to weight times density: for tests that
    repeated rows would mislead. The same rows at every call.
    """
    u = torch.rand(len(sample_weight), dtype=torch.float64, generator=torch.Generator().manual_seed(_THINNING))
    weights = sample_weight.double().cpu()
    return u * weights.max() < weights


def takes_weights(fit: Callable[..., Any]) -> bool:
    """Whether a fit has a parameter `sample_weight`, as scikit-learn's convention has it."""
    return "sample_weight" in inspect.signature(fit).parameters


def fit_weighted(
    fit: Callable[..., Any], x: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None
) -> None:
    """Call a noise's `fit` on weighted rows: with its `sample_weight`, or without one on rows drawn by weight."""
    if sample_weight is not None and takes_weights(fit):
        fit(x, sample_weight=sample_weight)
    else:
        fit(resampled(x, sample_weight))
