"""A noise fitted alone, on rows in memory: by its own fit, or by gradient steps on the likelihood."""

import copy
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.errors import ContrastiveError
from contrastive.numerics.chunks import rows_at_once
from contrastive.numerics.random_state import seeded
from contrastive.protocols import FittableNoise, InitializableNoise, NoiseModel, trainable_parameters
from contrastive.registry import make_noise
from contrastive.training.players import Player

_LEARNING_RATE, _EMA = 1e-2, 0.98
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 60, 400, 2_500
_EVALUATIONS, _PATIENCE = 40, 8
_STOPPING, _MOST_STOPPING = 0.1, 5_000
_SMALL_BATCH, _BATCH, _SMALL_ROWS = 128, 512, 4_000
_SCORED_AT_ONCE = 4096


def fit_noise(
    name: str,
    options: dict[str, Any],
    z: Float[Tensor, "n *event"],
    *,
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
        seed: of parameters, batches and the split.
        deadline: of the gradient steps, by `time.monotonic()`: at it the best state so far is taken.

    Raises:
        ContrastiveError: if the noise cannot be made, fitted or trained.
    """
    with seeded(seed, z.device):
        noise: Any = make_noise(name, event_shape=tuple(z.shape[1:]), **options)
        if isinstance(noise, nn.Module):
            noise.to(z.device, z.dtype)
        fits_itself = isinstance(noise, FittableNoise)
        if fits_itself and not noise.is_fitted:
            noise.fit(z)
        if fits_itself or not trainable_parameters(noise):
            return noise
        stopping = round(min(max(1, len(z) * _STOPPING), _MOST_STOPPING))
        held, fitting = z[torch.randperm(len(z), device=z.device)].split([stopping, len(z) - stopping])
        if isinstance(noise, InitializableNoise) and not noise.is_initialized:
            noise.initialize(fitting)
        return maximize_likelihood(noise, fitting, held, deadline)


def maximize_likelihood(
    noise: Any, fitting: Float[Tensor, "n *event"], held: Float[Tensor, "m *event"], deadline: float = math.inf
) -> Any:
    """Adam on the mean log q of `fitting`; the moving average with the largest mean log q at `held` is returned.

    Args:
        noise: a module with trainable parameters.
        fitting: rows to train on.
        held: rows to stop by.
        deadline: by `time.monotonic()`.

    Raises:
        ContrastiveError: if log q at `held` was finite in no evaluation.
    """
    averaged = copy.deepcopy(noise).requires_grad_(False)
    twins = [twin for twin, own in zip(averaged.parameters(), noise.parameters()) if own.requires_grad]
    player = Player(trainable_parameters(noise), twins, learning_rate=_LEARNING_RATE, ema=_EMA)
    batch = min(_SMALL_BATCH if len(fitting) < _SMALL_ROWS else _BATCH, len(fitting))
    steps = max(_FEWEST_STEPS, min(_MOST_STEPS, _EPOCHS * len(fitting) // batch))
    every = steps // _EVALUATIONS
    best, state, waited = -math.inf, None, 0
    for step, x in enumerate(_batches(fitting, batch, steps), 1):
        player.step(-noise.log_prob(x).mean(), step / steps)
        late = time.monotonic() > deadline
        if step % every and not late and step < steps:
            continue
        score = float(log_prob_in_parts(averaged, held).mean())
        waited += 1
        if score > best:
            best, state, waited = score, copy.deepcopy(averaged.state_dict()), 0
        if waited == _PATIENCE or late:
            break
    if state is None:
        raise ContrastiveError("log q of held-out rows was not finite at any evaluation")
    averaged.load_state_dict(state)
    return averaged


@torch.no_grad()
def log_prob_in_parts(noise: NoiseModel, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """log q at many rows, some thousands at a time."""
    size = rows_at_once(tuple(z.shape[1:]), _SCORED_AT_ONCE)
    return torch.cat([noise.log_prob(part) for part in z.split(size)])


def _batches(x: Tensor, size: int, steps: int) -> Iterator[Tensor]:
    """`steps` batches of rows in random order, a new order every pass."""
    while steps > 0:
        order = torch.randperm(len(x), device=x.device)
        for index in order[: len(x) // size * size].split(size)[:steps]:
            yield x[index]
            steps -= 1
