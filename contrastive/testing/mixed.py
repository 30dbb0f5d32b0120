"""Points and weights of a base measure: sums over what is discrete times quadrature over what is continuous."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.numerics.layout import Entry, Layout
from contrastive.protocols import MixedNoise, NoiseModel
from contrastive.testing.core import NotApplicable, Subject

_MOST_STATES, _MOST_POINTS = 1 << 16, 1 << 20
_DRAWS = 2_000
_ANGLES = 128  # of the trapezoidal rule on a circle, which converges exponentially
_CELLS, _NODES = 12, 8  # of the composite Gauss-Legendre rule on the line
_GRID_MARGIN = 40  # times the draws' spread, to both sides
_MOST_STEPS = 400


def support(model: NoiseModel, subject: Subject) -> tuple[Float[Tensor, "m *event"], Float[Tensor, " m"]]:
    """Points and weights by which a function is summed and integrated over a noise's events.

    For discrete events all points of a product of finite sets, found from draws, each with weight 1. For a mixed noise
    the sums run over the states of its discrete entries, and integrals over the continuous entries that are there.

    Raises:
        NotApplicable: if there are too many points.
    """
    if isinstance(model, MixedNoise):
        return _mixed(model, subject)
    values = model.sample(torch.Size([1000])).unique()
    if len(values) ** subject.dim > _MOST_STATES:
        raise NotApplicable(f"{len(values)}^{subject.dim} states are too many to sum over")
    grid = torch.cartesian_prod(*[values] * subject.dim)
    grid = grid.reshape(-1, *subject.event_shape)
    return grid, torch.ones(len(grid), dtype=grid.dtype)


def _mixed(model: MixedNoise, subject: Subject) -> tuple[Tensor, Tensor]:
    draws = model.sample(torch.Size([_DRAWS])).double()
    rules = [
        _rule(entry, column[_there(entry, draws, i)]) for i, (entry, column) in enumerate(zip(model.layout, draws.T))
    ]
    parts, count = [], 0
    for choice in _states(model.layout):
        axes = [rule if present else _ABSENT for rule, present in zip(rules, choice)]
        count += math.prod(len(points) for points, _ in axes)
        if count > _MOST_POINTS:
            raise NotApplicable(f"a layout of {subject.dim} entries has too many points to sum and integrate over")
        points = torch.cartesian_prod(*[points for points, _ in axes]).reshape(-1, subject.dim)
        weights = torch.cartesian_prod(*[weights for _, weights in axes]).reshape(-1, subject.dim).prod(1)
        parts.append((points[_fits(points, model.layout, choice)], weights[_fits(points, model.layout, choice)]))
    return torch.cat([points for points, _ in parts]), torch.cat([weights for _, weights in parts])


_ABSENT = (torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))


def _states(layout: Layout) -> Iterator[tuple[bool, ...]]:
    """Every pattern of optional entries that are there or not."""
    yield from product(*[(True, False) if entry.optional else (True,) for entry in layout])


def _fits(points: Tensor, layout: Layout, choice: tuple[bool, ...]) -> Tensor:
    """Points whose states say that just these entries are there."""
    fits = torch.ones(len(points), dtype=torch.bool)
    for i, (entry, there) in enumerate(zip(layout, choice)):
        if entry.optional:
            fits &= (points[:, i - 1] == 0) == there
    return fits


def _there(entry: Entry, draws: Tensor, i: int) -> Tensor:
    return draws[:, i - 1] == 0 if entry.optional else torch.ones(len(draws), dtype=torch.bool)


def _rule(entry: Entry, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Points and weights of one entry."""
    if entry.kind == "category":
        return torch.arange(entry.size).double(), torch.ones(entry.size, dtype=torch.float64)
    if entry.kind == "circle":
        angles = (torch.arange(_ANGLES).double() / _ANGLES) * 2 * math.pi - math.pi
        return angles, torch.full((_ANGLES,), 2 * math.pi / _ANGLES, dtype=torch.float64)
    if not len(draws):
        return torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    if entry.kind == "grid":
        middle = round(float(draws.median()) / entry.step)
        reach = int(_GRID_MARGIN * float(draws.std()) / entry.step) + 1 if len(draws) > 1 else _MOST_STEPS // 2
        if reach > _MOST_STEPS:
            raise NotApplicable(f"a grid of {2 * reach + 1} steps is too fine to sum over")
        steps = torch.arange(middle - reach, middle + reach + 1).double()
        return steps * entry.step, torch.ones(len(steps), dtype=torch.float64)
    return _on_the_line(draws)


def _on_the_line(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Composite Gauss-Legendre on (0, 1), folded out by the quantiles of a Student t with two degrees of freedom."""
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(_NODES))
    cells = torch.arange(_CELLS).double()[:, None]
    share = ((cells + (nodes + 1) / 2) / _CELLS).flatten()
    spread = 2 * share * (1 - share)
    centre, scale = draws.median(), (draws.quantile(0.75) - draws.quantile(0.25)).clamp_min(1e-9) / 2
    points = centre + scale * (2 * share - 1) / spread.sqrt()
    slope = scale * spread.pow(-1.5)  # of the quantile function
    return points, (weights / (2 * _CELLS)).repeat(_CELLS) * slope
