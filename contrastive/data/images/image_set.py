"""A set of uint8 images with labels and a test part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrastive.errors import ContrastiveError


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, and what is known of each.

    Attributes:
        pixels: uint8, shape `(n, C, H, W)`, C = 1 or 3; possibly memory-mapped.
        labels: int64, shape `(n,)`, -1 where unknown; None where no image has one.
        test: the part that the set's makers keep for testing; None where they keep none.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    test: "ImageSet | None" = None

    def __post_init__(self) -> None:
        if self.labels is not None and self.labels.shape != (len(self.pixels),):
            raise ContrastiveError(
                f"there are {len(self.pixels)} images but labels of shape {self.labels.shape}: expected one whole "
                "number an image"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """`(C, H, W)`."""
        return tuple(self.pixels.shape[1:])
