"""Base of noises, base of those given by a torch distribution, and helpers for their parameters."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from contrastive.errors import ContrastiveError
from contrastive.numerics.precision import full_precision
from contrastive.numerics.row_weights import as_weights, fit_weighted, rows_by_weight, shares, weighted_mean

_RANK_TOLERANCE = 1e-12


class Noise(nn.Module, ABC):
    """Base of noises: a normalised density q(x) with samples and log-densities; the rest has defaults.

    A subclass implements `sample` and `log_prob`. What else it may offer (a fit of its own, samples that are
    differentiable in its parameters, ...) are the optional protocols of `contrastive.protocols`. A plain class with
    `event_shape` and the two methods works as well, with the same defaults.

    Args:
        event_shape: shape of one data point: `(d,)` for vectors, `(C, H, W)` for images.

    Example:
        >>> class Logistic(Noise):
        ...     def sample(self, sample_shape=torch.Size()):
        ...         return torch.rand(*sample_shape, *self.event_shape).logit()
        ...
        ...     def log_prob(self, value):
        ...         return (value - 2 * torch.nn.functional.softplus(value)).sum(-1)
        >>> x, log_q = Logistic((2,)).sample_and_log_prob(torch.Size([3]))
        >>> x.shape, log_q.shape
        (torch.Size([3, 2]), torch.Size([3]))
    """

    event_shape: torch.Size

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.event_shape = torch.Size(event_shape)

    @abstractmethod
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Samples of shape `sample_shape + event_shape`, without a graph, from torch's global generator."""

    @abstractmethod
    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, shape `batch` for `value` of shape `batch + event_shape`."""

    def sample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """Samples and their log q; override it where one pass gives both."""
        x = self.sample(sample_shape)
        return x, self.log_prob(x)

    @property
    def is_discrete(self) -> bool:
        """Whether events, or some entries, are discrete and have masses: then no gradient in x is taken."""
        return False

    @property
    def rounds_networks_only(self) -> bool:
        """Whether autocast to bfloat16 rounds networks alone, not the log-density: `--precision bf16` needs it."""
        return False

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return f"event_shape={tuple(self.event_shape)}"


class ParametricNoise(Noise):
    """A noise given by a torch distribution over flattened events.

    A subclass implements `distribution()`, with event shape `(d,)`, and `_fit(x)` for `x` of shape `(n, d)` in
    float64; where that takes weights, `_fit(x, sample_weight=None)` with positive weights in float64. Until it is
    fitted or given parameters it is a standard density of its family, and says so by `is_fitted`.
    """

    rounds_networks_only = True
    fitted: Tensor

    def __init__(self, event_shape: tuple[int, ...], *, is_fitted: bool = False) -> None:
        super().__init__(event_shape)
        self.dim = math.prod(event_shape)
        self.register_buffer("fitted", torch.tensor(is_fitted))  # a buffer, so that a checkpoint remembers it

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters come from data or from the caller."""
        return bool(self.fitted)

    @abstractmethod
    def distribution(self) -> Distribution:
        """The density over flattened events, event shape `(d,)`."""

    def fit(self, x: Float[Tensor, "n *event"], sample_weight: Any = None) -> None:
        """Maximum-likelihood fit to `x`, in float64.

        Args:
            x: rows.
            sample_weight: how often each counts, up to a common factor: shape `(n,)`, at least 0. A family whose
                `_fit` takes no weights is fitted to as many rows, drawn by weight.

        Raises:
            ContrastiveError: if the data cannot determine the parameters, or the weights are none.
        """
        rows = x.detach().reshape(len(x), self.dim).double()
        if sample_weight is not None:
            sample_weight = as_weights(sample_weight, len(rows)).to(rows.device)
            rows, sample_weight = rows[sample_weight > 0], sample_weight[sample_weight > 0]
        with torch.no_grad():
            fit_weighted(self._fit, rows, sample_weight)
        self.fitted.fill_(True)

    @abstractmethod
    def _fit(self, x: Float[Tensor, "n d"]) -> None:
        """Set the parameters by maximum likelihood."""

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Samples of shape `sample_shape + event_shape`."""
        with full_precision(self.fitted):
            return self.distribution().sample(torch.Size(sample_shape)).reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats."""
        batch = value.shape[: value.ndim - len(self.event_shape)]
        with full_precision(value):
            return self.distribution().log_prob(value.reshape(*batch, self.dim))


def as_parameter(value: Any, shape: tuple[int, ...], name: str) -> Tensor:
    """`value` (number, list or tensor) as a float tensor of `shape`.

    Raises:
        ContrastiveError: if it does not broadcast to `shape`.
    """
    tensor = torch.as_tensor(value, dtype=torch.get_default_dtype())
    try:
        return tensor.expand(shape).clone()
    except RuntimeError as error:
        raise ContrastiveError(f"{name} of shape {tuple(tensor.shape)} does not fit {shape}") from error


def cholesky(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """The lower Cholesky factor of a covariance.

    Raises:
        ContrastiveError: if the covariance is not positive definite.
    """
    factor, info = torch.linalg.cholesky_ex(covariance)
    unexplained = factor.diagonal().square() / covariance.diagonal()  # variance that the columns before leave over
    if int(info) or not bool((unexplained > _RANK_TOLERANCE).all()):
        raise ContrastiveError(
            "the covariance is not positive definite: columns are linearly dependent or rows are too few; "
            "drop the dependent columns or take the noise 'diag-gaussian'"
        )
    return factor


def sample_covariance(
    x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "d d"]:
    """The maximum-likelihood covariance (divisor n, or the sum of the weights)."""
    centred = x - weighted_mean(x, sample_weight)
    if sample_weight is None:
        return centred.mT @ centred / len(x)
    return (centred * shares(sample_weight)[:, None]).mT @ centred


def spaced_rows(x: Float[Tensor, "n *event"], most: int) -> Float[Tensor, "m *event"]:
    """At most `most` rows, evenly spaced."""
    if len(x) <= most:
        return x
    return x[torch.linspace(0, len(x) - 1, most, dtype=torch.float64, device=x.device).round().long()]


def spaced_by_weight(
    x: Float[Tensor, "n *event"], sample_weight: Float[Tensor, " n"] | None, most: int
) -> tuple[Float[Tensor, "m *event"], Float[Tensor, " m"] | None]:
    """At most `most` rows with their weights; of more, evenly spaced ones, by weight, which count the same."""
    if sample_weight is None or len(x) <= most:
        return spaced_rows(x, most), sample_weight
    return x[rows_by_weight(sample_weight, most)], None
