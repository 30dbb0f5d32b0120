"""Kinds of columns, read from their values where they are not told, and held against the values where they are."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from contrastive.data.preparation.ties import find_ties
from contrastive.data.schema.column import Column, grid_of
from contrastive.data.schema.told import Told
from contrastive.data.tables.raw import RawColumn
from contrastive.errors import ContrastiveError

_FEW_VALUES, _ROWS_A_VALUE = 30, 20  # numbers that are categories: few values, each on many rows
_MANY_ROWS_A_VALUE = 5  # the same of values that lie on no grid
_MOST_ATOMS, _MOST_DECIMALS = 3, 6
_MOST_VALUES = 1_000  # of a category


def infer_columns(columns: Mapping[str, RawColumn], told: Mapping[str, Told]) -> tuple[Column, ...]:
    """The schema of a table: each column as it is told, else as its values look.

    Words are categories, truths booleans. Numbers of at most 30 different values, 20 rows to each, are categories. Else
    columns with ties are integers, whole multiples of a step: that of the values, or the last decimal; or categories
    where the values lie on no grid and each is on 5 rows. A value that is far more common than any other is an atom,
    and all the rest is continuous.

    Args:
        columns: as they were read.
        told: kinds by column.

    Raises:
        ContrastiveError: naming the column whose kind contradicts its values, or that has a single value.
    """
    return tuple(_column(name, raw, told.get(name)) for name, raw in columns.items())


def _column(name: str, raw: RawColumn, told: Told | None) -> Column:
    values = np.array([word for word in raw.words() if word is not None]) if raw.is_text else _there(raw)
    if len(values) == 0:
        raise ContrastiveError(f"column {name!r} has no values at all: leave it out (--columns)")
    if len(np.unique(values)) < 2:
        raise ContrastiveError(
            f"column {name!r} has one value, {values[0]!s}: there is no density, leave it out (--columns)"
        )
    missing = len(values) < len(raw.values)
    column = _by_values(name, raw, values) if told is None else _as_told(name, raw, values, told)
    column = Column(**{**column.__dict__, "missing": missing})
    column.encode(raw)  # contradictions are found here
    return column


def _there(raw: RawColumn) -> NDArray[np.float64]:
    return raw.values[~np.isnan(raw.values)]


def _by_values(name: str, raw: RawColumn, values: NDArray[np.generic]) -> Column:
    if raw.is_text:
        return _category(name, values)
    if raw.holds == "truths":
        return Column(name, "boolean")
    numbers = values.astype(np.float64)
    kind = "date" if raw.holds == "dates" else "continuous"
    count = len(np.unique(numbers))
    if kind == "continuous" and count <= _FEW_VALUES and len(numbers) >= _ROWS_A_VALUE * count:
        return _category(name, numbers)
    atoms = _atoms(numbers)
    rest = numbers[~np.isin(numbers, atoms)]
    tie = find_ties(rest[:, None]).get(0)
    if tie is None:
        return Column(name, kind, atoms=atoms)  # type: ignore[arg-type]
    whole = bool(np.all(numbers == np.round(numbers)))
    step, origin = (1.0, 0.0) if whole else (tie.step, float(numbers.min()))
    if grid_of(numbers, step, origin):
        return Column(name, "date" if kind == "date" else "integer", step=step, origin=origin)
    if count <= _MOST_VALUES and len(numbers) >= _MANY_ROWS_A_VALUE * count:
        return _category(name, numbers)
    decimal = next((10.0**-k for k in range(1, _MOST_DECIMALS + 1) if grid_of(numbers, 10.0**-k, 0.0)), None)
    if decimal is not None:
        return Column(name, "integer", step=decimal)
    return Column(name, kind, atoms=atoms)  # type: ignore[arg-type]


def _atoms(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Values that are far more common than the others, which are continuous."""
    atoms: list[float] = []
    while len(atoms) < _MOST_ATOMS:
        tie = find_ties(numbers[:, None]).get(0) if len(np.unique(numbers)) > 1 else None
        if tie is None or tie.atom is None:
            break
        atoms.append(tie.atom[0])
        numbers = numbers[numbers != tie.atom[0]]
    return tuple(sorted(atoms))


def _category(name: str, values: NDArray[np.generic]) -> Column:
    different = np.unique(values)
    if len(different) > _MOST_VALUES:
        raise ContrastiveError(
            f"column {name!r} has {len(different):,} different values, more than the {_MOST_VALUES:,} of a "
            "category: leave it out (--columns)"
        )
    return Column(name, "category", tuple(different.tolist()))


def _as_told(name: str, raw: RawColumn, values: NDArray[np.generic], told: Told) -> Column:
    if told.kind == "category":
        return _category(name, np.array([word for word in raw.words() if word is not None]) if raw.is_text else values)
    if raw.is_text:
        row = next(i for i, word in enumerate(raw.values) if word is not None)
        raise ContrastiveError(
            f"column {name!r} is told to be {told.kind}, but it has words, such as {raw.values[row]!r} in row "
            f"{row + 1}: name it with --data.categorical"
        )
    numbers = values.astype(np.float64)
    if told.kind == "integer":
        return Column(name, "integer", step=1.0)
    if told.kind == "positive":
        return Column(name, "positive", atoms=(0.0,) if bool(np.any(numbers == 0)) else ())
    if told.kind == "bounded":
        ends = tuple(end for end in (told.low, told.high) if bool(np.any(numbers == end)))
        return Column(name, "bounded", low=told.low, high=told.high, atoms=ends)
    if told.kind == "circular":
        return Column(name, "circular", low=told.low, high=told.high)
    return Column(name, "continuous", atoms=_atoms(numbers))
