"""What flows are made of: layers one after the other, and two layers of a Glow step; couplings are in `coupling`.

normflows' convention: `forward` maps latent to data, `inverse` data to latent. Each returns the mapped batch and the
log-determinant of that direction, shape `(batch,)`.
"""

import warnings
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from normflows.flows import InvertibleAffine
from torch import Tensor, nn

from contrastive.numerics.precision import full_precision

Mapped = tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]


@runtime_checkable
class DataDependent(Protocol):
    """A layer that wants to see data before its first use."""

    def initialize(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Set parameters from a batch; returns its image, which is what the next layer sees."""
        ...


class Chain(nn.ModuleList):
    """Invertible layers one after the other, in the order from data to latent."""

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Let every layer that is `DataDependent` see what the layers before it make of `x`."""
        for layer in self._layers():
            x = layer.initialize(x) if isinstance(layer, DataDependent) else layer.inverse(x)[0]
        return x

    def forward(self, z: Float[Tensor, "n *event"]) -> Mapped:
        """Latent to data."""
        log_det = z.new_zeros(len(z))
        for layer in reversed(self._layers()):
            z, change = layer(z)
            log_det = log_det + change
        return z, log_det

    def inverse(self, x: Float[Tensor, "n *event"]) -> Mapped:
        """Data to latent."""
        log_det = x.new_zeros(len(x))
        for layer in self._layers():
            x, change = layer.inverse(x)
            log_det = log_det + change
        return x, log_det

    def _layers(self) -> list[Any]:
        return list(self)


class ConditionedChain(Chain):
    """A chain of layers that take a context beside their input, which is the same for all."""

    @torch.no_grad()
    def initialize(
        self, x: Float[Tensor, "n *event"], context: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "n *event"]:
        """As `Chain.initialize`."""
        for layer in self._layers():
            x = layer.initialize(x) if isinstance(layer, DataDependent) else layer.inverse(x, context)[0]
        return x

    def forward(self, z: Float[Tensor, "n *event"], context: Float[Tensor, "n k"] | None = None) -> Mapped:
        """Latent to data."""
        log_det = z.new_zeros(len(z))
        for layer in reversed(self._layers()):
            z, change = layer(z, context)
            log_det = log_det + change
        return z, log_det

    def inverse(self, x: Float[Tensor, "n *event"], context: Float[Tensor, "n k"] | None = None) -> Mapped:
        """Data to latent."""
        log_det = x.new_zeros(len(x))
        for layer in self._layers():
            x, change = layer.inverse(x, context)
            log_det = log_det + change
        return x, log_det


class ActNorm(nn.Module):
    """Scale and shift each channel (each coordinate of a vector), set once by `initialize`.

    normflows 1.7.3's ActNorm sets itself by the first batch that passes in either direction, in eval too: sampling
    first would fit it to the flow's own noise. It also gives NaN where a channel has a single value.

    Args:
        channels: channels, or coordinates of a vector.
        spatial: dimensions after the channels: 2 for images, 0 for vectors.
    """

    def __init__(self, channels: int, spatial: int = 0) -> None:
        super().__init__()
        shape = (1, channels, *[1] * spatial)
        self.s, self.t = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n c *space"]) -> Float[Tensor, "n c *space"]:
        """Let `inverse(x)` have mean 0 and standard deviation 1 in each channel.

        A channel that does not vary tells nothing of its scale: it is only shifted. One image has such channels
        wherever a level is down to 1 x 1, and a scale of 1e6 a step, as a clamp would give, overflows in a few steps.
        """
        dims = (0, *range(2, x.ndim))
        deviation = x.std(dims, keepdim=True, correction=0)
        self.t.copy_(x.mean(dims, keepdim=True))
        self.s.copy_(torch.where(deviation > 1e-6, deviation, 1).log())
        return self.inverse(x)[0]

    def forward(self, z: Float[Tensor, "n c *space"], context: Tensor | None = None) -> Mapped:
        """Latent to data."""
        return z * self.s.exp() + self.t, self._log_det(z)

    def inverse(self, x: Float[Tensor, "n c *space"], context: Tensor | None = None) -> Mapped:
        """Data to latent."""
        return (x - self.t) * (-self.s).exp(), -self._log_det(x)

    def _log_det(self, x: Tensor) -> Float[Tensor, " n"]:
        return (x.shape[2:].numel() * self.s.sum()).expand(len(x))


class Linear(InvertibleAffine):
    """Glow's invertible 1x1 convolution for vectors: x W, W = P L U.

    normflows 1.7.3 builds W^-1 from two float64 matrix inverses in every call; two triangular solves do.
    """

    def __init__(self, dim: int) -> None:
        with warnings.catch_warnings():  # normflows 1.7.3 calls the deprecated torch.lu
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(dim, use_lu=True)

    def factors(self) -> tuple[Float[Tensor, "c c"], Float[Tensor, "c c"]]:
        """L, of unit diagonal, and U."""
        diagonal = self.sign_S * self.log_S.exp()
        return self.L.tril(-1) + self.eye, self.U.triu(1) + diagonal.diag()

    def forward(self, z: Float[Tensor, "n d"], context: Tensor | None = None) -> Mapped:
        """Latent to data: z W^-1."""
        lower, upper = self.factors()
        with full_precision(z):
            # z = x P L U  =>  solve for x P L, then for x P, each from the right.
            x = torch.linalg.solve_triangular(upper, z, upper=True, left=False)
            x = torch.linalg.solve_triangular(lower, x, upper=False, left=False, unitriangular=True)
            return x @ self.P.mT, -self.log_S.sum().expand(len(z))

    def inverse(self, x: Float[Tensor, "n d"], context: Tensor | None = None) -> Mapped:
        """Data to latent: x W."""
        lower, upper = self.factors()
        with full_precision(x):
            return x @ (self.P @ lower @ upper), self.log_S.sum().expand(len(x))
