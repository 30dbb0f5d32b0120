"""Dispatch of a table file to the reader of its format."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import pick
from contrastive.data.tables.delimited import delimited_names, open_delimited, read_delimited
from contrastive.data.tables.numpy_files import array_names, open_npy, read_npy, read_npz
from contrastive.data.tables.parquet import open_parquet, parquet_names, read_parquet
from contrastive.data.tables.stream import TableStream, in_memory
from contrastive.data.tables.table import Table
from contrastive.data.unreadable import require_file
from contrastive.errors import ContrastiveError

_COMPRESSED = (".gz", ".bz2", ".xz")
SUFFIXES = (
    *(".csv", ".tsv", ".parquet", ".npy", ".npz"),
    *(f"{kind}{compressed}" for kind in (".csv", ".tsv") for compressed in _COMPRESSED),
)


def read_table(path: str | Path, columns: str | Sequence[str] | None = None, label_column: str | None = None) -> Table:
    """Read a .csv, .tsv (both may be compressed: .csv.gz), .parquet, .npy or .npz file.

    Warns (`ContrastiveWarning`) of how a file was read where that is not plain from it.

    Args:
        path: the file.
        columns: for a table, column names to keep; for an .npz, the array's name. Comma-separated, or a list.
        label_column: a column of the table, or array of the .npz, that holds labels and is no part of the event.

    Raises:
        ContrastiveError: if the file is missing, unreadable, of another kind, or a column is unknown or not numeric.
    """
    path, suffix, wanted = _asked(path, columns, label_column)
    if suffix == ".npy":
        table = read_npy(path)
        return table if wanted is None else _pick(table, wanted)
    read = {".npz": read_npz, ".parquet": read_parquet}.get(suffix, read_delimited)
    return read(path, wanted, label_column)


def open_table(
    path: str | Path, columns: str | Sequence[str] | None = None, label_column: str | None = None
) -> TableStream:
    """Open a file to read it in blocks, by the rules of `read_table`; it may be larger than memory.

    A .csv or .tsv is read through once before the first block, so that a line that cannot be read is found first. An
    .npz is read whole: its arrays are compressed.

    Args:
        path: the file.
        columns: as in `read_table`.
        label_column: left out of the event.

    Raises:
        ContrastiveError: as `read_table`.
    """
    path, suffix, wanted = _asked(path, columns, label_column)
    if suffix == ".npz":
        return in_memory(read_npz(path, wanted, label_column))
    if suffix == ".npy":
        stream = open_npy(path)
        return stream if wanted is None else _pick_each(stream, wanted)
    return (open_parquet if suffix == ".parquet" else open_delimited)(path, wanted, label_column)


def split_names(text: str) -> list[str] | None:
    """Names from "age, height"; None from nothing."""
    return [name.strip() for name in text.split(",")] if text.strip() else None


def column_names(path: str | Path) -> list[str]:
    """Columns of a table, or arrays of an .npz; none of an .npy.

    Raises:
        ContrastiveError: if the file is missing or unreadable.
    """
    path = Path(path)
    require_file(path)
    suffix = _suffix(path)
    if suffix == ".npy":
        return []
    return {".npz": array_names, ".parquet": parquet_names}.get(suffix or "", delimited_names)(path)


def is_table(path: str | Path) -> bool:
    """Whether a file's name ends as one that `read_table` reads."""
    return _suffix(Path(path)) is not None


def has_named_columns(path: str | Path) -> bool:
    """Whether a file's name ends as one whose columns have names: every table but an array of numpy's."""
    return _suffix(Path(path)) not in (None, ".npy", ".npz")


def _asked(
    path: str | Path, columns: str | Sequence[str] | None, label_column: str | None
) -> tuple[Path, str, list[str] | None]:
    """The file, its kind and the columns that are wanted.

    Raises:
        ContrastiveError: if there is no such file, or columns and labels exclude each other.
    """
    path = Path(path)
    suffix = _suffix(path)
    if suffix is None:
        raise ContrastiveError(f"cannot read {path}: expected one of {', '.join(SUFFIXES)}")
    require_file(path)
    wanted = split_names(columns) if isinstance(columns, str) else None if columns is None else list(columns)
    if label_column is not None and wanted is not None and label_column in wanted:
        raise ContrastiveError(f"{label_column!r} holds the labels: leave it out of --columns")
    if label_column is not None and suffix == ".npy":
        raise ContrastiveError(f"{path} has no columns with names to take labels from; save an .npz with x and y")
    return path, suffix, wanted


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def _pick(table: Table, wanted: list[str]) -> Table:
    return Table(table.values[:, _places(table.columns, table.values.shape[1:], wanted)], wanted)


def _pick_each(stream: TableStream, wanted: list[str]) -> TableStream:
    places = _places(stream.columns, stream.event_shape, wanted)

    def blocks(rows: int) -> Iterator[NDArray[np.float64]]:
        return (values[:, places] for values in stream.blocks(rows))

    return TableStream(wanted, stream.rows, (len(wanted),), blocks)


def _places(columns: Sequence[str], event_shape: tuple[int, ...], wanted: list[str]) -> list[int]:
    if len(event_shape) > 1:
        raise ContrastiveError(f"rows of shape {event_shape} have no columns to pick: leave out --columns")
    return pick(columns, wanted, "the array")
