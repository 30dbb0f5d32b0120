"""Grids of noise samples at fixed latents during training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from contrastive.data.images import PixelScaling, image_grid, quantize, write_png
from contrastive.errors import ContrastiveError
from contrastive.io.atomic import write_atomically
from contrastive.numerics.random_state import seeded
from contrastive.training.callbacks import Callback, Running

_IMAGES, _SEED = 64, 64_64


class SampleGrids(Callback):
    """Writes a grid of 64 noise samples, NNNNNN.png for the number of updates.

    The random numbers are the same each time, so each place in the grid is one latent of a flow, and a row of grids
    shows it learning. The training's own random numbers go on as if nothing were drawn.

    Args:
        folder: where the grids go.

    Attributes:
        newest: the last grid, `(height, width, 3)`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.newest: NDArray[np.uint8] | None = None

    @torch.no_grad()
    def on_evaluation(self, trainer: Running, metrics: dict[str, Any]) -> None:
        """Draw and write, after an evaluation whose `updates` name the file.

        Raises:
            ContrastiveError: if the file cannot be written, or the data are no images.
        """
        estimator = trainer.averaged
        if not isinstance(estimator.scaling, PixelScaling):
            raise ContrastiveError("sample grids are for images")
        with seeded(_SEED, estimator.log_normalizer.device):
            samples = quantize(estimator.sample_noise(_IMAGES), estimator.scaling.bits)
        self.newest = picture = image_grid(samples)
        write_atomically(self.folder / f"{metrics['updates']:06d}.png", lambda part: write_png(part, picture))
