"""Adapters for energies of other libraries."""

from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.protocols import feature_layers


class _Negated(Energy):
    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.energy = energy

    def feature_layers(self) -> list[str]:
        return [f"energy.{name}" for name in feature_layers(self.energy)]

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *classes"]:
        energy = self.energy(x)
        return -(energy.squeeze(-1) if energy.ndim > 1 else energy)


def from_energy(energy: nn.Module) -> nn.Module:
    """f = -E for a module in the other convention (low = likely), such as those of torchebm and ebmkit.

    Args:
        energy: module that maps `(batch, *event)` to E(x), shape `(batch,)` or `(batch, 1)`.

    Returns:
        A module whose call gives f(x) = -E(x), shape `(batch,)`.

    Example:
        >>> import torch
        >>> quadratic = torch.nn.Sequential(torch.nn.Linear(2, 1))
        >>> from_energy(quadratic)(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    return _Negated(energy)
