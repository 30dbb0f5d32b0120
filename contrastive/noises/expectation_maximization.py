"""Expectation maximisation for Gaussian mixtures with full covariances, in blocks of matrix products."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrastive.numerics.row_weights import weights_of

_NUMBERS_AT_ONCE = 1 << 20
_LLOYD_STEPS = 20
_LEAST_COUNT = 1e-8  # rows: what keeps the moments of a component without rows finite


class MixtureParameters(NamedTuple):
    """Weights, means and Cholesky factors of the covariances of K Gaussians in d dimensions."""

    log_weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    factors: Float[Tensor, "k d d"]


class _Moments(NamedTuple):
    """Sums over rows of weighted responsibilities, times 1, x and x x^T (its lower triangle)."""

    counts: Float[Tensor, " k"]
    first: Float[Tensor, "k d"]
    second: Float[Tensor, "k pairs"]


def expectation_maximization(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    components: int,
    *,
    ridge: float,
    max_iterations: int,
    tolerance: float,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> tuple[MixtureParameters, float]:
    """The mixture that EM ends at, and its mean log-likelihood in nats a row before the last update.

    Args:
        x: rows in float64, of about unit covariance: log-densities are computed by expanding squares.
        labels: component of each row to start from.
        components: K.
        ridge: added to the variances of every component after every iteration.
        max_iterations: at most.
        tolerance: EM ends when the log-likelihood changes by less, in nats a row.
        sample_weight: how often each row counts, up to a common factor.

    Reference: Dempster, Laird & Rubin (1977); Bishop (2006), "Pattern recognition and machine learning", section 9.2.
    """
    weights = None if sample_weight is None else sample_weight / sample_weight.mean()  # in units of rows
    one_hot = _weighted(torch.nn.functional.one_hot(labels, components).to(x), weights)
    parameters = _maximized(_summed(_moments(part, one_hot[rows]) for part, rows in _blocks(x)), ridge)
    before = -math.inf
    for _ in range(max_iterations):
        moments, log_likelihood = _expected(x, parameters, weights)
        parameters = _maximized(moments, ridge)
        if abs(log_likelihood - before) < tolerance:  # a ridge may lower it too
            break
        before = log_likelihood
    return parameters, log_likelihood


def k_means(
    x: Float[Tensor, "n d"],
    clusters: int,
    generator: torch.Generator,
    sample_weight: Float[Tensor, " n"] | None = None,
) -> Int[Tensor, " n"]:
    """Cluster of each row by Lloyd's algorithm from k-means++ seeds; a row counts as often as its weight says.

    Reference: Arthur & Vassilvitskii (2007), "k-means++: the advantages of careful seeding".
    """
    centres = _seeds(x, clusters, generator, sample_weight)
    weighted = x if sample_weight is None else x * sample_weight[:, None]
    for _ in range(_LLOYD_STEPS):
        labels = torch.cdist(x, centres).argmin(1)
        counts = torch.bincount(labels, sample_weight, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, labels, weighted)
        moved = torch.where(counts[:, None] > 0, sums / counts.where(counts > 0, 1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return labels


def _seeds(x: Tensor, clusters: int, generator: torch.Generator, weights: Tensor | None) -> Float[Tensor, "k d"]:
    """Rows drawn one after the other, each with probability in proportion to its squared distance to those before."""
    first = torch.randint(len(x), (), generator=generator) if weights is None else _picked(weights, generator)
    chosen = [int(first)]
    nearest = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < clusters:
        chosen.append(_picked(nearest if weights is None else weights * nearest, generator))
        nearest = torch.minimum(nearest, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen]


def _picked(chances: Tensor, generator: torch.Generator) -> int:
    """The number of a row that is drawn with probability in proportion to `chances`."""
    cumulative = chances.cumsum(0)
    u = float(torch.rand((), generator=generator, dtype=torch.float64)) * cumulative[-1]
    return min(int(torch.searchsorted(cumulative, u, right=True)), len(chances) - 1)


def _expected(x: Tensor, parameters: MixtureParameters, weights: Tensor | None) -> tuple[_Moments, float]:
    """Moments under the responsibilities of `parameters`, and their mean log-likelihood."""
    d = x.shape[1]
    precisions = torch.cholesky_inverse(parameters.factors)
    linear = (precisions @ parameters.means[..., None]).squeeze(-1)
    log_det = parameters.factors.diagonal(dim1=1, dim2=2).log().sum(1)
    log_peaks = -log_det - d / 2 * math.log(2 * math.pi)
    constants = parameters.log_weights + log_peaks - (parameters.means * linear).sum(1) / 2
    i, j = torch.tril_indices(d, d)
    quadratic = precisions[:, i, j] * torch.where(i == j, 0.5, 1.0).to(x)  # what is off the diagonal comes twice
    parts, total = [], 0.0
    for part, rows in _blocks(x):
        log_joint = torch.addmm(constants, part, linear.mT) - _pairs(part) @ quadratic.mT
        log_q = log_joint.logsumexp(1, keepdim=True)
        responsibilities = (log_joint - log_q).exp_()
        parts.append(_moments(part, _weighted(responsibilities, weights_of(weights, rows))))
        total += float(log_q.sum() if weights is None else weights[rows] @ log_q.squeeze(1))
    return _summed(parts), total / len(x)


def _weighted(responsibilities: Float[Tensor, "n k"], weights: Float[Tensor, " n"] | None) -> Float[Tensor, "n k"]:
    return responsibilities if weights is None else responsibilities * weights[:, None]


def _maximized(moments: _Moments, ridge: float) -> MixtureParameters:
    counts = moments.counts.clamp_min(_LEAST_COUNT)
    means, d = moments.first / counts[:, None], moments.first.shape[1]
    i, j = torch.tril_indices(d, d)
    covariances = means.new_zeros(len(means), d, d)
    covariances[:, i, j] = moments.second / counts[:, None] - means[:, i] * means[:, j]
    covariances.diagonal(dim1=1, dim2=2).clamp_min_(0).add_(ridge)
    factors = torch.linalg.cholesky(covariances)  # which reads the lower triangle alone
    return MixtureParameters((counts / counts.sum()).log(), means, factors)


def _moments(x: Tensor, responsibilities: Tensor) -> _Moments:
    return _Moments(responsibilities.sum(0), responsibilities.mT @ x, responsibilities.mT @ _pairs(x))


def _summed(parts: "Iterator[_Moments] | list[_Moments]") -> _Moments:
    return _Moments(*(torch.stack(sums).sum(0) for sums in zip(*parts)))


def _pairs(x: Tensor) -> Float[Tensor, "n pairs"]:
    i, j = torch.tril_indices(x.shape[1], x.shape[1])
    return x[:, i] * x[:, j]


def _blocks(x: Tensor) -> Iterator[tuple[Tensor, slice]]:
    size = max(1, _NUMBERS_AT_ONCE // x.shape[1] ** 2)
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        yield x[rows], rows
