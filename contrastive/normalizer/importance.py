"""log Z from the noise alone: importance sampling.

With w = exp(f - log q), Z = E_q[w]. The mean of w over noise draws is unbiased for Z, so by Jensen's inequality
E[log Z_hat] <= log Z: log Z is underestimated on average (by about half the squared standard error), and likelihoods
f - log Z_hat are OPTIMISTIC. Where the noise never comes, the weights cannot tell what is missing.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.normalizer.result import LogPartition

_TAIL = 4096  # largest weights kept: what Pareto smoothing of 1.8 million draws needs
_SMALLEST_TAIL = 5
_SAME = 1e-12  # nats
_FEWEST_EFFECTIVE = 100
_LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class WeightSummary:
    """What an estimate needs of importance weights w; summaries of parts merge into that of the whole.

    Attributes:
        count: number of weights.
        log_sum: log sum w.
        log_sum_squares: log sum w^2.
        tail: the largest log-weights, at most 4,096, descending; the first is the maximum.
    """

    count: int
    log_sum: float
    log_sum_squares: float
    tail: Float[Tensor, " tail"]

    @classmethod
    def of(cls, log_weights: Float[Tensor, " n"]) -> "WeightSummary":
        """The summary of log-weights log w = f - log q; -inf is a weight of zero.

        Raises:
            ContrastiveError: if a log-weight is NaN or +inf.
        """
        log_w = log_weights.detach().double().cpu()
        if bool((log_w.isnan() | (log_w == math.inf)).any()):
            raise ContrastiveError(
                "the energy or the noise gives NaN or infinite log-densities at draws of the noise: log Z has no "
                "estimate; look at the energy's parameters"
            )
        return cls(
            len(log_w),
            float(log_w.logsumexp(0)),
            float((2 * log_w).logsumexp(0)),
            log_w.topk(min(_TAIL, len(log_w))).values,
        )

    def __add__(self, other: "WeightSummary") -> "WeightSummary":
        """The summary of both parts together: in any order, from any rank."""
        tail = torch.cat([self.tail, other.tail])
        return WeightSummary(
            self.count + other.count,
            _log_add(self.log_sum, other.log_sum),
            _log_add(self.log_sum_squares, other.log_sum_squares),
            tail.topk(min(_TAIL, len(tail))).values,
        )

    @property
    def log_mean(self) -> float:
        """log of the mean weight: the plain importance-sampling estimate of log Z."""
        return self.log_sum - math.log(self.count)

    @property
    def relative_ess(self) -> float:
        """Effective share of the draws, (sum w)^2 / (n sum w^2)."""
        return math.exp(2 * self.log_sum - self.log_sum_squares) / self.count if self.log_sum > -math.inf else 0.0

    @property
    def largest_share(self) -> float:
        """The largest weight's share of the sum."""
        return math.exp(float(self.tail[0]) - self.log_sum) if self.log_sum > -math.inf else 1.0

    def smoothed(self) -> tuple["WeightSummary", float]:
        """The summary after Pareto smoothing of the largest weights, and the fitted shape k.

        k is that of the generalised Pareto distribution of the tail: moments of order 1/k and above do not exist. It
        is -inf where the largest weights are all the same, and inf where there are too few to fit or they are too far
        apart.

        Reference: Vehtari, Simpson, Gelman, Yao & Gabry (2024), "Pareto smoothed importance sampling", JMLR 25.
        """
        size = min(_tail_size(self.count), int(self.tail.isfinite().sum()) - 1)
        if size < _SMALLEST_TAIL:
            return self, math.inf
        cutoff = float(self.tail[size])
        size = int((self.tail[:size] > cutoff + _SAME).sum())  # weights of discrete points tie
        if size == 0:
            return self, -math.inf
        if size < _SMALLEST_TAIL:
            return self, math.inf
        largest = self.tail[:size]
        if float(largest[0] - largest[-1]) < _SAME:
            return self, -math.inf
        # arviz takes the upper fifth of a short array for its tail: four times as many cutoffs make it ours.
        padded = torch.cat([largest, torch.full((4 * size,), cutoff, dtype=torch.float64)])
        with np.errstate(divide="ignore", invalid="ignore"):
            log_weights, shape = array_stats.psislw(-padded.numpy(), r_eff=1e-9)
        if not np.isfinite(log_weights).all():  # they differ by so many nats that the cutoff is 0 beside the largest
            return self, math.inf
        smoothed = torch.as_tensor(log_weights) - float(log_weights[-1]) + cutoff
        tail = torch.cat([smoothed[:size], self.tail[size:]])
        return (
            WeightSummary(
                self.count,
                _log_replace(self.log_sum, largest, tail[:size]),
                _log_replace(self.log_sum_squares, 2 * largest, 2 * tail[:size]),
                tail,
            ),
            float(shape),
        )


