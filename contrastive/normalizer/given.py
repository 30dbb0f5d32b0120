"""log Z(y) of a conditional density for many contexts, in batched calls."""

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.normalizer.certified import is_bounded_on_noise
from contrastive.normalizer.importance import WeightSummary, importance_estimate
from contrastive.normalizer.result import LogPartition, check_level
from contrastive.normalizer.weights import difference
from contrastive.protocols import NoiseOverRows

_ROWS = 50_000  # at once


@torch.no_grad()
def log_partitions_given(
    estimator: Estimator, y: Float[Tensor, "m k"], *, draws: int = 2_000, level: float = 0.95
) -> list[LogPartition]:
    """log Z(y) = log of the integral of exp f(x, y) over x, for each context, by importance from q(. | y).

    f includes the learned part of the normaliser that depends on y, so log Z(y) is near c where it learned that well.

    Args:
        estimator: of a conditional density without classes.
        y: contexts in model coordinates.
        draws: of q(. | y) for each.
        level: of each interval.

    Raises:
        ContrastiveError: if the model conditions on nothing, has classes, or a number is out of range.
    """
    noise = estimator.noise
    if not isinstance(noise, NoiseOverRows) or not noise.num_given:
        raise ContrastiveError("this model is not conditional: leave out given")
    if estimator.num_classes is not None:
        raise ContrastiveError("an energy with classes has a log Z(y) for each: not supported; fit without labels")
    if draws < 100:
        raise ContrastiveError(f"log Z(y) needs at least 100 draws for each context, got {draws}")
    check_level(level)
    bounded = is_bounded_on_noise(estimator)
    log_w = conditional_log_weights(estimator, noise, y, draws)
    return [importance_estimate(WeightSummary.of(column), level=level, bounded=bounded) for column in log_w.T]


@torch.no_grad()
def conditional_log_weights(
    estimator: Estimator, noise: NoiseOverRows, y: Float[Tensor, "m k"], draws: int
) -> Float[Tensor, "draws m"]:
    """f - log q at `draws` draws of q(. | y) for each context, float64."""
    parts = []
    for part in y.repeat(draws, 1).split(_ROWS):
        z = noise.sample_given(part)
        parts.append(difference(estimator.model_energy(z), noise.log_prob(z)))
    return torch.cat(parts).reshape(draws, len(y))
