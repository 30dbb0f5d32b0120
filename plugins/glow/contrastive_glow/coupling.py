"""Coupling: some entries moved by a map whose parameters come from the others."""

import torch
from jaxtyping import Float
from normflows.flows import Flow
from torch import Tensor, nn

from contrastive_glow.elementwise import Elementwise
from contrastive_glow.layers import Mapped


class Coupling(Flow):
    """The first channels (entries of a vector) are kept; each number in the others is moved, given those.

    Args:
        kept: how many are kept.
        elementwise: the map; raw parameters of zero make it the identity.
        network: from what is kept, and the context after it where there is one, to `elementwise.size` raw parameters
            for each number that moves. It may run in bfloat16 under autocast; the map itself, and what it adds to
            log q, do not.
    """

    def __init__(self, kept: int, elementwise: Elementwise, network: nn.Module) -> None:
        super().__init__()
        self.kept, self.elementwise, self.network = kept, elementwise, network

    def forward(self, z: Float[Tensor, "n c *space"], context: Float[Tensor, "n k"] | None = None) -> Mapped:
        """Latent to data."""
        kept, moved = z[:, : self.kept], z[:, self.kept :]
        moved, log_slope = self.elementwise.from_latent(moved, self._raw(kept, context))
        return torch.cat([kept, moved], 1), log_slope.flatten(1).sum(1)

    def inverse(self, x: Float[Tensor, "n c *space"], context: Float[Tensor, "n k"] | None = None) -> Mapped:
        """Data to latent."""
        kept, moved = x[:, : self.kept], x[:, self.kept :]
        moved, log_slope = self.elementwise.to_latent(moved, self._raw(kept, context))
        return torch.cat([kept, moved], 1), log_slope.flatten(1).sum(1)

    def _raw(self, kept: Tensor, context: Tensor | None) -> Float[Tensor, "n m *space size"]:
        seen = kept if context is None else torch.cat([kept, context], 1)
        return self.network(seen).to(kept.dtype).unflatten(1, (self.elementwise.size, -1)).movedim(1, -1)