def importance_estimate(weights: WeightSummary, *, level: float = 0.95, bounded: bool = False) -> LogPartition:
    """log Z = log mean_q(w), with smoothed weights and the delta method's standard error sd(w) / (sqrt(n) mean(w)).

    The error is the larger one of smoothed and raw weights. Doubtful where Pareto's k may be 1/2 or more, for then the
    weights have no variance and the interval no basis; where fewer than 100 draws count; and where one draw makes a
    tenth of the sum. (For the point estimate alone k up to 0.7 is good enough: Vehtari et al. 2024.)

    Args:
        weights: summary of the noise draws' weights.
        level: of the interval.
        bounded: whether the weights are known to be bounded, and so to have a variance whatever k is.

    Raises:
        ContrastiveError: if every weight is zero.
    """
    if weights.log_sum == -math.inf:
        raise ContrastiveError("the energy is -inf at every draw of the noise: their supports do not overlap")
    smooth, k = weights.smoothed()
    if bounded:  # smoothing would go on beyond the bound
        smooth = weights
    n, share = weights.count, min(weights.relative_ess, smooth.relative_ess)
    reasons = []
    # Two standard errors of k, (1 + k) / sqrt(tail): a k that is only seen below 1/2 often goes with a sum that misses
    # its largest weights, so intervals picked by the estimate itself would cover too rarely.
    if not bounded and k + 2 * (1 + max(k, 0.0)) / math.sqrt(max(_tail_size(n), 1)) > 0.5:
        reasons.append(f"the weights may have no variance (Pareto's k is {k:.2f}): the noise's tails are too light")
    if n * share < _FEWEST_EFFECTIVE:
        reasons.append(f"{n:,} draws of the noise count as {n * share:.0f}: it is too far from the energy")
    elif weights.largest_share > _LARGEST_SHARE:
        reasons.append(f"one draw makes {100 * weights.largest_share:.0f} % of the sum")
    return LogPartition.normal(
        smooth.log_mean,
        math.sqrt(max(1 / share - 1, 0.0) / n) if share > 0 else math.inf,
        level=level,
        method="importance",
        reasons=reasons,
        diagnostics={
            "draws": n,
            "relative_ess": weights.relative_ess,
            "pareto_k": k,
            "largest_share": weights.largest_share,
            "log_partition_unsmoothed": weights.log_mean,
        },
    )


def _tail_size(count: int) -> int:
    """How many of the largest weights are smoothed: Vehtari et al. (2024), section 6.1."""
    return int(min(count / 5, 3 * math.sqrt(count), _TAIL - 1))


def _log_add(a: float, b: float) -> float:
    return float(torch.logaddexp(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)))


def _log_replace(log_sum: float, taken: Tensor, put: Tensor) -> float:
    """log of a sum with some of its terms replaced."""
    # Where the terms are nearly all of the sum, rounding may leave less than nothing of the rest.
    rest = (1 - (taken - log_sum).exp().sum()).clamp_min(0).log() + log_sum
    return float(torch.logaddexp(rest, put.logsumexp(0)))
