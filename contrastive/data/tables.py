"""Arrays from files, checked before anything is fitted to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.columns import pick
from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError, did_you_mean

SUFFIXES = (".csv", ".tsv", ".parquet", ".npy", ".npz")


@dataclass(frozen=True)
class Table:
    """Rows of float64 numbers.

    Attributes:
        values: shape `(n, *event)`.
        columns: a name for each of the event's entries, in order.
        labels: the column of labels as it was read, shape `(n,)`, where one was named.
        named: whether the columns have names of their own, by which they are matched; those of an array are counted.
        others: columns that were there and left out.
    """

    values: NDArray[np.float64]
    columns: list[str]
    labels: NDArray[Any] | None = None
    named: bool = False
    others: list[str] = field(default_factory=list)


def read_table(path: str | Path, columns: str | Sequence[str] | None = None, label_column: str | None = None) -> Table:
    """Read a .csv, .tsv, .parquet, .npy or .npz file.

    Args:
        path: the file.
        columns: for a table, column names to keep; for an .npz, the array's name. Comma-separated, or a list.
        label_column: a column of the table, or array of the .npz, that holds labels and is no part of the event.

    Raises:
        ContrastiveError: if the file is missing, unreadable, of another kind, or a column is unknown or not numeric.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ContrastiveError(f"cannot read {path}: expected one of {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ContrastiveError(f"there is no file {path}")
    wanted = split_names(columns) if isinstance(columns, str) else None if columns is None else list(columns)
    if label_column is not None and wanted is not None and label_column in wanted:
        raise ContrastiveError(f"{label_column!r} holds the labels: leave it out of --columns")
    if label_column is not None and path.suffix.lower() == ".npy":
        raise ContrastiveError(f"{path} has no columns with names to take labels from; save an .npz with x and y")
    with readable(path):
        if path.suffix.lower() == ".npy":
            table = from_array(np.load(path, mmap_mode="r", allow_pickle=False))
        elif path.suffix.lower() == ".npz":
            return _read_npz(path, wanted, label_column)
        else:
            return _read_frame(path, wanted, label_column)
    return table if wanted is None else _pick(table, wanted)


def split_names(text: str) -> list[str] | None:
    """Names from "age, height"; None from nothing."""
    return [name.strip() for name in text.split(",")] if text.strip() else None


def from_array(array: Any) -> Table:
    """A table of a numeric array of shape `(n,)` or `(n, *event)`.

    Raises:
        ContrastiveError: if it is not numeric or has no rows.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ContrastiveError(f"the array holds {array.dtype}, expected numbers")
    if array.ndim == 0 or len(array) == 0:
        raise ContrastiveError(f"the array of shape {array.shape} has no rows")
    values = np.asarray(array, dtype=np.float64).reshape(len(array), -1) if array.ndim == 1 else array
    return Table(np.require(values, np.float64, "W"), [f"x{i}" for i in range(int(np.prod(values.shape[1:])))])


def check(table: Table) -> None:
    """Refuse what no density can be fitted to.

    Raises:
        ContrastiveError: naming the first bad column and row, for NaN, infinite or constant columns.
    """
    flat = table.values.reshape(len(table.values), -1)
    bad = ~np.isfinite(flat)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ContrastiveError(
            f"the data have {int(bad.sum())} NaN or infinite values in {int(bad.any(axis=0).sum())} columns; the "
            f"first is in column {table.columns[column]!r}, row {row + 1}: remove or fill them"
        )
    constant = np.flatnonzero(flat.min(axis=0) == flat.max(axis=0))
    if len(constant):
        names = ", ".join(repr(table.columns[i]) for i in constant[:5])
        raise ContrastiveError(f"constant columns have no density: {names}; leave them out (--columns)")


def column_names(path: str | Path) -> list[str]:
    """Columns of a table, or arrays of an .npz; none of an .npy."""
    path = Path(path)
    with readable(path):
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return list(arrays.files)
        return [] if path.suffix.lower() == ".npy" else [str(name) for name in _frame(path).columns]


def _read_npz(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    with np.load(path, allow_pickle=False) as arrays:
        for each in [name for name in (label, *(wanted or [])[:1]) if name is not None]:
            if each not in arrays.files:
                raise ContrastiveError(f"{path} has no array {each!r}; {did_you_mean(each, arrays.files)}")
        names = wanted or [name for name in arrays.files if name != label]
        if wanted is None and len(names) != 1:
            held = ", ".join(names) or "labels alone"
            raise ContrastiveError(f"{path} holds {held}: pick one with --columns NAME")
        name = names[0]
        table = from_array(arrays[name])
        return table if label is None else replace(table, labels=arrays[label])


def _frame(path: Path) -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ContrastiveError("reading tables needs pandas: pip install 'contrastive[tables]'") from error
    suffix = path.suffix.lower()
    return pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path, sep="\t" if suffix == ".tsv" else ",")


def _read_frame(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    frame = _frame(path)
    names = [str(name) for name in frame.columns]
    pick(names, [*(wanted or []), *([label] if label is not None else [])], str(path))
    labels = None if label is None else frame.pop(label).to_numpy()
    others = [] if wanted is None else [str(name) for name in frame.columns if str(name) not in wanted]
    if wanted is not None:
        frame = frame[wanted]
    text = [str(name) for name, kind in frame.dtypes.items() if kind.kind not in "fiub"]
    if text:
        raise ContrastiveError(
            f"columns that are not numeric: {', '.join(text[:5])}; leave them out (--columns), or name the one of the "
            "classes (--label-column)"
        )
    if frame.empty:
        raise ContrastiveError(f"{path} has no rows")
    columns = [str(name) for name in frame.columns]
    return Table(frame.to_numpy(dtype=np.float64, copy=True), columns, labels, named=True, others=others)


def _pick(table: Table, wanted: list[str]) -> Table:
    return Table(table.values[:, pick(table.columns, wanted, "the array")], wanted)
