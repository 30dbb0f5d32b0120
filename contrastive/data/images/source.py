"""The stream of training images."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.pixels import PixelScaling, dequantize
from contrastive.data.sources import Batch, row_stream

_FRESH = 0xF1A9  # keeps the numbers of a batch apart from those that order the rows


class ImageSource:
    """Images in a new random order every epoch, dequantised anew each time.

    The stream is a function of the seed, the position and the kind of device, so a run resumes to the same figures.
    What goes to the device is uint8, and becomes real numbers there: one core would make 8,000 images of 3 x 32 x 32 a
    second, which a GPU waits for.

    Args:
        images: uint8; they may be memory-mapped, a batch is copied as it is drawn.
        scaling: to model coordinates.
        rows: which of the images are for training; all unless told.
        flip: mirror each image with probability 1/2, left to right.
        device: of the batches.
    """

    def __init__(
        self,
        images: ImageSet,
        scaling: PixelScaling,
        *,
        rows: Tensor | None = None,
        flip: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.images, self.scaling, self.flip, self.device = images, scaling, flip, torch.device(device)
        self.rows = torch.arange(len(images)) if rows is None else rows
        self.labels = None if images.labels is None else torch.from_numpy(images.labels[self.rows.numpy()])

    def batches(self, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
        """Full batches; the stream runs on across epochs."""
        for position, picked in enumerate(row_stream(len(self.rows), batch_size, seed, start), start):
            generator = _generator(seed, position, self.device)
            pixels = self.pixels(picked).to(self.device)
            if self.flip:
                mirrored = torch.rand(len(pixels), generator=generator, device=self.device) < 0.5
                pixels = torch.where(mirrored[:, None, None, None], pixels.flip(3), pixels)
            z = self.scaling(dequantize(pixels, self.scaling.bits, generator))
            y = None if self.labels is None else self.labels[picked].to(self.device)
            yield Batch(z, None, y)

    def pixels(self, picked: Tensor) -> UInt8[Tensor, "n c h w"]:
        """The training images of these numbers, as they are on disk."""
        return gather(self.images.pixels, self.rows[picked])

    def dequantized(self, n: int, generator: torch.Generator) -> Float[Tensor, "n c h w"]:
        """The first `n` training images (or all), dequantised, in original units."""
        return dequantize(self.pixels(torch.arange(min(n, len(self.rows)))), self.scaling.bits, generator)

    def cache(self, score: Callable[[Tensor], Tensor]) -> None:
        """No image comes twice: it is dequantised anew."""


def gather(pixels: NDArray[np.uint8], rows: Tensor) -> UInt8[Tensor, "n c h w"]:
    """A copy of rows, read in the order in which they lie on disk."""
    order = rows.argsort()
    taken = np.empty((len(rows), *pixels.shape[1:]), np.uint8)
    taken[order.numpy()] = pixels[rows[order].numpy()]
    return torch.from_numpy(taken)


def _generator(seed: int, position: int, device: torch.device) -> torch.Generator:
    state = np.random.SeedSequence([_FRESH, seed, position]).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0]) % 2**63)
