"""Many images as one picture."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from contrastive.data.images.pillow import require_pillow
from contrastive.errors import ContrastiveError

_GAP = 1  # white pixels between images
_SMALL = 28  # images below this many pixels are shown in blocks


def image_grid(images: UInt8[Tensor, "n c h w"], *, across: int | None = None) -> NDArray[np.uint8]:
    """The images in rows, as one colour picture; small ones are enlarged, pixel by pixel.

    Args:
        images: values 0 to 255, C = 1 or 3.
        across: images in a row; a square of them unless told.

    Returns:
        Shape `(height, width, 3)`.

    Raises:
        ContrastiveError: if these are no images.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images) or images.dtype.is_floating_point:
        raise ContrastiveError(
            f"expected uint8 images of shape (n, 1 or 3, h, w), got {images.dtype} of shape {tuple(images.shape)}"
        )
    n, _, height, width = images.shape
    across = across or math.ceil(math.sqrt(n))
    down = math.ceil(n / across)
    cell_height, cell_width = height + _GAP, width + _GAP
    canvas = np.full((down * cell_height + _GAP, across * cell_width + _GAP, 3), 255, np.uint8)
    pixels = images.detach().cpu().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    for i, image in enumerate(pixels):
        top, left = i // across * cell_height + _GAP, i % across * cell_width + _GAP
        canvas[top : top + height, left : left + width] = image
    factor = max(1, round(_SMALL / max(height, width)))
    return canvas.repeat(factor, axis=0).repeat(factor, axis=1)


def write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture `(height, width, 3)` as PNG.

    Raises:
        OSError: if it cannot be written.
        MissingExtraError: if Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    Image.fromarray(picture).save(path, format="PNG")
