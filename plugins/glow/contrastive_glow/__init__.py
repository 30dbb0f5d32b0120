"""Glow as a noise for `contrastive`: `--noise glow`."""

from contrastive_glow.glow import Glow

__all__ = ["Glow"]
