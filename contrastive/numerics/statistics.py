"""Intervals and thresholds that hold at every sample size, or that state what they assume."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.numerics.row_weights import effective_size, shares


def mean_with_error(
    values: Float[Tensor, " n"], sample_weight: Float[Tensor, " n"] | None = None
) -> tuple[float, float]:
    """The mean of independent values and its standard error; of a single one the error is infinite.

    With weights it is m = sum w v / sum w, and the error that of a ratio: its square is sum w^2 (v - m)^2 / (sum w)^2,
    times n / (n - 1) with n the effective number of rows (sum w)^2 / sum w^2. Where weights do not depend on the values
    that is their variance over n. Weights are importances, not counts of independent values: their scale means nothing.

    Reference: Cochran (1977), "Sampling techniques", section 6.3.
    """
    if sample_weight is None:
        error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.inf
        return float(values.mean()), error
    w = shares(sample_weight).to(values)
    mean, size = float(w @ values), effective_size(sample_weight, len(values))
    variance = float((w * (values - mean)).square().sum())
    return mean, math.sqrt(variance * size / (size - 1)) if size > 1 else math.inf


def bernstein_radius(
    values: Float[Tensor, "n j"], *, width: float, false_alarm: float
) -> tuple[Float[Tensor, " j"], Float[Tensor, " j"]]:
    """Means of each column and a radius within which all the expectations lie.

    Args:
        values: independent rows, each entry within an interval of length `width`.
        width: that length.
        false_alarm: probability that any expectation lies outside, over all columns and both sides.

    Reference: Maurer & Pontil (2009), "Empirical Bernstein bounds", theorem 4.
    """
    n, j = values.shape
    log_term = math.log(4 * j / false_alarm)
    radius = (2 * values.var(0) * log_term / n).sqrt() + 7 * width * log_term / (3 * (n - 1))
    return values.mean(0), radius


def dkw_radius(n: int, false_alarm: float) -> float:
    """Largest distance between an empirical and the true distribution function of `n` draws.

    Reference: Massart (1990), the tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality.
    """
    return math.sqrt(math.log(2 / false_alarm) / (2 * n))


def normal_threshold(false_alarm: float, tests: int = 1) -> float:
    """|z| that a standard normal exceeds with probability `false_alarm` in any of `tests` tests."""
    p = torch.tensor(1 - false_alarm / (2 * tests), dtype=torch.float64)
    return float(torch.special.ndtri(p))
