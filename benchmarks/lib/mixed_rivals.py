"""Gaussian mixtures of one-hot columns as rivals on mixed tables, with the same base measure as the library's models.

In model coordinates (`TableScaling`) a row becomes a point of a Euclidean space: a category of K codes is its one-hot
vector, a whole number its multiple of the step, both with uniform noise as wide as a cell added (dequantisation); a
value that is missing is filled by that of another row for the fit. Scikit-learn's GaussianMixture is fitted to that.

A mass is the integral of the density over a cell. With diagonal covariances it is a product of differences of normal
distribution functions for each component, so it is exact; the cells of no code, and angles beyond the circle, are left
out and the component is normalised again. With full covariances it is the mean of the density over `DRAWS` uniform
points of the cell, whose log is too low by about half its relative variance. Values that are not there are integrated
out. So every figure is the log of a density with respect to Lebesgue times counting measure, in nats.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from contrastive.numerics.layout import Entry, Layout

DRAWS = 200
_MOST_FULL = 60  # features of a full covariance
_TINY = 1e-300


@dataclass(frozen=True)
class Cells:
    """Rows as points and cells.

    Attributes:
        low: corner of each row's cell, its value where that is continuous, shape `(n, features)`; NaN where not there.
        width: of the cells, 0 where continuous.
        groups: features of each entry.
    """

    low: NDArray[np.float64]
    width: NDArray[np.float64]
    groups: list[tuple[Entry, slice]]


def cells_of(z: NDArray[np.float64], layout: Layout) -> Cells:
    """The cells of rows in model coordinates."""
    parts: list[NDArray[np.float64]] = []
    widths: list[float] = []
    groups, start = [], 0
    for i, (entry, column) in enumerate(zip(layout, z.T)):
        if entry.kind == "category":
            part, width = (column[:, None] == np.arange(entry.size)).astype(float), [1.0] * entry.size
        else:
            part, width = column[:, None] - entry.step / 2, [entry.step]
        if entry.optional:
            part = np.where(z[:, i - 1, None] == 0, part, np.nan)
        groups.append((entry, slice(start, start + part.shape[1])))
        start += part.shape[1]
        parts.append(part)
        widths += width
    return Cells(np.concatenate(parts, 1), np.array(widths), groups)


def mixture_log_probs(
    fitting: Cells, test: Cells, covariance: str, components: Sequence[int], seed: int
) -> NDArray[np.float64]:
    """Log-density or log-mass of each test row under the mixture of lowest BIC."""
    rng = np.random.default_rng(seed)
    points = _filled(fitting.low + fitting.width * rng.random(fitting.low.shape), rng)
    kept = points.std(0) > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [
            GaussianMixture(k, covariance_type=covariance, reg_covar=1e-4, random_state=seed).fit(points[:, kept])
            for k in components
            if k * 5 < len(points)
        ]
    best = min(fits, key=lambda fit: fit.bic(points[:, kept]))
    if covariance == "diag":
        return _exact(best, test, kept)
    draws = [_density(best, test.low + test.width * rng.random(test.low.shape), kept) for _ in range(DRAWS)]
    log_volume = (np.isfinite(test.low) * np.log(np.where(test.width > 0, test.width, 1.0)))[:, kept].sum(1)
    return logsumexp(draws, axis=0) - math.log(DRAWS) + log_volume


def can_be_full(cells: Cells) -> bool:
    """Whether a full covariance of so many features is worth trying."""
    return cells.low.shape[1] <= _MOST_FULL


def _filled(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Values that are not there, by those of other rows."""
    points = points.copy()
    for column in points.T:
        gone = np.isnan(column)
        column[gone] = rng.choice(column[~gone], gone.sum()) if (~gone).any() else 0.0
    return points


def _exact(fit: GaussianMixture, test: Cells, kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """By differences of distribution functions, normalised over the cells that there are."""
    at = np.cumsum(kept) - 1
    total = np.log(fit.weights_)[None].repeat(len(test.low), 0)
    for entry, group in test.groups:
        own = np.arange(group.start, group.stop)
        own = own[kept[own]]
        if not len(own):
            continue
        mean, sd = fit.means_[:, at[own]], np.sqrt(fit.covariances_[:, at[own]])
        there = np.isfinite(test.low[:, own[0]])
        low = np.nan_to_num(test.low[:, own])
        if entry.kind == "category":
            zero, one = _log_cell(0.0, 1.0, mean, sd), _log_cell(1.0, 1.0, mean, sd)  # (components, K)
            log_code = zero.sum(1, keepdims=True) - zero + one
            log_code -= logsumexp(log_code, axis=1, keepdims=True)
            log_each = log_code[:, low.argmax(1)].T
        elif entry.kind == "grid":
            log_each = _log_cell(low, entry.step, mean[:, 0], sd[:, 0])
        else:
            standard = (low - mean[:, 0]) / sd[:, 0]
            log_each = -0.5 * standard**2 - np.log(sd[:, 0]) - 0.5 * math.log(2 * math.pi)
            if entry.kind == "circle":
                log_each = log_each - _log_cell(-math.pi, 2 * math.pi, mean[:, 0], sd[:, 0])
        total = total + np.where(there[:, None], log_each, 0.0)
    return logsumexp(total, axis=1)


def _log_cell(low: Any, width: float, mean: NDArray[np.float64], sd: NDArray[np.float64]) -> NDArray[np.float64]:
    """log of the normal mass of [low, low + width)."""
    a, b = (low - mean) / sd, (low + width - mean) / sd
    a, b = np.where(a + b > 0, -b, a), np.where(a + b > 0, -a, b)  # to the side where the tails are small
    upper, lower = log_ndtr(b), log_ndtr(a)
    return upper + np.log(np.maximum(-np.expm1(lower - upper), _TINY))


def _density(fit: GaussianMixture, points: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The log-density of the values that are there."""
    points = points[:, kept]
    answer = np.empty(len(points))
    patterns, which = np.unique(np.isfinite(points), axis=0, return_inverse=True)
    for i, there in enumerate(patterns):
        rows = which.ravel() == i
        x = points[rows][:, there]
        log_each = []
        for weight, mean, covariance in zip(fit.weights_, fit.means_, fit.covariances_):
            factor = np.linalg.cholesky(covariance[np.ix_(there, there)])
            standard = np.linalg.solve(factor, (x - mean[there]).T)
            log_det = np.log(np.diag(factor)).sum()
            log_each.append(
                math.log(weight) - 0.5 * (standard**2).sum(0) - log_det - 0.5 * there.sum() * math.log(2 * math.pi)
            )
        answer[rows] = logsumexp(log_each, axis=0)
    return answer
