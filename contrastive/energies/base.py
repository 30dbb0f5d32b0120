"""Base of energies."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Energy(nn.Module, ABC):
    """Base of energies: f(x), the UNNORMALISED LOG-DENSITY, high = likely; the rest has defaults.

    A subclass implements `forward`. Much of the field writes E = -f: wrap such a module with `contrastive.from_energy`.
    A plain module whose call gives f(x) works as well, with the same defaults.

    Attributes:
        num_classes: None for one density, f of shape `(batch,)`; K for K densities, f of shape `(batch, K)`.

    Example:
        >>> import torch
        >>> class Quadratic(Energy):
        ...     def forward(self, x):
        ...         return -0.5 * x.square().flatten(1).sum(1)
        >>> Quadratic()(torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    num_classes: int | None = None

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *classes"]:
        """f(x), shape `(batch,)`, or `(batch, K)` for K classes."""

    def feature_layers(self) -> list[str]:
        """Dotted names of the hidden layers' modules, activation included, lowest first, for presets of `features`."""
        return []

    @property
    def is_discrete(self) -> bool:
        """Whether x is discrete and exp(f - log Z) a mass: then no gradient in x is taken."""
        return False

    @property
    def rounds_networks_only(self) -> bool:
        """Whether autocast to bfloat16 rounds networks alone, not f: `--precision bf16` needs it."""
        return False
