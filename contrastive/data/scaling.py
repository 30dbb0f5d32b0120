"""The map from the data's own units to the coordinates that the models see."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Scaling(nn.Module):
    """z = (x - shift) / scale, in float64 before it is rounded to the models' dtype.

    Args:
        shift: shape `event_shape`.
        scale: shape `event_shape`, positive.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Float[Tensor, "*event"], scale: Float[Tensor, "*event"]) -> None:
        super().__init__()
        self.register_buffer("shift", shift.double())
        self.register_buffer("scale", scale.double())

    @classmethod
    def identity(cls, event_shape: tuple[int, ...]) -> "Scaling":
        """The scaling that changes nothing."""
        return cls(torch.zeros(event_shape), torch.ones(event_shape))

    @classmethod
    def standardize(cls, x: Float[Tensor, "n *event"]) -> "Scaling":
        """The scaling under which `x` has mean 0 and standard deviation 1 in every coordinate."""
        x = x.double()
        return cls(x.mean(0), x.std(0, correction=0))

    def forward(self, x: Float[Tensor, "*shape"], dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
        """Model coordinates of `x`, in `dtype`, or the default one."""
        return ((x.double() - self.shift) / self.scale).to(dtype or torch.get_default_dtype())

    def inverse(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Original units of `z`, in float64."""
        return z.double() * self.scale + self.shift

    @property
    def log_det(self) -> Float[Tensor, ""]:
        """log |dz/dx|, to be added to a log-density over z to get one over x."""
        return -self.scale.log().sum()

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        """Move to a device, but never to a smaller dtype."""
        double = self.shift.dtype
        super()._apply(fn, recurse)
        self.shift, self.scale = self.shift.to(double), self.scale.to(double)
        return self
