"""Coupling: one half of a vector moved by a map whose parameters come from the other half."""

import torch
from jaxtyping import Float
from normflows.flows import Flow
from torch import Tensor, nn

from contrastive_glow.elementwise import Elementwise
from contrastive_glow.layers import Mapped


class Coupling(Flow):
    """The first half of z is kept; each entry of the second is moved by `elementwise`, given the first.

    Args:
        dim: entries of the vector, at least 2.
        elementwise: the map, the identity in a fresh coupling.
        width: hidden units of the network.
        hidden_layers: its hidden layers.
        activation: its nonlinearity.
    """

    def __init__(
        self, dim: int, elementwise: Elementwise, width: int, hidden_layers: int, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.kept, self.elementwise = dim // 2, elementwise
        layers: list[nn.Module] = []
        size = self.kept
        for _ in range(hidden_layers):
            layers += [nn.Linear(size, width), activation()]
            size = width
        last = nn.Linear(size, elementwise.size * (dim - self.kept))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*layers, last)

    def forward(self, z: Float[Tensor, "n d"]) -> Mapped:
        """Latent to data."""
        kept, moved = z[:, : self.kept], z[:, self.kept :]
        moved, log_slope = self.elementwise.from_latent(moved, self._raw(kept))
        return torch.cat([kept, moved], -1), log_slope.sum(-1)

    def inverse(self, x: Float[Tensor, "n d"]) -> Mapped:
        """Data to latent."""
        kept, moved = x[:, : self.kept], x[:, self.kept :]
        moved, log_slope = self.elementwise.to_latent(moved, self._raw(kept))
        return torch.cat([kept, moved], -1), log_slope.sum(-1)

    def _raw(self, kept: Tensor) -> Float[Tensor, "n m size"]:
        return self.network(kept).unflatten(-1, (self.elementwise.size, -1)).mT
