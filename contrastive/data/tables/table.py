"""Rows of numbers with names for their columns, and what is refused before anything is fitted to them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.suspicions import say_suspicions
from contrastive.errors import ContrastiveError, listed, warn

_EXACT = 2**53  # float64 holds every whole number up to here


@dataclass(frozen=True)
class Table:
    """Rows of float64 numbers.

    Attributes:
        values: shape `(n, *event)`.
        columns: a name for each of the event's entries, in order.
        labels: the column of labels as it was read, shape `(n,)`, where one was named.
        named: whether the columns have names of their own, by which they are matched; those of an array are counted.
        others: columns that were there and left out.
        line: the line of the file on which a row, counted from 0, begins; None for what is no file of lines.
        weights: how often each row counts, up to a common factor, shape `(n,)`; None for equal ones.
    """

    values: NDArray[np.float64]
    columns: list[str]
    labels: NDArray[Any] | None = None
    named: bool = False
    others: list[str] = field(default_factory=list)
    line: Callable[[int], int] | None = field(default=None, compare=False)
    weights: NDArray[np.float64] | None = None


def from_array(array: Any, digits: "LostDigits | None" = None) -> Table:
    """A table of a numeric array of shape `(n,)` or `(n, *event)`.

    Args:
        array: any that numpy takes.
        digits: of the table that the array is a part of.

    Raises:
        ContrastiveError: if it is not numeric, has masked entries, or has no rows or columns.
    """
    array = _as_array(array)
    if array.dtype.kind == "M":
        raise ContrastiveError(f"the array holds dates ({array.dtype}): turn them into numbers, such as days")
    if array.dtype.kind not in "fiub":
        raise ContrastiveError(f"the array holds {array.dtype}, expected numbers")
    if array.ndim == 0 or len(array) == 0:
        raise ContrastiveError(f"the array of shape {array.shape} has no rows")
    if array.size == 0:
        raise ContrastiveError(f"the array of shape {array.shape} has no columns")
    values = array.reshape(len(array), -1) if array.ndim == 1 else array
    names = [f"x{i}" for i in range(int(np.prod(values.shape[1:])))]
    (digits or LostDigits()).say(dict(zip(names, values.reshape(len(values), -1).T)))
    with np.errstate(invalid="ignore", over="ignore"):  # what becomes NaN or infinite, `check` refuses
        return Table(np.require(values, np.float64, "W"), names)


def check(table: Table, *, few_values: bool = True) -> None:
    """Refuse what no density can be fitted to, and warn of what is likely no measurement; see `say_suspicions`.

    Args:
        table: to be fitted to.
        few_values: whether columns of few values are warned of.

    Raises:
        ContrastiveError: naming the first bad column and row, for NaN, infinite or constant columns.
    """
    flat = table.values.reshape(len(table.values), -1)
    bad = ~np.isfinite(flat)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        line = "" if table.line is None else f" (line {table.line(int(row))})"
        raise ContrastiveError(
            f"the data have {int(bad.sum())} NaN or infinite values in {int(bad.any(axis=0).sum())} columns; the "
            f"first is in column {table.columns[column]!r}, row {row + 1}{line}: remove or fill them, or take gaps as "
            "missing values (--data.mixed true)"
        )
    low, high = flat.min(axis=0), flat.max(axis=0)
    constant = np.flatnonzero(low == high)
    if len(constant) == flat.shape[1] and len(flat) > 1:
        raise ContrastiveError(f"all {len(flat)} rows are the same, there is no density to fit: give rows that differ")
    if len(constant) and len(flat) > 1:  # of one row the split has to say that it is too few
        names = listed([table.columns[i] for i in constant], most=5)
        raise ContrastiveError(f"constant columns have no density: {names}; leave them out (--columns)")
    say_suspicions(flat, low, high, table.columns, few_values=few_values)


class LostDigits:
    """Whole numbers beyond 2^53, which float64 does not hold exactly: said once for each column of a table in parts."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def say(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Warn of columns, by name, that hold such numbers; those of another kind than whole numbers are passed over.

        Raises:
            ContrastiveError: if numbers that differ would become the same.
        """
        large = []
        for name, column in arrays.items():
            if name in self._said or column.dtype.kind not in "iuO" or column.dtype.itemsize < 8 or len(column) == 0:
                continue
            if max(abs(int(column.max())), abs(int(column.min()))) <= _EXACT:
                continue
            large.append(name)
            if len(np.unique(column.astype(np.float64))) < len(np.unique(column)):
                raise ContrastiveError(
                    f"column {name!r} has whole numbers beyond 2^53, which differ only in digits that float64 does not "
                    "hold: subtract what they share, or leave it out (--columns)"
                )
        if large:
            warn(f"whole numbers beyond 2^53 lose their last digits in float64: {listed(large, most=5)}")
        self._said.update(large)


def stacked(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """The columns side by side, shape `(n, columns)`."""
    values = np.empty((len(next(iter(arrays.values()))), len(arrays)))
    for at, array in enumerate(arrays.values()):
        values[:, at] = array
    return values


def _as_array(array: Any) -> NDArray[Any]:
    if np.ma.isMaskedArray(array) and np.ma.getmaskarray(array).any():
        count = int(np.ma.getmaskarray(array).sum())
        raise ContrastiveError(f"{count} entries of the masked array are masked: fill them, or remove their rows")
    try:
        array = np.asarray(array)
    except (ValueError, TypeError, OverflowError) as error:
        raise ContrastiveError(f"rows of different lengths, or entries that are no numbers: {_line(error)}") from error
    return _from_objects(array) if array.dtype.kind == "O" else array


def _from_objects(array: NDArray[Any]) -> NDArray[np.float64]:
    """Python's numbers as float64, and NaN for None and pandas.NA, which `check` then places."""
    numbers = np.empty(array.size)
    for i, value in enumerate(array.flat):
        if value is None or type(value).__name__ == "NAType":
            numbers[i] = np.nan
            continue
        try:
            numbers[i] = np.nan if isinstance(value, str | bytes) else float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ContrastiveError(f"the array holds objects, expected numbers: {_shown(value)}") from error
        if isinstance(value, str | bytes):
            raise ContrastiveError(f"the array holds objects, expected numbers: {_shown(value)}")
        if isinstance(value, int) and int(numbers[i]) != value:
            raise ContrastiveError(f"{_shown(value)} has more digits than float64 holds: scale the numbers")
    return numbers.reshape(array.shape)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:40]}..."


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
