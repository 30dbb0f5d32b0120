"""The interface of the two-dimensional test densities."""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrastive.errors import ContrastiveError

Extent = tuple[float, float, float, float]


class Density(ABC):
    """A density on the plane with an exact log_prob; also a noise, since the signatures are the same.

    Attributes:
        event_shape: `(2,)`.
        extent: (x min, x max, y min, y max), a window that holds all but about 1e-6 of the mass.
    """

    event_shape = torch.Size([2])
    extent: Extent

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `(*sample_shape, 2)`, from torch's global generator."""
        n = torch.Size(sample_shape).numel()
        return self._sample(n).reshape(*sample_shape, 2)

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log p(value) in nats, for `value` of shape `(*batch, 2)`.

        -inf outside the support and at infinite points; NaN only where `value` holds a NaN. The result has the dtype
        of `value`, but float32 at the least: half precision would leave one digit.

        Raises:
            ContrastiveError: if the last dimension is not 2.
        """
        if value.shape[-1:] != self.event_shape:
            raise ContrastiveError(f"expected points of shape (..., 2), got {tuple(value.shape)}")
        x = value.reshape(-1, 2).to(torch.promote_types(value.dtype, torch.float32))
        # The formulas would meet inf - inf, and comparisons would lose a NaN.
        infinite = x.isinf().any(-1)
        log_p = self._log_prob(x.masked_fill(infinite[:, None], 0.0)).masked_fill(infinite, -math.inf)
        return log_p.masked_fill(x.isnan().any(-1), math.nan).reshape(value.shape[:-1])

    @abstractmethod
    def _sample(self, n: int) -> Float[Tensor, "n 2"]:
        """`n` draws."""

    @abstractmethod
    def _log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """log p at `n` points that are finite or NaN, however far out."""


class LabelledDensity(Density):
    """A density made of parts, such as two spirals: the part a draw comes from is its class.

    Attributes:
        num_classes: how many parts; each is equally likely.
    """

    num_classes: int

    @torch.no_grad()
    def sample_labelled(self, n: int) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        """`n` draws, those that `sample` would give, and the part that each comes from."""
        return self._sample_labelled(n)

    @abstractmethod
    def class_log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, "n K"]:
        """log p(x | class k) in nats, for finite points."""

    @abstractmethod
    def _sample_labelled(self, n: int) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        """`n` draws and their classes."""

    def _sample(self, n: int) -> Tensor:
        return self._sample_labelled(n)[0]

    def _log_prob(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self.class_log_prob(x), -1) - math.log(self.num_classes)


def normal_log_prob(standardized: Tensor, log_scale: Tensor | float) -> Tensor:
    """log N in nats of a 1-D normal, at a standardised value."""
    return -0.5 * standardized.square() - log_scale - 0.9189385332046727  # log(2 pi) / 2
