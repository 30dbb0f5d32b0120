"""Samples of a fitted model that count as independent, for tests against data."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.metrics.evaluation import log_densities
from contrastive.numerics.random_state import seeded
from contrastive.sampling import resample, sample_energy

_SAME = 1e-4  # nats by which log p - log q varies where the energy is the noise
_FEWEST = 20
_PROPOSALS_PER_DRAW = 20
_REPEATS = 5.0  # effective proposals a draw, so that few draws are the same


class ModelSamples(NamedTuple):
    """Draws of a model.

    Attributes:
        x: in original units.
        origin: how they were drawn, in words.
        warning: what is doubtful about them, with what to do; empty if nothing is.
    """

    x: Float[Tensor, "n *event"]
    origin: str
    warning: str = ""


def independent_samples(
    estimator: Estimator, data: Float[Tensor, "m *event"], *, n: int = 4_000, seed: int = 0
) -> ModelSamples:
    """Up to `n` draws of the model: of the noise where the energy equals it, else of Markov chains, thinned.

    The chains are thinned to their effective sample size. Leaves torch's random state as it was.

    Args:
        estimator: whose p is sampled.
        data: rows in original units; whether energy and noise are the same density is judged there.
        n: most draws.
        seed: of the draws.

    Raises:
        ContrastiveError: if the chains give fewer than 20 effective draws.
    """
    with seeded(seed, estimator.log_normalizer.device), torch.no_grad():
        if _is_noise(estimator, data):
            return ModelSamples(estimator.sample_noise(n), "exact draws of the noise, which the energy equals")
        drawn = sample_energy(estimator, n)
    count = min(n, int(drawn.effective_sample_size))
    if count < _FEWEST:
        raise ContrastiveError(f"the samples of the model cannot be tested: {drawn.advice}")
    kept = torch.linspace(0, n - 1, count, dtype=torch.float64).round().long()
    origin = f"Markov chains ({drawn.sampler}), thinned to their effective sample size, R-hat {drawn.r_hat:.3f}"
    return ModelSamples(drawn.x[kept.to(drawn.x.device)], origin, drawn.advice if drawn.warnings else "")


def quick_samples(
    estimator: Estimator, data: Float[Tensor, "m *event"], *, n: int = 1_000, seed: int = 0
) -> ModelSamples | None:
    """The same by importance resampling of noise draws, in a moment; None where the noise is too far from the energy.

    Args:
        estimator: whose p is sampled.
        data: see `independent_samples`.
        n: most draws; fewer where few proposals carry the weight.
        seed: of the draws.
    """
    with seeded(seed, estimator.log_normalizer.device), torch.no_grad():
        if _is_noise(estimator, data):
            return ModelSamples(estimator.sample_noise(n), "exact draws of the noise, which the energy equals")
        drawn = resample(estimator, n, oversampling=_PROPOSALS_PER_DRAW)
    count = min(n, int(drawn.effective_sample_size / _REPEATS))
    if count < n // 10:
        return None
    origin = f"importance resampling of {drawn.proposals:,} noise draws ({drawn.effective_sample_size:,.0f} effective)"
    return ModelSamples(drawn.x[:count], origin)


def _is_noise(estimator: Estimator, data: Tensor) -> bool:
    """Whether log p - log q is the same at all rows."""
    gain = log_densities(estimator, data) - log_densities(estimator, data, energy=False)
    return len(gain) > 1 and float(gain.std()) < _SAME
