"""Tables from .parquet files, by pyarrow alone: pandas' metadata would hide columns as an index."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import Notes, choose, one_line, refuse_text
from contrastive.data.tables.stream import TableStream
from contrastive.data.tables.table import LostDigits, Table, stacked
from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError, missing_extra

_PAGE = 2**20  # bytes read at once of a column
_INDEX = "__index_level_"  # pandas' name for an index that has none


def read_parquet(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    """The columns of numbers of a file, and that of the labels where one is named.

    Raises:
        ContrastiveError: if the file cannot be read, or a column is unknown or not numeric.
    """
    names, others, notes = _chosen(path, wanted, label)
    frame = read_named(path, [*names, *([label] if label is not None else [])])
    columns = {name: frame.column(name) for name in names}
    _refuse_others({name: column.type for name, column in columns.items()}, lambda name: [columns[name]])
    if frame.num_rows == 0:
        raise ContrastiveError(f"{path} has no rows")
    with readable(path):
        arrays = {name: numbers_of(column) for name, column in columns.items()}
        labels = None if label is None else _labels(frame.column(label))
    LostDigits().say(arrays)
    notes.say()
    return Table(stacked(arrays), names, labels, named=True, others=others)


def open_parquet(path: Path, wanted: list[str] | None, label: str | None) -> TableStream:
    """The columns of numbers of a file, to be read in blocks: memory does not grow with rows or row groups.

    Raises:
        ContrastiveError: as `read_parquet`.
    """
    names, others, notes = _chosen(path, wanted, label)
    with readable(path), _file(path) as file:
        rows, schema = file.metadata.num_rows, file.schema_arrow
    types = {name: schema.field(name).type for name in names}
    _refuse_others(types, lambda name: (frame.column(0) for frame in _batches(path, [name], 1000)))
    if rows == 0:
        raise ContrastiveError(f"{path} has no rows")
    notes.say()
    digits = LostDigits()

    def blocks(rows: int) -> Iterator[NDArray[np.float64]]:
        for frame in _batches(path, names, rows):
            with readable(path):
                arrays = {name: numbers_of(frame.column(name)) for name in names}
            digits.say(arrays)
            yield stacked(arrays)

    return TableStream(names, rows, (len(names),), blocks, named=True, others=others)


def parquet_names(path: Path) -> list[str]:
    """What `read_parquet` calls the columns.

    Raises:
        ContrastiveError: if the file cannot be read, or two columns have one name.
    """
    return [name for name in _names(path) if not name.startswith(_INDEX)]


def _chosen(path: Path, wanted: list[str] | None, label: str | None) -> tuple[list[str], list[str], Notes]:
    """The chosen columns, the others, and what is to be said of the choice."""
    held = _names(path)
    shown = [name for name in held if not name.startswith(_INDEX)]
    names = choose(path, shown, wanted, label, hidden=held)
    notes = Notes(path)
    if wanted is None and len(shown) < len(held):
        notes.add("left out the index without a name, which counts or numbers the rows")
    return names, [name for name in shown if name not in names and name != label], notes


def _refuse_others(types: dict[str, Any], parts: Callable[[str], Any]) -> None:
    """Refuse columns of another type than numbers; `parts` gives the values of one, for an example."""

    def example(name: str) -> str:
        values = (value.as_py() for part in parts(name) for value in part if value.is_valid)
        found = next((one_line(str(value))[:40] for value in values), None)
        return "all missing" if found is None else f"for example {found!r}"

    refuse_text(
        [name for name, type_ in types.items() if kind_of(type_) == "text"],
        [name for name, type_ in types.items() if kind_of(type_) == "dates"],
        example,
    )


def pyarrow() -> Any:
    """The package, with what is used of it.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        for module in ("pyarrow.compute", "pyarrow.parquet"):
            import_module(module)
        return import_module("pyarrow")
    except ImportError as error:
        raise missing_extra(".parquet files need", "tables", error) from error


def _names(path: Path) -> list[str]:
    arrow = pyarrow()
    with readable(path), arrow.parquet.ParquetFile(path) as file:
        names: list[str] = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ContrastiveError(f"{path} has several columns called {twice!r}: give each a name of its own")
    return names


def read_named(path: Path, names: list[str]) -> Any:
    """The columns of these names, as pyarrow has them."""
    arrow = pyarrow()
    with readable(path), arrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
        frame = file.read(use_pandas_metadata=False).select(names)
        frame.validate(full=True)
        return frame


def _file(path: Path) -> Any:
    return pyarrow().parquet.ParquetFile(path, page_checksum_verification=True, buffer_size=_PAGE, pre_buffer=False)


def _batches(path: Path, names: list[str], rows: int) -> Iterator[Any]:
    """So many rows of some columns at once, whatever the row groups."""
    with readable(path):
        file = _file(path)
    with file:
        batches = file.iter_batches(rows, columns=names, use_pandas_metadata=False)
        while True:
            with readable(path):
                batch = next(batches, None)
                if batch is None:
                    return
                frame = pyarrow().Table.from_batches([batch]).select(names)
                frame.validate(full=True)
            yield frame


def kind_of(type_: Any) -> str:
    """Whether a column holds numbers, dates, or what is called text here: all else."""
    types = pyarrow().types
    if types.is_dictionary(type_):
        return kind_of(type_.value_type)
    if types.is_temporal(type_):
        return "dates"
    numeric = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return "numbers" if any(is_one(type_) for is_one in numeric) else "text"


def numbers_of(column: Any) -> NDArray[Any]:
    """Whole numbers as they are where none is missing, else float64 with NaN for missing."""
    arrow = pyarrow()
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
    types = pyarrow().types
    if kind_of(column.type) == "dates":
        raise ContrastiveError(f"labels must be whole numbers or words, got {column.type}")
    if types.is_decimal(column.type) or types.is_floating(column.type):
        return numbers_of(column)
    values = column.to_pylist()
    if any(not isinstance(value, str | int | None) for value in values):
        raise ContrastiveError(f"labels must be whole numbers or words, got {column.type}")
    whole = types.is_integer(column.type) and column.null_count == 0
    return column.to_numpy() if whole else np.array(values, dtype=object)
