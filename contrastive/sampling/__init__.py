"""Draws from the energy-based model, with the noise as proposal."""

from contrastive.sampling.chains import Chains, run_chains
from contrastive.sampling.given import ConditionalSamples, sample_given
from contrastive.sampling.overlap import Overlap, overlap
from contrastive.sampling.resampling import Resampled, resample
from contrastive.sampling.result import EnergySamples
from contrastive.sampling.sample import sample_energy

__all__ = [
    "Chains",
    "ConditionalSamples",
    "EnergySamples",
    "Overlap",
    "Resampled",
    "overlap",
    "resample",
    "run_chains",
    "sample_energy",
    "sample_given",
]
