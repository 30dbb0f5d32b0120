"""Kernel density estimate as a noise: one Gaussian around every training row."""

import math
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.distributions import Distribution

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.noises.base import ParametricNoise, cholesky, sample_covariance, spaced_by_weight
from contrastive.numerics.row_weights import effective_size, shares, weighted_mean, weights_of

Covariance = Literal["sample", "diagonal"]
_KNOWN_COVARIANCES: tuple[str, ...] = get_args(Covariance)
_DISTANCES_AT_ONCE = 1 << 22  # 16 MiB of float32
_MOST_CENTRES, _MOST_COLUMNS = 20_000, 30
_GRID = 16  # bandwidths tried before the best is refined
_LEAST_FACTOR, _LARGEST_FACTOR = 0.02, 4.0  # of the rule of thumb: the range of bandwidths


class GaussianKernels(Distribution):
    """The mixture of N(c, L L^T) over centres c, equal unless weighted.

    Args:
        centres: shape `(n, d)`.
        scale_tril: lower factor L of the kernel's covariance, shape `(d, d)`.
        log_weights: log of each centre's share, shape `(n,)`; equal ones if None.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 (torch's own declaration)

    def __init__(
        self,
        centres: Float[Tensor, "n d"],
        scale_tril: Float[Tensor, "d d"],
        log_weights: Float[Tensor, " n"] | None = None,
    ) -> None:
        super().__init__(event_shape=centres.shape[1:], validate_args=False)
        self.centres, self.scale_tril, self.log_weights = centres, scale_tril, log_weights

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws of shape `sample_shape + (d,)`."""
        index = self._picked(tuple(sample_shape))
        g = torch.randn(*sample_shape, *self.event_shape, dtype=self.centres.dtype, device=self.centres.device)
        return self.centres[index] + g @ self.scale_tril.mT

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density in nats, shape `value.shape[:-1]`."""
        (n, d), shift = self.centres.shape, self.centres.mean(0)
        centres = _whitened(self.centres - shift, self.scale_tril)
        points = _whitened(value.reshape(-1, d) - shift, self.scale_tril)
        blocks = points.split(max(1, _DISTANCES_AT_ONCE // n))
        log_weights, log_count = (0.0, math.log(n)) if self.log_weights is None else (self.log_weights, 0.0)
        log_sums = torch.cat(
            [(log_weights - _distances(block, centres).square() / 2).logsumexp(-1) for block in blocks]
        )
        constant = self.scale_tril.diagonal().log().sum() + log_count + d / 2 * math.log(2 * math.pi)
        return (log_sums - constant).reshape(value.shape[:-1])

    def _picked(self, shape: tuple[int, ...]) -> Tensor:
        """Numbers of centres, drawn by their weights."""
        if self.log_weights is None:
            return torch.randint(len(self.centres), shape, device=self.centres.device)
        cumulative = self.log_weights.double().exp().cumsum(0)
        u = torch.rand(shape, dtype=torch.float64, device=cumulative.device) * cumulative[-1]
        return torch.searchsorted(cumulative, u, right=True).clamp_max(len(cumulative) - 1)


class KernelDensity(ParametricNoise):
    """A Gaussian kernel density estimate: q(x) = (1/n) sum_i N(x; x_i, h^2 S) over training rows x_i.

    For few columns and data of any shape. A score costs one distance a centre. S is the covariance of the rows, or its
    diagonal; the bandwidth h has the largest leave-one-out likelihood. Of weighted rows each kernel has its row's share
    of the weights in the place of 1/n.

    Args:
        event_shape: shape of one data point.
        bandwidth: h; None for the largest leave-one-out likelihood.
        covariance: S, "sample" for the rows' covariance or "diagonal" for their variances alone.
        max_rows: centres, at most; of more rows as many are taken, evenly spaced, of weighted ones evenly by weight.
        bandwidth_rows: rows, at most, whose leave-one-out density is computed, each against all centres.

    Raises:
        ContrastiveError: for an option out of range; by `fit` if all rows are the same, or if their covariance is
            singular.

    References: Silverman (1986), "Density estimation for statistics and data analysis"; leave-one-out likelihood:
    Habbema, Hermans & van den Broek (1974).

    Example:
        >>> noise = KernelDensity((2,))
        >>> noise.fit(torch.randn(100, 2))
        >>> noise.log_prob(noise.sample(torch.Size([5]))).shape
        torch.Size([5])
    """

    centres: Tensor
    scale_tril: Tensor
    log_weights: Tensor | None

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        bandwidth: float | None = None,
        covariance: Covariance = "sample",
        max_rows: int = _MOST_CENTRES,
        bandwidth_rows: int = 1_000,
    ) -> None:
        super().__init__(event_shape)
        if bandwidth is not None and not bandwidth > 0:
            raise ContrastiveError(f"bandwidth must be positive, got {bandwidth}")
        if covariance not in _KNOWN_COVARIANCES:
            raise ContrastiveError(
                f"unknown covariance {covariance!r}; {did_you_mean(str(covariance), _KNOWN_COVARIANCES)}"
            )
        if max_rows < 2 or bandwidth_rows < 1:
            raise ContrastiveError(
                f"max_rows must be at least 2 and bandwidth_rows at least 1, got {max_rows} and {bandwidth_rows}"
            )
        self.bandwidth, self.covariance = bandwidth, covariance
        self.max_rows, self.bandwidth_rows = max_rows, bandwidth_rows
        self.register_buffer("centres", torch.zeros(1, self.dim))
        self.register_buffer("log_weights", None)  # not in the state where centres are equal
        self.register_buffer("scale_tril", torch.eye(self.dim))

    @staticmethod
    def candidates(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """Both covariances, where every row can be a centre and columns are not too many for kernels."""
        if rows > _MOST_CENTRES or torch.Size(event_shape).numel() > _MOST_COLUMNS:
            return []
        return [{"covariance": covariance} for covariance in _KNOWN_COVARIANCES]

    def distribution(self) -> GaussianKernels:
        """The mixture of kernels."""
        return GaussianKernels(self.centres, self.scale_tril, self.log_weights)

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        covariance = sample_covariance(x, sample_weight)
        factor = cholesky(covariance if self.covariance == "sample" else covariance.diagonal().diag())
        centres, weights = spaced_by_weight(x, sample_weight, self.max_rows)
        whitened = _whitened(centres - centres.mean(0), factor)
        bandwidth = self.bandwidth or best_bandwidth(whitened, self.bandwidth_rows, weights)
        self.centres = centres.to(self.scale_tril)
        self.log_weights = None if weights is None else shares(weights).log().to(self.scale_tril)
        self.scale_tril.copy_(bandwidth * factor)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}centres")
        if saved is not None and saved.ndim == 2 and saved.shape[1] == self.dim:  # as many centres as were fitted
            self.centres = self.centres.new_zeros(saved.shape)
        weights = state_dict.get(f"{prefix}log_weights")
        self.log_weights = None if weights is None else self.centres.new_zeros(weights.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


def best_bandwidth(centres: Float[Tensor, "n d"], rows: int, sample_weight: Float[Tensor, " n"] | None = None) -> float:
    """The bandwidth h of kernels N(0, h^2 I) with the largest leave-one-out likelihood.

    It is at least 0.02 times Silverman's rule of thumb and at most 4 times.

    Args:
        centres: of about unit variance.
        rows: centres, at most, that are left out in turn.
        sample_weight: of the centres; the rule of thumb then goes by their effective number.

    Raises:
        ContrastiveError: if all centres are the same.
    """
    left_out, weights = spaced_by_weight(centres, sample_weight, rows)
    distances = distances_to_others(left_out, centres)
    if not bool(distances.isfinite().any()):
        raise ContrastiveError("a kernel density estimate needs at least two different rows")
    n, d = effective_size(sample_weight, len(centres)), centres.shape[1]
    rule = (4 / ((d + 2) * n)) ** (1 / (d + 4))

    def loss(log_factor: float) -> float:
        return -leave_one_out(distances, rule * math.exp(log_factor), d, sample_weight, weights)

    grid = torch.linspace(math.log(_LEAST_FACTOR), math.log(_LARGEST_FACTOR), _GRID).tolist()
    losses = [loss(factor) for factor in grid]
    best = losses.index(min(losses))
    around = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
    refined = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 0.02})
    return rule * math.exp(refined.x if refined.fun < losses[best] else grid[best])


def distances_to_others(x: Float[Tensor, "m d"], centres: Float[Tensor, "n d"]) -> Float[Tensor, "m n"]:
    """Squared distances of rows to centres in float32, infinite where they are the same point.

    Copies of a row are so left out with it: else the leave-one-out likelihood of data with ties would grow without
    bound as the bandwidth falls to 0.
    """
    distances = _distances(x.float(), centres.float()).square_()
    return distances.masked_fill_(distances == 0, torch.inf)


def leave_one_out(
    distances: Float[Tensor, "m n"],
    bandwidth: float,
    d: int,
    sample_weight: Float[Tensor, " n"] | None = None,
    row_weight: Float[Tensor, " m"] | None = None,
) -> float:
    """Mean log-density of rows under the kernels of all other rows, in nats; rows without others do not count.

    Args:
        distances: squared, from `distances_to_others`.
        bandwidth: h of the kernels N(0, h^2 I).
        d: dimension.
        sample_weight: of the centres.
        row_weight: of the rows, by which their mean is taken.
    """
    exponents, others = distances * (-0.5 / bandwidth**2), distances.isfinite().sum(1)
    if sample_weight is not None:
        exponents = exponents + sample_weight.log().float()
        others = distances.isfinite().to(sample_weight) @ sample_weight
    known = others > 0
    log_q = weighted_mean((exponents.logsumexp(1).double() - others.log())[known], weights_of(row_weight, known))
    return float(log_q) - d * (math.log(bandwidth) + math.log(2 * math.pi) / 2)


def _distances(x: Float[Tensor, "m d"], centres: Float[Tensor, "n d"]) -> Float[Tensor, "m n"]:
    # By differences: |a|^2 + |b|^2 - 2ab would lose the digits of near points that are far from 0.
    return torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist")


def _whitened(x: Float[Tensor, "n d"], scale_tril: Float[Tensor, "d d"]) -> Float[Tensor, "n d"]:
    return torch.linalg.solve_triangular(scale_tril, x.mT, upper=False).mT
