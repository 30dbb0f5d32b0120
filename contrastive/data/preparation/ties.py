"""Columns with ties: how they were rounded, and their values spread over the rounding step (dequantisation)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Ties that matter: most rows, or one value for a narrow component. Of 100,000 float32 draws 1 % are tied by chance.
_TIED_SHARE = 0.5
_ATOM_SHARE, _FEWEST_EQUAL = 0.02, 5
_PROMINENT = 5  # times as many rows as the next value
_NOISE = 1e-6  # of float32's arithmetic, relative
_OFF_GRID = 0.02  # of a step
_FEW_VALUES = 10
_NAMED = 6


@dataclass(frozen=True)
class Tie:
    """How a column with ties was rounded.

    Attributes:
        step: of the rounding, in units of the column: the smallest gap between values.
        values: how many different ones there are.
        atom: the commonest value and its share of the rows, where the step is far too small to be that of a rounding;
            None for a rounded column.
    """

    step: float
    values: int
    atom: tuple[float, float] | None = None


def find_ties(values: NDArray[np.float64]) -> dict[int, Tie]:
    """The columns with ties, by their number.

    A column has ties where more than half of its rows share their value with another row, or one value is on more than
    2 % of the rows (5 at least). Fewer come of rounding far below the spread, which does no harm. Its step is the
    smallest gap between values that is no float noise. Where that is fine, with more steps between the quartiles of the
    values than there are rows, a value on five times as many rows as any other is an atom. Without one the column was
    rounded if its values lie on a grid; else the ties are copies of continuous rows, and it is left out.

    Args:
        values: finite rows, shape `(n, d)`.
    """
    found = {column: _tie(values[:, column]) for column in range(values.shape[1])}
    return {column: tie for column, tie in found.items() if tie is not None}


def spread(values: NDArray[np.float64], steps: Mapping[int, float], generator: torch.Generator) -> NDArray[np.float64]:
    """Rows with uniform noise within the rounding step added: x + s (u - 1/2), u uniform on [0, 1).

    The mean log-density of such rows is a lower bound on the mean log-mass of the rounded ones less sum log s (Theis,
    van den Oord & Bethge 2016).

    Args:
        values: rounded rows, shape `(n, d)`; they are not changed.
        steps: s of each column that was rounded, by its number.
        generator: of u, on the CPU. The answer depends on its state and on the order of the rows alone.
    """
    spread_values = values.copy()
    for column in sorted(steps):
        u = torch.rand(len(values), dtype=torch.float64, generator=generator).numpy()
        spread_values[:, column] += steps[column] * (u - 0.5)
    return spread_values


def spread_rows(x: Tensor, columns: Sequence[str], rounding_steps: Mapping[str, float], seed: int) -> Tensor:
    """Rows in original units, spread over the steps of a fit; see `spread`.

    Args:
        x: shape `(n, d)`.
        columns: their names.
        rounding_steps: by column.
        seed: of the uniform noise, apart from torch's global numbers.
    """
    steps = {columns.index(name): step for name, step in rounding_steps.items()}
    return torch.from_numpy(spread(x.double().numpy(), steps, torch.Generator().manual_seed(seed)))


def describe_spread(rounding_steps: Mapping[str, float], atoms: Mapping[str, Sequence[float]], columns: int) -> str:
    """What was done to the columns before the fit, in sentences; empty where nothing was.

    Args:
        rounding_steps: of each column that was spread.
        atoms: value and share of the rows, of each column with one.
        columns: how many there are in all.
    """
    if not rounding_steps:
        return ""
    one = len(rounding_steps) == 1
    what = (
        f"{len(rounding_steps)} of {columns} columns {'has' if one else 'have'} ties and {'was' if one else 'were'} "
        f"spread over {'its' if one else 'their'} rounding step before the fit ({described_steps(rounding_steps)}); "
        "log-densities are those of the spread values"
    )
    often = _some(
        [f"{name} (exactly {value:g} on {100 * share:.0f} % of the rows)" for name, (value, share) in atoms.items()]
    )
    said = (
        f"{often}: no density describes a column with one common value among many, and its figures depend on the step"
    )
    return f"{what}; {said}" if atoms else what


def described_steps(rounding_steps: Mapping[str, float]) -> str:
    """Columns with their steps, six at most: "sex: 1, age: 1 and 3 more"."""
    return _some([f"{name}: {step:g}" for name, step in rounding_steps.items()])


def describe_ties(ties: Mapping[str, Tie]) -> str:
    """What to do about columns with ties that were left as they are."""
    names = list(ties)
    some, has = (f"column {names[0]}", "has") if len(names) == 1 else (f"columns {_listed(names)}", "have")
    few = [f"{name} ({tie.values} values)" for name, tie in ties.items() if tie.values <= _FEW_VALUES]
    classes = f"; if one of these is the classes, name it with --label-column: {_some(few)}" if few else ""
    return (
        f"{some} {has} ties: a density on them grows without bound as it narrows; --data.dequantize true spreads each "
        f"value over its rounding step{classes}"
    )


def _tie(column: NDArray[np.float64]) -> Tie | None:
    """How one column was rounded; None where it has no ties that matter."""
    values, counts = np.unique(column, return_counts=True)
    n, tied = len(column), counts[counts > 1].sum()
    second, most = np.sort(np.r_[0, counts])[-2:]
    common = most >= _FEWEST_EQUAL and most > _ATOM_SHARE * n
    if len(values) < 2 or not (common or tied > _TIED_SHARE * n):
        return None
    step, on_grid = _step(values)
    if _quartile_range(values) <= n * step:
        return Tie(step, len(values))
    if common and most > _PROMINENT * second:
        return Tie(step, len(values), (float(values[counts.argmax()]), float(most / n)))
    return Tie(step, len(values)) if on_grid and tied > _TIED_SHARE * n else None


def _step(values: NDArray[np.float64]) -> tuple[float, bool]:
    """The smallest gap between sorted values that is no float noise, and whether all are whole steps apart."""
    gaps = np.diff(values)
    # Noise of the spread, and of the numbers themselves: 1000.1 in float32 is 1000.09998. Whole numbers have none.
    size = np.maximum(np.maximum(abs(values[1:]), abs(values[:-1])), _quartile_range(values))
    whole = bool(np.all(values == np.round(values)))
    real = gaps if whole else gaps[gaps > _NOISE * size]
    smallest = float((real if len(real) else gaps).min())
    # On a grid the whole width in whole steps is more exact than one gap, a difference of two rounded numbers.
    width = float(values[-1] - values[0])
    exact = width / round(width / smallest)
    steps = (values - values[0]) / exact
    if np.abs(steps - np.round(steps)).max() < _OFF_GRID:
        return float(f"{exact:.6g}"), True
    return float(f"{smallest:.4g}"), False


def _quartile_range(values: NDArray[np.float64]) -> float:
    return float(np.subtract(*np.percentile(values, (75, 25))))


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _listed(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        return _some(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
