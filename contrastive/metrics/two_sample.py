"""Two-sample tests: could the rows of two samples come from one distribution?

Every p-value is exact for independent rows, or conservative; those of Markov chains have to be thinned first.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, ks_2samp, norm, rankdata

Matrix = NDArray[np.float64]

_FOLDS = 5
_PERMUTATIONS = 499
_RANDOM_FEATURES = 100
_BANDWIDTHS = (0.2, 0.5, 1.0, 2.0)  # times the root of the number of columns
_MOST_PAIRS = 300
_RIDGE = 0.003  # times the number of rows
_TAIL, _FEWEST_IN_TAIL = 0.01, 10  # of the pooled rows


class ClassifierTest(NamedTuple):
    """Result of the classifier two-sample test: the cross-validated AUC, 1/2 for equal densities, and its p-value."""

    auc: float
    p_value: float


class TailTest(NamedTuple):
    """Rows of the first sample in a tail of the pooled rows, beside what equal distributions would give."""

    found: int
    expected: float
    p_value: float


def classifier_test(x: Matrix, y: Matrix, *, seed: int = 0) -> ClassifierTest:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017) with a permutation p-value.

    The classifier is a ridge regression of the labels on normal scores of the columns, their squares and products, and
    random Fourier features (Rahimi & Recht 2007). Its predictions in 5-fold cross-validation are linear in the labels,
    so that 499 permutations (within the folds) cost little more than one fit. The features depend on the pooled rows
    alone, hence the p-value is exact where the rows of both samples are exchangeable.

    Args:
        x: the first sample, shape `(n, d)`, n at least 5.
        y: the second sample, shape `(m, d)`, m at least 5.
        seed: of folds, features and permutations.

    Returns:
        The AUC, averaged over the folds, and the share of permutations that reach it.
    """
    generator = np.random.default_rng(seed)
    features = _features(np.concatenate([x, y]), generator)
    fold = np.concatenate([generator.permutation(len(part)) % _FOLDS for part in (x, y)])
    is_x = np.concatenate([np.ones(len(x), bool), np.zeros(len(y), bool)])
    labels = np.empty((len(fold), 1 + _PERMUTATIONS), dtype=bool)
    for k in range(_FOLDS):
        rows = np.flatnonzero(fold == k)
        shuffled = generator.permuted(np.tile(is_x[rows], (_PERMUTATIONS, 1)), axis=1)
        labels[rows] = np.concatenate([is_x[rows][None], shuffled]).T
    auc = np.mean([_auc(features, labels, fold == k) for k in range(_FOLDS)], axis=0)
    reached = int((auc[1:] >= auc[0]).sum())
    return ClassifierTest(float(auc[0]), (1 + reached) / (1 + _PERMUTATIONS))


def marginal_test(x: Matrix, y: Matrix) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov test of one column: the largest distance of the distribution functions, and p.

    It tests that the probability-integral transform of `x`, through the empirical distribution of `y`, is uniform.

    Args:
        x: the first sample, shape `(n,)`.
        y: the second sample, shape `(m,)`.
    """
    found = ks_2samp(x, y, method="auto")
    return float(found.statistic), float(found.pvalue)


def tail_test(x: Matrix, y: Matrix, *, upper: bool) -> TailTest:
    """Whether `x` has its share of the outermost pooled rows: 1 %, at least 10; hypergeometric, two-sided.

    Args:
        x: the first sample, shape `(n,)`.
        y: the second sample, shape `(m,)`.
        upper: the tail of large values; else that of small ones.
    """
    x, y = (x, y) if upper else (-x, -y)
    pooled = np.sort(np.concatenate([x, y]))
    size = min(len(pooled), max(_FEWEST_IN_TAIL, round(_TAIL * len(pooled))))
    threshold = pooled[-size]
    size = int((pooled >= threshold).sum())  # ties belong to the tail
    found = int((x >= threshold).sum())
    law = hypergeom(len(pooled), len(x), size)
    p_value = min(1.0, 2 * min(law.cdf(found), law.sf(found - 1)))
    return TailTest(found, size * len(x) / len(pooled), float(p_value))


def _features(pooled: Matrix, generator: np.random.Generator) -> Matrix:
    """Three groups of about unit norm a row, and the intercept."""
    n, d = pooled.shape
    scores = norm.ppf((rankdata(pooled, axis=0) - 0.5) / n)
    groups = [scores / np.sqrt(d), _products(scores)]
    for bandwidth in _BANDWIDTHS:
        weights = generator.normal(size=(d, _RANDOM_FEATURES)) / (bandwidth * np.sqrt(d))
        phase = generator.uniform(0, 2 * np.pi, _RANDOM_FEATURES)
        groups.append(np.cos(scores @ weights + phase) * np.sqrt(2 / _RANDOM_FEATURES))
    made = np.concatenate(groups, axis=1)
    return np.concatenate([made - made.mean(0), np.ones((n, 1))], axis=1)


def _products(scores: Matrix) -> Matrix:
    """Squares, and where there are not too many also products of two columns."""
    d = scores.shape[1]
    i, j = np.triu_indices(d) if d * (d + 1) // 2 <= _MOST_PAIRS else (np.arange(d), np.arange(d))
    made = scores[:, i] * scores[:, j]
    return (made - made.mean(0)) / np.sqrt(len(i))


def _auc(features: Matrix, labels: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> Matrix:
    """AUC in one fold of the ridge classifier that was fitted to the others, for each column of labels."""
    a, y = features[~held_out], labels[~held_out].astype(float)
    ridge = _RIDGE * len(a) * np.eye(a.shape[1])
    ridge[-1, -1] = 1e-9 * len(a)  # the intercept is free
    scores = features[held_out] @ np.linalg.solve(a.T @ a + ridge, a.T @ y)
    positive = labels[held_out]
    ranks = rankdata(scores, axis=0)
    n, m = positive.sum(0), (~positive).sum(0)
    return ((ranks * positive).sum(0) - n * (n + 1) / 2) / (n * m)
