"""Warnings about columns that are unlikely to be measurements: row numbers, codes for missing values, outliers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contrastive.errors import warn

#: Numbers that stand for "missing" in many files, by size.
_CODES = {float(sign * code) for code in (9, 99, 999, 9999, 99999, 999999, 9999999) for sign in (-1, 1)}
_CODES |= {-888.0, -8888.0, -9990.0, -99990.0, -32768.0, 1e20, -1e20, 1e30, -1e30}
_SAMPLE, _FEWEST_SAMPLED, _SAMPLE_ENTRIES = 10_000, 500, 2_000_000
_FEWEST_ROWS, _MOST_NAMED = 10, 5
_FAR, _DOMINATES, _RARE = 100.0, 5.0, 0.01
_FEW_VALUES, _ROWS_A_VALUE = 10, 20
_NORMAL = ((25, 75, 1.349), (5, 95, 3.290), (1, 99, 4.653))  # percentiles, and their distance in a standard normal


def say_suspicions(
    flat: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    columns: Sequence[str],
    *,
    few_values: bool = True,
) -> None:
    """One warning for each kind of column that a density had better not be fitted to.

    Row numbers, codes for missing values, single values that dominate the scaling, and columns of few values.

    Args:
        flat: finite rows, shape `(n, d)`.
        low: the smallest value of each column.
        high: the largest.
        columns: their names.
        few_values: whether columns of few values are among them.
    """
    if len(flat) < _FEWEST_ROWS:
        return
    rows = max(_FEWEST_SAMPLED, min(_SAMPLE, _SAMPLE_ENTRIES // flat.shape[1]))
    sample = flat[:: max(1, len(flat) // rows)]
    numbers, codes, outliers, few = [], [], [], []
    spread_of = _robust(sample)
    for j, name in enumerate(columns):
        if _counts_rows(flat[:, j], low[j], high[j]):
            numbers.append(repr(name))
        elif found := _codes(flat[:, j], low[j], high[j]):
            codes.append(f"{name!r} ({', '.join(f'{code:g} in {count} rows' for code, count in found)})")
        elif (value_row := _outlier(flat[:, j], low[j], high[j], *spread_of[:, j])) is not None:
            outliers.append(f"{name!r} ({flat[value_row, j]:g} in row {value_row + 1})")
        elif few_values and (count := _few_values(flat[:, j], sample[:, j], low[j], high[j])):
            few.append(f"{name!r} ({count} values)")
    _say("columns that count the rows are fitted like any other, leave row numbers out with --columns: {}", numbers)
    _say("values that look like codes for missing ones are fitted as numbers, remove or fill them: {}", codes)
    _say("values far from all others dominate the scaling, remove them if they are mistakes: {}", outliers)
    _say(
        "a density is for continuous columns, and these take few values, leave them out with --columns or name the one "
        "of the classes with --label-column: {}",
        few,
    )


def counts_up(column: NDArray[np.float64]) -> bool:
    """Whether each value is the one before it and 1."""
    return bool(np.all(np.diff(column) == 1))


def _say(message: str, found: list[str]) -> None:
    if found:
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        warn(message.format(", ".join(found[:_MOST_NAMED]) + more))


def _counts_rows(column: NDArray[np.float64], low: float, high: float) -> bool:
    return bool(high - low == len(column) - 1 and low == np.round(low) and column[0] == low and counts_up(column))


def _codes(column: NDArray[np.float64], low: float, high: float) -> list[tuple[float, int]]:
    """The codes for missing values at a column's ends, and how often each occurs."""
    found: list[tuple[float, int]] = []
    while len(column) and (code := next((end for end in (low, high) if float(end) in _CODES), None)) is not None:
        rest = column[column != code]
        count = len(column) - len(rest)
        if len(rest) < 3 or rest.min() == rest.max() or not _is_code(float(code), count, rest):
            break
        found.append((float(code), count))
        column, low, high = rest, rest.min(), rest.max()
    return found


def _is_code(code: float, count: int, rest: NDArray[np.float64]) -> bool:
    if code < 0 and rest.min() >= 0:  # one negative number among positive ones needs no distance
        return count > 1 or code <= -99
    quartiles = np.percentile(rest, (25, 75))
    gap = rest.min() - code if code < rest.min() else code - rest.max()
    return bool(gap > max(3 * (quartiles[1] - quartiles[0]), rest.max() - rest.min()) and (count > 1 or abs(code) > 99))


def _robust(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median and a spread of each column, shape `(2, d)`; NaN where almost all values are the same.

    Of a column most of whose values are the same, such as zeros, the quartiles coincide: then wider percentiles.
    """
    at = sorted({q for lower, upper, _ in _NORMAL for q in (lower, upper)} | {50})
    values = dict(zip(at, np.percentile(sample, at, axis=0)))
    spread = np.full(sample.shape[1], np.nan)
    for lower, upper, width in reversed(_NORMAL):
        distance = (values[upper] - values[lower]) / width
        spread = np.where(distance > 0, distance, spread)
    return np.stack([values[50], spread])


def _outlier(column: NDArray[np.float64], low: float, high: float, centre: float, spread: float) -> int | None:
    """The row of the farthest of a few far values that make the standard deviation what it is."""
    if not max(high - centre, centre - low) > _FAR * spread:
        return None
    distance = np.abs(column - centre)
    near = distance <= _FAR * spread
    with np.errstate(over="ignore"):  # an infinite standard deviation dominates as well
        dominate = column.std() > _DOMINATES * column[near].std()
    return int(distance.argmax()) if dominate and np.count_nonzero(~near) <= max(1, _RARE * len(column)) else None


def _few_values(column: NDArray[np.float64], sample: NDArray[np.float64], low: float, high: float) -> int:
    """How many values a column of few takes; 0 for others, and for spins, which have a noise of their own."""
    if len(np.unique(sample[:1000])) > _FEW_VALUES or (low == -1 and high == 1 and bool(np.all(np.abs(column) == 1))):
        return 0
    count = len(np.unique(column))
    return count if count <= _FEW_VALUES and len(column) >= _ROWS_A_VALUE * count else 0
