"""Dispatch of a table file to the reader of its format."""

from collections.abc import Sequence
from pathlib import Path

from contrastive.data.tables.columns import pick
from contrastive.data.tables.delimited import delimited_names, read_delimited
from contrastive.data.tables.numpy_files import array_names, read_npy, read_npz
from contrastive.data.tables.parquet import parquet_names, read_parquet
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
    if suffix == ".npy":
        table = read_npy(path)
        return table if wanted is None else _pick(table, wanted)
    read = {".npz": read_npz, ".parquet": read_parquet}.get(suffix, read_delimited)
    return read(path, wanted, label_column)


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


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def _pick(table: Table, wanted: list[str]) -> Table:
    if table.values.ndim > 2:
        raise ContrastiveError(f"rows of shape {table.values.shape[1:]} have no columns to pick: leave out --columns")
    return Table(table.values[:, pick(table.columns, wanted, "the array")], wanted)
