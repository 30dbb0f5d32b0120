"""Arrays of images brought to a size and to colour or gray."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

_ROWS = 1_000  # at once
_LUMA = np.array([299, 587, 114])  # ITU-R 601-2, as Pillow has it


def adapted(
    pixels: NDArray[np.uint8],
    *,
    size: int | None = None,
    crop: Literal["center", "none"] = "center",
    color: Literal["rgb", "gray"] | None = None,
) -> NDArray[np.uint8]:
    """Images of `size` x `size`, in `color`; a view of `pixels` where nothing changes.

    Images that are smaller get a black frame, for blowing them up would invent pixels. Larger ones are brought down by
    an antialiased bilinear filter.

    Args:
        pixels: shape `(n, C, H, W)`.
        size: None leaves height and width.
        crop: "center" cuts the largest centred square first; "none" squeezes.
        color: None leaves the channels.
    """
    if color == "gray" and pixels.shape[1] == 3:
        pixels = _gray(pixels)
    if color == "rgb" and pixels.shape[1] == 1:
        pixels = np.repeat(pixels, 3, axis=1)
    height, width = pixels.shape[2:]
    if size is None or (height, width) == (size, size):
        return pixels
    if height <= size and width <= size:
        return _framed(pixels, size)
    if crop == "center":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[:, :, top : top + side, left : left + side]
        if side <= size:
            return _framed(pixels, size)
    parts = (torch.from_numpy(np.array(pixels[i : i + _ROWS])) for i in range(0, len(pixels), _ROWS))
    return torch.cat([interpolate(part, (size, size), mode="bilinear", antialias=True) for part in parts]).numpy()


def _gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    weights = _LUMA.reshape(3, 1, 1)
    parts = [
        (((pixels[i : i + _ROWS].astype(np.int64) * weights).sum(1, keepdims=True) + 500) // 1000).astype(np.uint8)
        for i in range(0, len(pixels), _ROWS)
    ]
    return np.concatenate(parts)


def _framed(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[2:]
    above, left = (size - height) // 2, (size - width) // 2
    around = ((0, 0), (0, 0), (above, size - height - above), (left, size - width - left))
    return np.pad(pixels, around)
