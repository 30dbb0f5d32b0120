"""Mixture-of-Gaussians noise, fitted by EM."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal

from contrastive.errors import ContrastiveError
from contrastive.noises.base import ParametricNoise, cholesky, sample_covariance, spaced_by_weight
from contrastive.noises.candidates import ladder
from contrastive.noises.conditioned_mixture import ConditionedMixture
from contrastive.noises.expectation_maximization import MixtureParameters, expectation_maximization, k_means
from contrastive.numerics.row_weights import weighted_mean

_DEPENDENT = 1e-6  # share of the variances that keeps the covariance of linearly dependent columns invertible
_FEW_ROWS, _MOST_COMPONENTS = 500, 260
#: Ridge -> the fewest rows on which to try it, and the number of rows from which on it is too large.
_RIDGES = {1e-5: (_FEW_ROWS, math.inf), 1e-4: (0, 20_000), 0.01: (0, 5_000), 0.1: (0, _FEW_ROWS)}


class GaussianMixture(ParametricNoise):
    """A mixture of full-covariance Gaussians.

    A strong fixed noise in few dimensions, and for multi-modal data one that an affine flow does not beat.

    With S the covariance of the rows, `ridge` times S is added to the covariance of every component in every iteration
    of EM. So no component collapses onto tied values, the density is bounded, and neither units nor linear dependence
    of the columns matter. Few rows want a large ridge: 0.1 for a hundred.

    Args:
        event_shape: shape of one data point.
        components: number of Gaussians.
        ridge: share of the covariance of the rows that is added to every component's.
        max_iterations: EM iterations, at most, of each start.
        tolerance: EM ends when the log-likelihood changes by less, in nats a row.
        starts: k-means partitions (from k-means++ seeds) that EM starts from; the likeliest fit is kept.
        max_rows: `fit` takes at most this many rows, evenly spaced (EM visits every row in every iteration); of
            weighted ones, evenly by weight.

    Raises:
        ContrastiveError: if an option is out of range; by `fit` if there are fewer rows than components, or a column
            does not vary.
    """

    logits: Tensor
    locs: Tensor
    scale_trils: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        components: int = 8,
        ridge: float = 1e-4,
        max_iterations: int = 300,
        tolerance: float = 1e-3,
        starts: int = 3,
        max_rows: int = 50_000,
    ) -> None:
        super().__init__(event_shape)
        counts = {"components": components, "max_iterations": max_iterations, "starts": starts, "max_rows": max_rows}
        for name, count in counts.items():
            if count < 1:
                raise ContrastiveError(f"{name} must be at least 1, got {count}")
        if not (ridge > 0 and tolerance > 0):
            raise ContrastiveError(f"ridge and tolerance must be positive, got {ridge} and {tolerance}")
        self.components, self.ridge, self.max_iterations = components, ridge, max_iterations
        self.tolerance, self.starts, self.max_rows = tolerance, starts, max_rows
        self.register_buffer("logits", torch.zeros(components))
        self.register_buffer("locs", torch.zeros(components, self.dim))
        self.register_buffer("scale_trils", torch.eye(self.dim).repeat(components, 1, 1))

    @staticmethod
    def conditional(event_shape: tuple[int, ...], context_shape: tuple[int, ...], **options: Any) -> ConditionedMixture:
        """q(x | y) of a mixture of rows (y, x)."""
        (d,), (k,) = event_shape, context_shape
        return ConditionedMixture(GaussianMixture((k + d,), **options), k)

    @staticmethod
    def candidates(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """From 1 to 260 components, fewer where rows are few, with ridges that fit the number of rows."""
        most = max(3, min(_MOST_COMPONENTS, rows // (2 * torch.Size(event_shape).numel())))
        ridges = [ridge for ridge, (fewest, limit) in _RIDGES.items() if fewest <= rows < limit]
        starts = 3 if rows < _FEW_ROWS else 1
        return [{"components": k, "ridge": ridge, "starts": starts} for ridge in ridges for k in ladder(most)]

    def distribution(self) -> Distribution:
        """The mixture."""
        parts = MultivariateNormal(self.locs, scale_tril=self.scale_trils, validate_args=False)
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), parts, validate_args=False)

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        if len(x) < self.components:
            raise ContrastiveError(f"{len(x)} rows cannot fit {self.components} mixture components; ask for fewer")
        rows, weights = spaced_by_weight(x, sample_weight, self.max_rows)
        shift, covariance = weighted_mean(rows, weights), sample_covariance(rows, weights)
        scale = covariance.diagonal().sqrt()
        if not bool((scale > 0).all()):
            raise ContrastiveError("a column does not vary: leave it out of the data")
        factor = cholesky(covariance + _DEPENDENT * scale.square().diag())
        whitened = torch.linalg.solve_triangular(factor, (rows - shift).mT, upper=False).mT.contiguous()
        # Clusters are sought in standardised coordinates: whitening blurs those of nearly dependent columns.
        standardized = (rows - shift) / scale
        fits = [self._start(standardized, whitened, weights, seed) for seed in range(self.starts)]
        found, _ = max(fits, key=lambda fit: fit[1])
        self.logits.copy_(found.log_weights)
        self.locs.copy_(shift + found.means @ factor.mT)
        self.scale_trils.copy_(factor @ found.factors)

    def _start(
        self, standardized: Tensor, whitened: Tensor, weights: Tensor | None, seed: int
    ) -> tuple[MixtureParameters, float]:
        labels = k_means(standardized, self.components, torch.Generator().manual_seed(seed), weights)
        return expectation_maximization(
            whitened,
            labels,
            self.components,
            ridge=self.ridge,
            max_iterations=self.max_iterations,
            tolerance=self.tolerance,
            sample_weight=weights,
        )
