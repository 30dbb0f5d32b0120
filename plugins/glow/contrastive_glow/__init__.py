"""Glow as a noise for `contrastive`: `--noise glow`. `Flow` and the layers are there for other flows."""

from contrastive_glow.flow import Flow
from contrastive_glow.glow import Glow
from contrastive_glow.image_glow import ImageGlow
from contrastive_glow.registered import make_glow

__all__ = ["Flow", "Glow", "ImageGlow", "make_glow"]
