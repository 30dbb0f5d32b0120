"""Gaussian noises. They can also learn, so FCE runs on them and gradients can be checked in closed form."""

import math
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from contrastive.noises.base import ParametricNoise, as_parameter, cholesky, sample_covariance
from contrastive.noises.linear_gaussian import LinearGaussian
from contrastive.numerics.precision import full_precision
from contrastive.numerics.row_weights import weighted_mean, weighted_std


class _ReparametrizedNoise(ParametricNoise):
    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*sample_shape"]]:
        """Draws and their log-density, both differentiable in the parameters (pathwise)."""
        with full_precision(self.fitted):
            distribution = self.distribution()
            x = distribution.rsample(torch.Size(sample_shape))
            return x.reshape(*sample_shape, *self.event_shape), distribution.log_prob(x)


class Gaussian(_ReparametrizedNoise):
    """A Gaussian with full covariance.

    The plainest noise. Its tails are light: where the data have heavier ones, take `student-t`.

    Args:
        event_shape: shape of one data point.
        loc: mean, broadcast to `(d,)`; given with `covariance`, the noise counts as fitted.
        covariance: `(d, d)` matrix.

    Raises:
        ContrastiveError: if shapes do not fit or the covariance is not positive definite.
    """

    conditional = LinearGaussian

    def __init__(self, event_shape: tuple[int, ...], *, loc: Any = None, covariance: Any = None) -> None:
        super().__init__(event_shape, is_fitted=loc is not None or covariance is not None)
        d = self.dim
        self.loc = nn.Parameter(as_parameter(0.0 if loc is None else loc, (d,), "loc"))
        factor = torch.eye(d)
        if covariance is not None:
            factor = cholesky(as_parameter(covariance, (d, d), "covariance").double()).to(factor)
        self.log_diagonal = nn.Parameter(factor.diagonal().log())
        self.below_diagonal = nn.Parameter(factor.tril(-1))

    @staticmethod
    def candidates(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """One, fitted in closed form."""
        return [{}]

    def distribution(self) -> Distribution:
        """The multivariate normal."""
        return MultivariateNormal(self.loc, scale_tril=self._factor(), validate_args=False)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*sample_shape"]]:
        """Draws and their log-density, both differentiable in the parameters (pathwise)."""
        # `MultivariateNormal` multiplies by the factor draw for draw (torch 2.13): 2 s for 64 images of 3 x 32 x 32.
        standard = torch.randn(*sample_shape, self.dim, dtype=self.loc.dtype, device=self.loc.device)
        with full_precision(standard):
            x = self.loc + standard @ self._factor().mT
        log_prob = -(standard.square() + math.log(2 * math.pi)).sum(-1) / 2 - self.log_diagonal.sum()
        return x.reshape(*sample_shape, *self.event_shape), log_prob

    def _factor(self) -> Float[Tensor, "d d"]:
        return self.below_diagonal.tril(-1).diagonal_scatter(self.log_diagonal.exp())

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        factor = cholesky(sample_covariance(x, sample_weight))
        self.loc.copy_(weighted_mean(x, sample_weight))
        self.log_diagonal.copy_(factor.diagonal().log())
        self.below_diagonal.copy_(factor.tril(-1))


class DiagonalGaussian(_ReparametrizedNoise):
    """Independent Gaussians, one a coordinate: for many dimensions or few rows.

    Args:
        event_shape: shape of one data point.
        loc: mean, broadcast to `(d,)`; given with or without `scale`, the noise counts as fitted.
        scale: standard deviation, broadcast to `(d,)`.
    """

    conditional = partial(LinearGaussian, diagonal=True)

    def __init__(self, event_shape: tuple[int, ...], *, loc: Any = None, scale: Any = None) -> None:
        super().__init__(event_shape, is_fitted=loc is not None or scale is not None)
        self.loc = nn.Parameter(as_parameter(0.0 if loc is None else loc, (self.dim,), "loc"))
        self.log_scale = nn.Parameter(as_parameter(1.0 if scale is None else scale, (self.dim,), "scale").log())

    @staticmethod
    def candidates(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """One, fitted in closed form."""
        return [{}]

    def distribution(self) -> Distribution:
        """Independent normals."""
        return Independent(Normal(self.loc, self.log_scale.exp(), validate_args=False), 1)

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        self.loc.copy_(weighted_mean(x, sample_weight))
        self.log_scale.copy_(weighted_std(x, sample_weight).log())
