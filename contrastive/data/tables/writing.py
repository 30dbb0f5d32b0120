"""Columns of numbers, written in blocks of rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.parquet import pyarrow
from contrastive.errors import ContrastiveError

WRITTEN = (".csv", ".parquet", ".npy")


def require_written(path: Path) -> None:
    """Refuse the name of a file that `write_columns` does not write, or a package that it needs and is not there.

    Raises:
        ContrastiveError: naming the kinds that there are.
    """
    if path.suffix not in WRITTEN:
        raise ContrastiveError(f"--out {path}: expected a {', '.join(WRITTEN[:-1])} or {WRITTEN[-1]} file")
    if path.suffix == ".parquet":
        pyarrow()


def write_columns(
    path: Path, kind: str, names: Sequence[str], blocks: Iterable[NDArray[np.float64]], rows: int
) -> None:
    """Write rows of numbers as .csv (9 digits, NaN an empty field), .parquet (NaN null) or .npy (a structured array).

    Args:
        path: of the file, whatever its name.
        kind: one of `WRITTEN`.
        names: of the columns.
        blocks: the rows, shape `(n, columns)` each.
        rows: how many there are in all.
    """
    {".csv": _write_csv, ".parquet": _write_parquet, ".npy": _write_npy}[kind](path, names, blocks, rows)


def _write_csv(path: Path, names: Sequence[str], blocks: Iterable[NDArray[np.float64]], rows: int) -> None:
    import pandas as pd

    with path.open("w", encoding="utf-8", newline="") as handle:
        handle.write(",".join(names) + "\n")
        for block in blocks:
            pd.DataFrame(block).to_csv(handle, header=False, index=False, float_format="%.9g", lineterminator="\n")


def _write_parquet(path: Path, names: Sequence[str], blocks: Iterable[NDArray[np.float64]], rows: int) -> None:
    arrow = pyarrow()
    schema = arrow.schema([(name, arrow.float64()) for name in names])
    with arrow.parquet.ParquetWriter(path, schema) as writer:
        for block in blocks:
            columns = [arrow.array(column, from_pandas=True) for column in block.T]
            writer.write_table(arrow.table(columns, schema=schema))


def _write_npy(path: Path, names: Sequence[str], blocks: Iterable[NDArray[np.float64]], rows: int) -> None:
    dtype = np.dtype([(name, "<f8") for name in names])
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows,)}
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, header)
        for block in blocks:
            handle.write(np.ascontiguousarray(block, "<f8").tobytes())
