"""A noise fitted alone, on rows in memory: by its own fit, or by gradient steps on the likelihood."""

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.core.estimator import Estimator
from contrastive.data.sources import ArraySource
from contrastive.energies.noise import NoiseEnergy
from contrastive.noises.conditional import make_noise_over
from contrastive.numerics.chunks import rows_at_once
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import weights_of
from contrastive.protocols import ComposedNoise, NoiseModel, learns_by_gradient, prepare_noise, trainable_parameters
from contrastive.training.plan import twins
from contrastive.training.players import Player
from contrastive.training.stages import MaximumLikelihood
from contrastive.training.trainer import Trainer

_LEARNING_RATE, _EMA = 1e-2, 0.98
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 60, 400, 6_000
_EVALUATIONS, _PATIENCE = 40, 8
_STOPPING, _MOST_STOPPING = 0.1, 5_000
_SMALL_BATCH, _BATCH, _SMALL_ROWS = 128, 512, 4_000
_SCORED_AT_ONCE = 4096


def fit_noise(
    name: str,
    options: dict[str, Any],
    z: Float[Tensor, "n *event"],
    *,
    num_given: int = 0,
    sample_weight: Float[Tensor, " n"] | None = None,
    seed: int = 0,
    deadline: float = math.inf,
) -> NoiseModel:
    """The noise `name`, fitted to rows in model coordinates.

    A noise without a fit of its own takes gradient steps on the likelihood. It stops early by a tenth of the rows,
    which it does not train on, and ends with its best state there.

    Args:
        name: of a registered noise.
        options: of its factory.
        z: rows.
        num_given: how many of their last columns the noise conditions on.
        sample_weight: how often each row counts, up to a common factor; gradient steps draw rows by weight.
        seed: of parameters, batches and the split.
        deadline: of gradient steps, by `time.monotonic()`.

    Raises:
        ContrastiveError: if the noise cannot be made, fitted or trained.
    """
    with seeded(seed, z.device):
        noise: Any = make_noise_over(name, event_shape=tuple(z.shape[1:]), num_given=num_given, **options)
        if isinstance(noise, nn.Module):
            noise.to(z.device, z.dtype)
    fit_in_place(noise, z, sample_weight=sample_weight, seed=seed, deadline=deadline)
    return noise


def fit_in_place(
    noise: Any,
    z: Float[Tensor, "n *event"],
    *,
    sample_weight: Float[Tensor, " n"] | None = None,
    seed: int = 0,
    deadline: float = math.inf,
) -> None:
    """Fit a noise as `fit_noise` does, each part of a composed one in its own way; it learns no more then."""
    if isinstance(noise, ComposedNoise):
        for part in noise.parts:
            fit_in_place(part, z, sample_weight=sample_weight, seed=seed, deadline=deadline)
        return
    with seeded(seed, z.device):
        if not learns_by_gradient(noise):
            prepare_noise(noise, z, sample_weight=sample_weight)
            return
        stopping = round(min(max(1, len(z) * _STOPPING), _MOST_STOPPING))
        rows = torch.randperm(len(z))
        held_out, fitting = (_part(z, sample_weight, part) for part in rows.split([stopping, len(z) - stopping]))
        prepare_noise(noise, fitting.z, sample_weight=fitting.sample_weight)
    _maximize_likelihood(noise, fitting, held_out, seed, deadline)


def _part(z: Tensor, sample_weight: Tensor | None, rows: Tensor) -> ArraySource:
    return ArraySource(z[rows.to(z.device)], sample_weight=weights_of(sample_weight, rows))


def _maximize_likelihood(noise: Any, fitting: ArraySource, held_out: ArraySource, seed: int, deadline: float) -> None:
    """Adam on the mean log q of `fitting`, stopped early by that of `held_out`."""
    rows = len(fitting.z)
    estimator = Estimator(NoiseEnergy(tuple(fitting.z.shape[1:])), noise)
    averaged = copy.deepcopy(estimator).requires_grad_(False).eval()
    batch = min(_SMALL_BATCH if rows < _SMALL_ROWS else _BATCH, rows)
    steps = max(_FEWEST_STEPS, min(_MOST_STEPS, _EPOCHS * rows // batch))
    averages = twins(averaged.noise, noise)
    player = Player(trainable_parameters(noise), averages, learning_rate=_LEARNING_RATE, ema=_EMA)
    trainer = Trainer(
        estimator,
        averaged,
        fitting,
        [MaximumLikelihood(estimator, player, steps)],
        lambda candidate, stage: {},
        lambda candidate, stage: log_prob_in_parts(candidate.noise, held_out.z),
        score_weight=held_out.sample_weight,
        batch_size=batch,
        seed=seed,
        evaluate_every=steps // _EVALUATIONS,
        checkpoint_every=steps,
        early_stopping=_PATIENCE,
        deadline=deadline,
    )
    trainer.run()
    noise.requires_grad_(False)


@torch.no_grad()
def log_prob_in_parts(noise: NoiseModel, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """log q at many rows, some thousands at a time."""
    size = rows_at_once(tuple(z.shape[1:]), _SCORED_AT_ONCE)
    return torch.cat([noise.log_prob(part) for part in z.split(size)])
