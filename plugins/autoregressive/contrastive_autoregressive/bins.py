"""Grey levels as bins of a box: from images to levels and back."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.errors import ContrastiveError


@dataclass(frozen=True)
class Bins:
    """`levels` bins of equal width on [low, high]; levels are whole numbers 0 to levels - 1 in a floating dtype.

    A bin holds its lower edge, as far as rounding can tell; the last holds `high` too.

    Raises:
        ContrastiveError: for less than two levels, or an empty or infinite box.
    """

    levels: int = 256
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ContrastiveError(f"pixels need at least 2 levels, got {self.levels}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ContrastiveError(f"pixels need finite low < high, got {self.low} and {self.high}")

    @property
    def width(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / self.levels

    def contain(self, x: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        """Whether each number is in the box."""
        return (x >= self.low) & (x <= self.high)

    def level(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Level of each number, the nearest one outside the box."""
        return ((x - self.low) / self.width).floor().nan_to_num(nan=0.0).clamp(0, self.levels - 1)

    def dequantize(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """A uniform draw within the bin of each level."""
        x = self.low + self.width * (level + torch.rand_like(level))
        # Rounding takes one draw in 1e5 (float32, 256 levels) into the next bin.
        centre = self.low + self.width * (level + 0.5)
        return torch.where(self.contain(x) & (self.level(x) == level), x, centre)

    def scale(self, level: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Levels mapped to [-1, 1], where networks and mixtures see them."""
        return level * (2 / (self.levels - 1)) - 1
