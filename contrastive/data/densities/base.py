"""What a named density is."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

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
        """log p(value) in nats, -inf outside the support, for `value` of shape `(*batch, 2)`."""
        return self._log_prob(value.reshape(-1, 2)).reshape(value.shape[:-1])

    @abstractmethod
    def _sample(self, n: int) -> Float[Tensor, "n 2"]:
        """`n` draws."""

    @abstractmethod
    def _log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        """log p at `n` points."""


def normal_log_prob(standardized: Tensor, log_scale: Tensor | float) -> Tensor:
    """log N in nats of a 1-D normal, at a standardised value."""
    return -0.5 * standardized.square() - log_scale - 0.9189385332046727  # log(2 pi) / 2
