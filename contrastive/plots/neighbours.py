"""Samples beside their nearest training images."""

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from contrastive.errors import ContrastiveError

_GAP = 2  # pixels between images
_INCHES = 0.55  # an image


def neighbours_figure(samples: Tensor, neighbours: Tensor, *, columns: int = 2, title: str = "") -> Figure:
    """A sample, a gap, its nearest training images; then the next sample, `columns` of them in a row.

    Args:
        samples: uint8, or floating in [0, 1]; shape `(n, c, h, w)`, c = 1 or 3.
        neighbours: of each sample, nearest first, likewise, shape `(n, k, c, h, w)`: `data[found.rows]` for what
            `nearest_neighbours` found.
        columns: samples in a row.
        title: above the figure.

    Raises:
        ContrastiveError: if the shapes do not fit.
    """
    if samples.ndim != 4 or samples.shape[1] not in (1, 3) or not len(samples):
        raise ContrastiveError(f"expected images of shape (n, 1 or 3, h, w), not {tuple(samples.shape)}")
    if neighbours.ndim != 5 or (neighbours.shape[0], *neighbours.shape[2:]) != tuple(samples.shape):
        raise ContrastiveError(
            f"expected neighbours of shape (n, k, c, h, w) for samples of shape {tuple(samples.shape)}, not "
            f"{tuple(neighbours.shape)}"
        )
    groups = [
        np.concatenate([_framed(sample), _gap(sample), *map(_framed, nearest)], axis=1)
        for sample, nearest in zip(_pixels(samples), _pixels(neighbours), strict=True)
    ]
    rows = math.ceil(len(groups) / columns)
    groups += [np.ones_like(groups[0])] * (rows * columns - len(groups))
    between = np.ones((len(groups[0]), 3 * _GAP, 3))
    lines = []
    for row in range(rows):
        line = [part for group in groups[row * columns : (row + 1) * columns] for part in (group, between)]
        lines.append(np.concatenate(line[:-1], axis=1))
    canvas = np.concatenate(lines)
    across = columns * (neighbours.shape[1] + 1)
    figure = Figure(figsize=(_INCHES * across, _INCHES * across * canvas.shape[0] / canvas.shape[1] + 0.4))
    panel = figure.add_axes((0, 0, 1, 1 - 0.4 / figure.get_figheight()))
    panel.imshow(canvas, interpolation="nearest", vmin=0, vmax=1)
    panel.set_axis_off()
    figure.suptitle(title or "sample | nearest training images, nearest first", fontsize=9)
    return figure


def _pixels(images: Tensor) -> NDArray[np.float64]:
    """Colours in [0, 1], channels last."""
    x = images.detach().cpu().double() / (1 if images.is_floating_point() else 255)
    return np.moveaxis(x.clamp(0, 1).expand(*x.shape[:-3], 3, *x.shape[-2:]).numpy(), -3, -1)


def _framed(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(image, ((_GAP // 2, _GAP // 2), (_GAP // 2, _GAP // 2), (0, 0)), constant_values=1.0)


def _gap(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones((image.shape[0] + _GAP, _GAP, 3))
