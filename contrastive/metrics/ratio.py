"""How far a learned log-ratio can be believed: divergences with intervals, a two-sample test, calibration, weights.

Everything here is a function of log-ratios log p_A / p_B at rows that did not train it: at rows of A, and at rows of B.
Where B is the product of a joint law's margins, its rows are pairs of the same held-out rows (`pair_rows`): their
log-ratios are a matrix, and errors are those of a two-sample U-statistic.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from contrastive.numerics.statistics import normal_threshold

_BINS = 15
_PERMUTATIONS = 999
_FEWEST_EFFECTIVE = 50


@dataclass(frozen=True)
class Divergence:
    """A lower bound of a divergence at a learned ratio, estimated on held-out rows, in nats.

    The bound is at most the divergence, and equal to it for the exact ratio: what the ratio has not learned is missing.
    The interval is the bound's, by the normal approximation (delta method) at the stated level. Its lower end is so a
    lower confidence limit of the divergence itself; its upper end is none.

    Attributes:
        name: what is bounded, such as "KL(A || B)".
        value: of the bound.
        standard_error: of that.
        level: probability with which the interval is to hold the bound.
        warning: why the interval does not hold its level, in one sentence; empty where nothing speaks against it.
    """

    name: str
    value: float
    standard_error: float
    level: float
    warning: str = ""

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.value - normal_threshold(1 - self.level) * self.standard_error

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.value + normal_threshold(1 - self.level) * self.standard_error

    def __str__(self) -> str:
        interval = f"{100 * self.level:g} % interval of the lower bound {self.low:.4f} to {self.high:.4f}"
        return f"{self.name} at least {self.value:.4f} nats ({interval})" + (f"; {self.warning}" * bool(self.warning))


class TwoSampleTest(NamedTuple):
    """A permutation test that both samples (or the joint law and the product of its margins) are the same.

    Attributes:
        statistic: mean log-ratio at A less that at B.
        p_value: share of permutations, this one counted, whose statistic is as large.
        level: false-alarm rate.
        rows: held-out rows that were permuted.
    """

    statistic: float
    p_value: float
    level: float
    rows: int

    @property
    def rejects(self) -> bool:
        """Whether equality is rejected at the level."""
        return self.p_value <= self.level


@dataclass(frozen=True)
class Calibration:
    """How far P(A | x), both samples being as likely before, can be believed: at held-out rows, both weighing the same.

    Attributes:
        predicted: mean probability in each of 15 bins of equal width; NaN in an empty one.
        observed: share of A in the bin; NaN likewise.
        share: of all weight in the bin.
        log_score: mean of -log P(the row's own sample | x), nats: log 2 for P = 1/2. Proper.
        brier_score: mean squared error of P(A | x): 1/4 for P = 1/2. Proper.
        mean_ratio: mean of p_A / p_B at B, which is 1 for the exact ratio.
        mean_ratio_error: its standard error.
    """

    predicted: Float[Tensor, " bins"]
    observed: Float[Tensor, " bins"]
    share: Float[Tensor, " bins"]
    log_score: float
    brier_score: float
    mean_ratio: float
    mean_ratio_error: float

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of prediction and share, each bin by its weight: Guo et al. (2017), eq. 3."""
        return float(((self.observed - self.predicted).abs() * self.share).nansum())


class Weights(NamedTuple):
    """Importance weights p_A / p_B of rows of B, by which they stand for A.

    Attributes:
        values: scaled to a mean of 1, shape `(n,)`, float64.
        effective_size: (sum w)^2 / sum w^2 (Kish 1965): as many rows of A are worth about as much.
    """

    values: Float[Tensor, " n"]
    effective_size: float

    @classmethod
    def of(cls, log_ratio: Float[Tensor, " n"]) -> "Weights":
        """The weights of log-ratios, whatever constant they lack."""
        w = log_ratio.double().softmax(0)
        return cls(w * len(w), float(1 / w.square().sum()))


def kl_bound(at_a: Float[Tensor, " n"], at_b: Float[Tensor, "m *pairs"], *, level: float, name: str) -> Divergence:
    """E_A[r] - log E_B[e^r] <= KL(A || B), whatever r is: Donsker & Varadhan (1975); with pairs, mutual information.

    The log of a mean over m rows is biased by half its variance over m, upwards here. Where KL is above about log m,
    the rows of B that carry E_B[e^r] are not among those held out, and the bound is not one any more: the warning says
    so (McAllester & Stratos 2020, "Formal limitations on the measurement of mutual information").

    Args:
        at_a: log-ratios at rows of A.
        at_b: at rows of B; or at pairs, as `pair_rows` makes them.
        level: of the interval.
        name: of the divergence.
    """
    at_a, at_b = at_a.double(), at_b.double()
    log_mean = at_b.flatten().logsumexp(0) - math.log(at_b.numel())
    value = float(at_a.mean() - log_mean)
    _, error = mean_of_both(at_a, -(at_b - log_mean).exp())
    effective = float(1 / at_b.flatten().softmax(0).square().sum())
    warning = ""
    if effective < _FEWEST_EFFECTIVE:
        warning = (
            f"{effective:.1f} effective rows of {at_b.numel():,} carry the mean ratio, too few for an interval: the "
            "value may be too high by nats"
        )
    return Divergence(name, value, error, level, warning)


def twice_jsd_bound(
    at_a: Float[Tensor, " n"], at_b: Float[Tensor, "m *pairs"], *, level: float, name: str
) -> Divergence:
    """log 4 + E_A[log sigmoid(r)] + E_B[log sigmoid(-r)] <= 2 JSD(A, B) <= log 4; arguments as in `kl_bound`.

    Reference: Goodfellow et al. (2014), "Generative adversarial nets", eq. 4.
    """
    mean, error = mean_of_both(-softplus(-at_a.double()), -softplus(at_b.double()))
    return Divergence(name, math.log(4) + mean, error, level)


def mean_of_both(at_a: Float[Tensor, " n"], at_b: Float[Tensor, "m *pairs"]) -> tuple[float, float]:
    """Mean over A plus mean over B, and the standard error of the sum.

    Of pairs, column k of `at_b` holds row i's x beside the y of row i + k + 1 (modulo n): each row counts with what it
    gives at its place in A, as x and as y (Hajek's projection of the U-statistic), which errs to a larger error where
    there are few pairs.
    """
    mean = float(at_a.mean() + at_b.mean())
    if at_b.ndim == 1:
        return mean, math.sqrt(float(at_a.var() / len(at_a) + at_b.var() / len(at_b)))
    as_y = torch.stack([column.roll(k + 1) for k, column in enumerate(at_b.unbind(1))], 1)
    rows = at_a + at_b.mean(1) + as_y.mean(1)
    return mean, math.sqrt(float(rows.var() / len(rows)))


def pair_rows(
    log_ratio: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"], split: int, most: int
) -> Float[Tensor, "n pairs"]:
    """Log-ratios at x of row i beside y of row i + k + 1 (modulo n), for k from 0 on: `most` pairs in all, or fewer.

    Args:
        log_ratio: of rows.
        x: held-out rows of the joint law, in random order.
        split: how many columns the first side has.
        most: of the pairs; each row gets the same number.
    """
    n = len(x)
    shifts = range(1, 1 + max(1, min(n - 1, most // n)))
    columns = [log_ratio(torch.cat([x[:, :split], x[:, split:].roll(-k, 0)], 1)) for k in shifts]
    return torch.stack(columns, 1)


def two_sample_test(
    at_a: Float[Tensor, " n"], at_b: Float[Tensor, " m"], *, level: float, seed: int = 0
) -> TwoSampleTest:
    """Permute which held-out row is A's: exact for independent rows, whatever the log-ratio, which never saw them.

    The statistic is the difference of mean logits: Cheng & Cloninger (2022), "Classification logit two-sample testing
    by neural networks".

    Args:
        at_a: log-ratios at held-out rows of A.
        at_b: at held-out rows of B.
        level: false-alarm rate.
        seed: of the 999 permutations.
    """
    pooled, n = torch.cat([at_a, at_b]).double().numpy(), len(at_a)
    generator = np.random.default_rng(seed)
    permuted = np.array([generator.permutation(pooled)[:n].sum() for _ in range(_PERMUTATIONS)])
    found = pooled[:n].sum()
    # A sum in another order differs in its last digits: what is equal must not count as smaller.
    reached = int((permuted >= found - 1e-9 * np.abs(pooled).sum()).sum())
    statistic = float(at_a.double().mean() - at_b.double().mean())
    return TwoSampleTest(statistic, (1 + reached) / (1 + _PERMUTATIONS), level, len(pooled))


def independence_test(
    log_ratio: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n d"],
    split: int,
    *,
    level: float,
    most: int,
    seed: int = 0,
) -> TwoSampleTest:
    """Permute y against x among held-out rows: exact for independent rows, whatever the log-ratio.

    Args:
        log_ratio: of rows; it never saw these.
        x: held-out rows of the joint law.
        split: how many columns the first side has.
        level: false-alarm rate.
        most: log-ratios that are computed; there are 99 to 999 permutations.
        seed: of the permutations.
    """
    generator = torch.Generator().manual_seed(seed)
    x = x[: max(2, most // 99)]
    count = max(99, min(_PERMUTATIONS, most // len(x)))
    found = float(log_ratio(x).double().mean())
    permuted = []
    for _ in range(count):
        order = torch.randperm(len(x), generator=generator)
        permuted.append(float(log_ratio(torch.cat([x[:, :split], x[order, split:]], 1)).double().mean()))
    reached = sum(value >= found - 1e-9 * abs(found) for value in permuted)
    return TwoSampleTest(found - float(np.mean(permuted)), (1 + reached) / (1 + count), level, len(x))


def calibrate(at_a: Float[Tensor, " n"], at_b: Float[Tensor, "m *pairs"]) -> Calibration:
    """How far the probabilities of log-ratios can be believed; arguments as in `kl_bound`."""
    at_a, at_b = at_a.double(), at_b.double()
    mean_ratio, error = mean_of_both(torch.zeros_like(at_a), at_b.exp())
    of_b = at_b.flatten()
    r = torch.cat([at_a, of_b])
    is_a = torch.cat([torch.ones_like(at_a), torch.zeros_like(of_b)])
    weight = torch.where(is_a > 0, 0.5 / len(at_a), 0.5 / len(of_b))
    p = r.sigmoid()
    index = (p * _BINS).long().clamp_max(_BINS - 1)
    share = torch.bincount(index, weight, _BINS)
    predicted, observed = (torch.bincount(index, weight * values, _BINS) / share for values in (p, is_a))
    log_score = (softplus(-at_a).mean() + softplus(of_b).mean()) / 2
    brier = (weight * (p - is_a).square()).sum()
    return Calibration(predicted, observed, share, float(log_score), float(brier), mean_ratio, error)
