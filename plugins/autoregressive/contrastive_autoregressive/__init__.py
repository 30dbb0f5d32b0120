"""Autoregressive densities as noises for `contrastive`: `--noise made` for vectors, `--noise pixelcnn` for images."""

from contrastive_autoregressive.bins import Bins
from contrastive_autoregressive.made import MADE
from contrastive_autoregressive.pixelcnn import PixelCNN

__all__ = ["MADE", "Bins", "PixelCNN"]
