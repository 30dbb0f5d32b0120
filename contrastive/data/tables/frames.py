"""Tables that are in memory with names for their columns: data frames of pandas and polars, tables of pyarrow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import pick
from contrastive.data.tables.table import Table
from contrastive.errors import ContrastiveError, did_you_mean, listed


def is_frame(data: Any) -> bool:
    """Whether `data` is a table with named columns."""
    return hasattr(data, "column_names") or (hasattr(data, "columns") and hasattr(data, "to_numpy"))


def from_frame(frame: Any, columns: Sequence[str] | None = None, label_column: str | None = None) -> Table:
    """The numbers of a data frame.

    Args:
        frame: of pandas, polars or pyarrow; its index, if it has one, is no column.
        columns: those to keep, in this order; all but the labels unless told.
        label_column: the one that holds labels.

    Raises:
        ContrastiveError: for a column that is not there, named twice or not numeric, or no rows.
    """
    names, wanted = frame_names(frame, columns, label_column)
    values = np.stack([_numbers(name, frame_column(frame, names.index(name))) for name in wanted], axis=1)
    labels = None if label_column is None else _array(frame_column(frame, names.index(label_column)))
    others = [name for name in names if name not in wanted and name != label_column]
    return Table(values, wanted, labels, named=True, others=others)


def frame_names(
    frame: Any, columns: Sequence[str] | None = None, label_column: str | None = None
) -> tuple[list[str], list[str]]:
    """Names of all columns of a data frame, and of those wanted; see `from_frame`."""
    names = [str(name) for name in getattr(frame, "column_names", None) or frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContrastiveError(f"several columns are called {listed(twice)}: give each a name of its own")
    if label_column is not None and label_column not in names:
        raise ContrastiveError(f"the data frame has no column {label_column!r}; {did_you_mean(label_column, names)}")
    if label_column is not None and columns is not None and label_column in columns:
        raise ContrastiveError(f"{label_column!r} holds the labels: leave it out of columns")
    rows = len(frame)
    wanted = [name for name in names if name != label_column]
    if columns is not None:
        wanted = [wanted[i] for i in pick(wanted, columns, "the data frame")]
    if not rows or not wanted:
        raise ContrastiveError(f"the data have {rows} rows and {len(wanted)} columns to fit")
    return names, wanted


def frame_column(frame: Any, index: int) -> Any:
    """Column number `index`."""
    if hasattr(frame, "column_names"):
        return frame.column(index)
    return frame.iloc[:, index] if hasattr(frame, "iloc") else frame[:, index]


def _array(column: Any) -> NDArray[Any]:
    return np.asarray(column.to_numpy())


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    try:
        if hasattr(column, "iloc"):  # pandas: its missing values are none that numpy knows
            if getattr(column.dtype, "kind", "O") not in "fiub":
                raise TypeError
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        array = _array(column)
        if array.dtype.kind not in "fiub":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        kind = getattr(column, "dtype", getattr(column, "type", "other values"))
        raise ContrastiveError(
            f"the column {name!r} holds {kind}, expected numbers: leave it out (columns), name the one of the "
            "classes (label_column), or take it as it is (mixed=True)"
        ) from error
