"""Draws from the energy-based model, with the noise as proposal."""

from contrastive.sampling.resampling import Resampled, resample

__all__ = ["Resampled", "resample"]
