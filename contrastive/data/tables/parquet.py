"""Tables from .parquet files, by pyarrow alone: pandas' metadata would hide columns as an index."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import Notes, choose, one_line, refuse_text
from contrastive.data.tables.table import Table, say_lost_digits
from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError, missing_extra

_INDEX = "__index_level_"  # pandas' name for an index that has none


def read_parquet(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    """The columns of numbers of a file, and that of the labels where one is named.

    Raises:
        ContrastiveError: if the file cannot be read, or a column is unknown or not numeric.
    """
    held = _names(path)
    shown = [name for name in held if not name.startswith(_INDEX)]
    names = choose(path, shown, wanted, label, hidden=held)
    notes = Notes(path)
    if wanted is None and len(shown) < len(held):
        notes.add("left out the index without a name, which counts or numbers the rows")
    frame = _read(path, [*names, *([label] if label is not None else [])])
    columns = {name: frame.column(name) for name in names}
    refuse_text(
        [name for name in names if _kind(columns[name].type) == "text"],
        [name for name in names if _kind(columns[name].type) == "dates"],
        lambda name: next(
            (f"for example {one_line(str(v.as_py()))[:40]!r}" for v in columns[name] if v.is_valid), "all missing"
        ),
    )
    if frame.num_rows == 0:
        raise ContrastiveError(f"{path} has no rows")
    with readable(path):
        arrays = [_numbers(columns[name]) for name in names]
        labels = None if label is None else _labels(frame.column(label))
    whole = [i for i, array in enumerate(arrays) if array.dtype.kind in "iu"]
    say_lost_digits([arrays[i] for i in whole], [names[i] for i in whole])
    notes.say()
    values = np.stack([array.astype(np.float64) for array in arrays], axis=1)
    return Table(values, names, labels, named=True, others=[n for n in shown if n not in names and n != label])


def parquet_names(path: Path) -> list[str]:
    """What `read_parquet` calls the columns.

    Raises:
        ContrastiveError: if the file cannot be read, or two columns have one name.
    """
    return [name for name in _names(path) if not name.startswith(_INDEX)]


def _pyarrow() -> Any:
    try:
        for module in ("pyarrow.compute", "pyarrow.parquet"):
            import_module(module)
        return import_module("pyarrow")
    except ImportError as error:
        raise missing_extra(".parquet files need", "tables", error) from error


def _names(path: Path) -> list[str]:
    arrow = _pyarrow()
    with readable(path), arrow.parquet.ParquetFile(path) as file:
        names: list[str] = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ContrastiveError(f"{path} has several columns called {twice!r}: give each a name of its own")
    return names


def _read(path: Path, names: list[str]) -> Any:
    arrow = _pyarrow()
    with readable(path), arrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
        frame = file.read(use_pandas_metadata=False).select(names)
        frame.validate(full=True)
        return frame


def _kind(type_: Any) -> str:
    """Whether a column holds numbers, dates, or what is called text here: all else."""
    types = _pyarrow().types
    if types.is_dictionary(type_):
        return _kind(type_.value_type)
    if types.is_temporal(type_):
        return "dates"
    numeric = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return "numbers" if any(is_one(type_) for is_one in numeric) else "text"


def _numbers(column: Any) -> NDArray[Any]:
    """Whole numbers as they are where none is missing, else float64 with NaN for missing."""
    arrow = _pyarrow()
    types = arrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_boolean(column.type):
        column = column.cast(arrow.uint8())
    if types.is_integer(column.type) and column.null_count == 0:
        return column.to_numpy()
    cast = arrow.compute.CastOptions(arrow.float64(), allow_int_overflow=True, allow_float_truncate=True)
    return column.cast(options=cast).to_numpy().astype(np.float64)


def _labels(column: Any) -> NDArray[Any]:
    types = _pyarrow().types
    if _kind(column.type) == "dates":
        raise ContrastiveError(f"labels must be whole numbers or words, got {column.type}")
    if types.is_decimal(column.type) or types.is_floating(column.type):
        return _numbers(column)
    values = column.to_pylist()
    if any(not isinstance(value, str | int | None) for value in values):
        raise ContrastiveError(f"labels must be whole numbers or words, got {column.type}")
    whole = types.is_integer(column.type) and column.null_count == 0
    return column.to_numpy() if whole else np.array(values, dtype=object)
