"""Expectation maximisation for Gaussian mixtures with full covariances, in blocks of matrix products."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

_NUMBERS_AT_ONCE = 1 << 20
_LLOYD_STEPS = 20
_LEAST_COUNT = 1e-8  # rows: what keeps the moments of a component without rows finite


class MixtureParameters(NamedTuple):
    """Weights, means and Cholesky factors of the covariances of K Gaussians in d dimensions."""

    log_weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    factors: Float[Tensor, "k d d"]


class _Moments(NamedTuple):
    """Sums over rows of responsibilities, times 1, x and x x^T (its lower triangle)."""

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
) -> tuple[MixtureParameters, float]:
    """The mixture that EM ends at, and its mean log-likelihood in nats a row before the last update.

    Args:
        x: rows in float64, of about unit covariance: log-densities are computed by expanding squares.
        labels: component of each row to start from.
        components: K.
        ridge: added to the variances of every component after every iteration.
        max_iterations: at most.
        tolerance: EM ends when the log-likelihood changes by less, in nats a row.

    Reference: Dempster, Laird & Rubin (1977); Bishop (2006), "Pattern recognition and machine learning", section 9.2.
    """
    one_hot = torch.nn.functional.one_hot(labels, components).to(x)
    parameters = _maximized(_summed(_moments(part, one_hot[rows]) for part, rows in _blocks(x)), ridge)
    before = -math.inf
    for _ in range(max_iterations):
        moments, log_likelihood = _expected(x, parameters)
        parameters = _maximized(moments, ridge)
        if abs(log_likelihood - before) < tolerance:  # a ridge may lower it too
            break
        before = log_likelihood
    return parameters, log_likelihood


def k_means(x: Float[Tensor, "n d"], clusters: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """Cluster of each row by Lloyd's algorithm from k-means++ seeds.

    Reference: Arthur & Vassilvitskii (2007), "k-means++: the advantages of careful seeding".
    """
    centres = _seeds(x, clusters, generator)
    for _ in range(_LLOYD_STEPS):
        labels = torch.cdist(x, centres).argmin(1)
        counts = torch.bincount(labels, minlength=clusters)
        sums = torch.zeros_like(centres).index_add_(0, labels, x)
        moved = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return labels


def _seeds(x: Tensor, clusters: int, generator: torch.Generator) -> Float[Tensor, "k d"]:
    """Rows drawn one after the other, each with probability in proportion to its squared distance to those before."""
    chosen = [int(torch.randint(len(x), (), generator=generator))]
    nearest = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < clusters:
        cumulative = nearest.cumsum(0)
        u = float(torch.rand((), generator=generator, dtype=torch.float64)) * cumulative[-1]
        chosen.append(min(int(torch.searchsorted(cumulative, u, right=True)), len(x) - 1))
        nearest = torch.minimum(nearest, (x - x[chosen[-1]]).square().sum(1))
    return x[chosen]


def _expected(x: Tensor, parameters: MixtureParameters) -> tuple[_Moments, float]:
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
    for part, _ in _blocks(x):
        log_joint = torch.addmm(constants, part, linear.mT) - _pairs(part) @ quadratic.mT
        log_q = log_joint.logsumexp(1, keepdim=True)
        parts.append(_moments(part, (log_joint - log_q).exp_()))
        total += float(log_q.sum())
    return _summed(parts), total / len(x)


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
