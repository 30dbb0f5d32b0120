"""Densities of one number given others, for the benchmark of redshifts: the library's, a flow's, a line's.

Each is scored by quadrature over a grid of the number, which makes it a normalised density whatever its own normaliser
is, and gives its distribution function, too.
"""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import contrastive_zuko  # noqa: F401  imports zuko so that torch goes on validating distributions
import torch
from jaxtyping import Float
from scipy.stats import binom
from torch import Tensor
from zuko.flows import NSF

import contrastive
from benchmarks.lib.density_rivals import in_parts, maximize_likelihood
from contrastive.errors import ContrastiveWarning
from contrastive.numerics.random_state import seeded

#: log p(z | y) up to a constant for each y: of z `(n, 1)` and y `(n, k)`, `(n,)` in nats.
LogDensity = Callable[[Tensor, Tensor], Tensor]
_HELD_OUT = 0.1
_KNOWN_WARNING = ".*does not define `arg_constraints`"  # of zuko's flows: it says nothing of their parameters


@dataclass(frozen=True)
class Fitted:
    """A conditional density, with the seconds of its fit and what else is to be kept."""

    log_density: LogDensity
    seconds: float
    notes: dict[str, Any]


def fit_default(z: Tensor, y: Tensor, seed: int, steps: int | None) -> Fitted:
    """`contrastive.fit(z, given=y)`; `steps` for tests."""
    settings: dict[str, Any] = {} if steps is None else {"steps": steps, "noise": "gaussian"}
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContrastiveWarning)
        estimator = contrastive.fit(z, given=y, seed=seed, quiet=True, **settings)
    seconds, summary = time.monotonic() - started, estimator.summary or {}
    notes: dict[str, Any] = {name: summary[name] for name in ("noise", "energy_kept") if name in summary}
    return Fitted(lambda points, given: estimator.log_prob(points, given=given).detach(), seconds, notes)


def fit_flow(z: Tensor, y: Tensor, seed: int, most_seconds: float) -> Fitted:
    """zuko's conditional NSF by maximum likelihood, stopped early by a tenth of the rows."""
    rows = torch.cat([z, y], 1)
    mean, std = rows.mean(0), rows.std(0)

    def log_prob(standard: Tensor) -> Tensor:
        found: Tensor = flow(standard[:, 1:]).log_prob(standard[:, :1])
        return found

    def log_density(points: Tensor, given: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_KNOWN_WARNING)
            return in_parts(log_prob, (torch.cat([points, given], 1) - mean) / std)

    started = time.monotonic()
    with seeded(seed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_KNOWN_WARNING)
        flow = NSF(1, context=y.shape[1], transforms=3, bins=8, hidden_features=(64, 64))
        shuffled = ((rows - mean) / std)[torch.randperm(len(rows))]
        held_out, training = shuffled.tensor_split([max(1, round(_HELD_OUT * len(rows)))])
        maximize_likelihood(flow, log_prob, training, held_out, most_seconds)
    return Fitted(log_density, time.monotonic() - started, {})


def fit_line(z: Tensor, y: Tensor) -> Fitted:
    """A Gaussian around the linear regression of z on y."""
    started = time.monotonic()

    def design(given: Tensor) -> Tensor:
        return torch.cat([torch.ones(len(given), 1), given], 1).double()

    weights = torch.linalg.lstsq(design(y), z.double()).solution
    variance = (z - design(y) @ weights).square().mean()
    seconds = time.monotonic() - started
    return Fitted(
        lambda points, given: -(points - design(given) @ weights).square().squeeze(1) / (2 * variance), seconds, {}
    )


@dataclass(frozen=True)
class Scored:
    """A density at rows it was not fitted to.

    Attributes:
        log_prob: log p(z | y) of each row, nats in units of z, normalised by quadrature over the grid.
        pit: P(Z <= z | y) of each row, the probability-integral transform: uniform if p is right.
        log_normalizer: log of the integral of what the model takes for its density, each row.
    """

    log_prob: Float[Tensor, " n"]
    pit: Float[Tensor, " n"]
    log_normalizer: Float[Tensor, " n"]


def score(
    log_density: LogDensity, z: Float[Tensor, "n 1"], y: Float[Tensor, "n k"], grid: Float[Tensor, " g"]
) -> Scored:
    """Quadrature by trapezia over an even grid for each row's y.

    Args:
        log_density: of the model.
        z: the numbers, within the grid.
        y: what is given.
        grid: where the density is computed; outside it is taken to be 0.
    """
    step = float(grid[1] - grid[0])
    parts = []
    for points, given in zip(z.split(256), y.split(256)):
        values = on_grid(log_density, given, grid)
        areas = (values[:, 1:].logaddexp(values[:, :-1]) + math.log(step / 2)).exp()
        total = areas.sum(1, keepdim=True)
        below = torch.cat([torch.zeros(len(given), 1), areas.cumsum(1)], 1) / total
        parts.append(
            (log_density(points, given).double() - total[:, 0].log(), _at(points, grid, below), total[:, 0].log())
        )
    return Scored(*(torch.cat(column) for column in zip(*parts)))


def on_grid(log_density: LogDensity, y: Float[Tensor, "n k"], grid: Float[Tensor, " g"]) -> Float[Tensor, "n g"]:
    """The model's own log-density at every point of the grid, for each row's y, float64."""
    points = grid.repeat(len(y))[:, None].to(y)
    return log_density(points, y.repeat_interleave(len(grid), 0)).double().reshape(len(y), len(grid))


def _at(z: Tensor, grid: Tensor, values: Tensor) -> Tensor:
    """Linear interpolation of each row's values at its z."""
    place = (z[:, 0].double() - grid[0]) / (grid[1] - grid[0])
    left = place.floor().long().clamp(0, len(grid) - 2)
    share = (place - left).clamp(0, 1)
    low, high = (values.gather(1, (left + i)[:, None])[:, 0] for i in (0, 1))
    return low + share * (high - low)


def band(n: int, bins: int, level: float) -> tuple[int, int]:
    """Bounds that all counts of a histogram of `n` uniform draws keep with probability `level` or more (Bonferroni)."""
    tail = (1 - level) / (2 * bins)
    return int(binom.ppf(tail, n, 1 / bins)), int(binom.isf(tail, n, 1 / bins))
