"""Standardisation: the map from the data's units to model coordinates."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.numerics.float64_buffers import Float64Buffers
from contrastive.numerics.row_weights import weighted_mean, weighted_std


class Coordinates(Float64Buffers, ABC):
    """An invertible map z of each entry of x: `Scaling`, or `contrastive.data.images.PixelScaling` for images.

    Its buffers say what it is, so that they can be compared and kept; they stay in float64.
    """

    @property
    def num_given(self) -> int:
        """How many of an event's last columns are given; `log_det` is that of the others."""
        return 0

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one data point."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "*shape"], dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
        """Model coordinates of `x`, in `dtype`, or the default one."""

    @abstractmethod
    def inverse(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Original units of `z`, in float64."""

    @abstractmethod
    def log_det(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "*n"]:
        """log |dz/dx| at `x`, to be added to a log-density over z to get one over x.

        Returns:
            Shape `(n,)`, or `()` where it is the same everywhere; float64.
        """


class Scaling(Coordinates):
    """z = (x - shift) / scale, in float64 before it is rounded to the models' dtype.

    Args:
        shift: shape `event_shape`.
        scale: shape `event_shape`, positive.
        num_given: how many of the last columns are given, of rows: the density is that of the others.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Float[Tensor, "*event"], scale: Float[Tensor, "*event"], num_given: int = 0) -> None:
        super().__init__()
        self._num_given = num_given
        self.register_buffer("shift", shift.double())
        self.register_buffer("scale", scale.double())

    @classmethod
    def identity(cls, event_shape: tuple[int, ...], num_given: int = 0) -> "Scaling":
        """The scaling that changes nothing."""
        return cls(torch.zeros(event_shape), torch.ones(event_shape), num_given)

    @classmethod
    def standardize(
        cls, x: Float[Tensor, "n *event"], num_given: int = 0, sample_weight: Float[Tensor, " n"] | None = None
    ) -> "Scaling":
        """The scaling under which `x`, weighted, has mean 0 and standard deviation 1 in every coordinate."""
        x = x.double()
        return cls(weighted_mean(x, sample_weight), weighted_std(x, sample_weight), num_given)

    @property
    def num_given(self) -> int:
        """How many of the last columns are given."""
        return self._num_given

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one data point."""
        return tuple(self.shift.shape)

    def forward(self, x: Float[Tensor, "*shape"], dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
        """Model coordinates of `x`, in `dtype`, or the default one."""
        return ((x.double() - self.shift) / self.scale).to(dtype or torch.get_default_dtype())

    def inverse(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Original units of `z`, in float64."""
        return z.double() * self.scale + self.shift

    def log_det(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, ""]:
        """log |dz/dx|, the same at every `x`: shape `()`."""
        return -self.scale[: len(self.scale) - self.num_given].log().sum()
