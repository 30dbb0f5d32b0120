"""Glow as a noise for `contrastive`: `--noise glow`. `Flow` and the layers are there for other flows."""

from contrastive_glow.flow import Flow
from contrastive_glow.glow import Glow

__all__ = ["Flow", "Glow"]
