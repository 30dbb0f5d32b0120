"""Small images that a model can learn."""

import numpy as np
from PIL import Image


def blobs(n=120, side=8):
    """Colour images with a bright spot each, gray levels that a small flow can learn."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    centre = random.uniform(2, side - 2, (2, n, 1, 1, 1))
    spot = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 4) * random.uniform(60, 200, (n, 3, 1, 1))
    return np.clip(spot + random.integers(0, 40, (n, 3, side, side)), 0, 255).astype(np.uint8)


def write_blobs(folder):
    """`folder`, with 120 of them as PNGs."""
    for i, image in enumerate(blobs()):
        Image.fromarray(np.moveaxis(image, 0, 2)).save(folder / f"{i:03d}.png")
    return folder
