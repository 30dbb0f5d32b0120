"""Autoregressive densities as noises for `contrastive`: `made` and `mixed-made` for vectors, `pixelcnn` for images."""

from contrastive.numerics.torch_defaults import distributions_as_they_were

with distributions_as_they_were():
    import zuko  # noqa: F401  the first import, which is the one that changes torch

from contrastive_autoregressive.bins import Bins
from contrastive_autoregressive.made import MADE
from contrastive_autoregressive.mixed import MixedMADE
from contrastive_autoregressive.pixelcnn import PixelCNN

__all__ = ["MADE", "Bins", "MixedMADE", "PixelCNN"]
