"""Columns as they are: numbers, words, truths and dates, with their gaps; nothing is left out and nothing refused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables import parquet
from contrastive.data.tables.columns import Notes, choose, pick
from contrastive.data.tables.delimited import delimited_names
from contrastive.data.tables.dialect import Dialect, find_dialect
from contrastive.data.tables.frames import frame_column, frame_names, is_frame
from contrastive.data.tables.numerals import marks_of, numbers, written
from contrastive.data.tables.parsing import frames
from contrastive.data.tables.reading import has_named_columns, is_table, read_table
from contrastive.data.tables.table import from_array
from contrastive.data.tables.text import Text, read_text
from contrastive.data.unreadable import readable, require_file
from contrastive.errors import ContrastiveError

_TRUTHS = {"true", "false"}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")


@dataclass(frozen=True)
class RawColumn:
    """The values of a column.

    Attributes:
        values: float64 with NaN where missing, or words with None.
        holds: "numbers", "words", "truths" (0 and 1) or "dates" (days since 1970-01-01).
    """

    values: NDArray[Any]
    holds: Literal["numbers", "words", "truths", "dates"] = "numbers"

    @property
    def is_text(self) -> bool:
        """Whether the values are words."""
        return self.holds == "words"

    def words(self) -> list[str | None]:
        """The values as words; whole numbers without a point."""
        if self.is_text:
            return list(self.values)
        return [None if np.isnan(value) else f"{value:.15g}" for value in self.values]


@dataclass(frozen=True)
class RawTable:
    """Columns by name, of one length.

    Attributes:
        columns: in order.
        labels: the column of labels as it was read, where one was named.
        named: whether the names are the data's own.
        others: columns that are there and left out.
    """

    columns: dict[str, RawColumn]
    labels: NDArray[Any] | None
    named: bool
    others: list[str]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())).values)


def is_raw_table(data: Any) -> bool:
    """Whether `raw_table` reads it."""
    if isinstance(data, str | Path):
        return is_table(data)
    return is_frame(data) or isinstance(data, list | tuple) or (isinstance(data, np.ndarray) and data.ndim <= 2)


def raw_table(data: Any, columns: Sequence[str] | None = None, label: str | None = None) -> RawTable:
    """The columns of a table as they are.

    Args:
        data: path of a .csv, .tsv or .parquet file, a data frame, or an array of numbers.
        columns: names of those to keep, in this order; all but the labels unless told.
        label: column of labels.

    Raises:
        ContrastiveError: if it cannot be read, or a column is not there.
    """
    if isinstance(data, str | Path) and has_named_columns(data):
        path = Path(data)
        require_file(path)
        table = (_of_parquet if path.suffix.lower() == ".parquet" else _of_text)(path, columns, label)
    elif is_frame(data):
        table = _of_frame(data, columns, label)
    else:
        found = read_table(data, columns, label) if isinstance(data, str | Path) else from_array(data)
        if found.values.ndim != 2:
            raise ContrastiveError(f"rows of shape {found.values.shape[1:]} are no rows of a table")
        arrays = dict(zip(found.columns, found.values.T))
        wanted = None if isinstance(data, str | Path) else columns
        names = found.columns if wanted is None else list(wanted)
        pick(found.columns, names, "the array")
        table = RawTable({name: RawColumn(arrays[name]) for name in names}, found.labels, False, [])
    if not len(table):
        raise ContrastiveError("the table has no rows")
    return table


def _of_text(path: Path, wanted: Sequence[str] | None, label: str | None) -> RawTable:
    text = read_text(path)
    dialect = find_dialect(text)
    names = choose(path, delimited_names(path), None if wanted is None else list(wanted), label)
    (frame,) = frames(text, dialect, label)
    notes = Notes(path)
    columns = {name: _of_field(text, dialect, name, frame[dialect.header.index(name)], notes) for name in names}
    notes.say()
    labels = None
    if label is not None:
        labels = frame[dialect.header.index(label)].fillna("").astype(str).to_numpy(dtype=object)
    return RawTable(columns, labels, True, [name for name in dialect.header if name and name not in (*names, label)])


def _of_field(text: Text, dialect: Dialect, name: str, column: Any, notes: Notes) -> RawColumn:
    if column.dtype.kind in "iuf":
        return RawColumn(column.to_numpy().astype(np.float64))
    if column.dtype.kind == "b":
        return RawColumn(column.to_numpy().astype(np.float64), "truths")
    found = written(dialect)
    found.add(column, 0)
    marks = marks_of(text, dialect, name, found, notes, dotted=dialect.decimal != ",")
    if marks is not None:
        return RawColumn(numbers(column, marks).astype(np.float64))
    return of_words(column.where(column.notna(), None).tolist())


def _days(words: list[str | None]) -> NDArray[np.float64] | None:
    """Words as days since 1970-01-01, NaN where missing; None where one is no date, as 2020-01-31 or with a time."""
    if not all(word is None or _DATE.fullmatch(word) for word in words):
        return None
    try:
        return _since_1970(np.array([np.datetime64("NaT") if word is None else np.datetime64(word) for word in words]))
    except ValueError:  # such as the 31st of February
        return None


def _since_1970(dates: NDArray[Any]) -> NDArray[np.float64]:
    gone = np.isnat(dates)
    days = dates.astype("datetime64[us]").astype(np.int64) / 86_400e6
    return np.where(gone, np.nan, days)


def of_words(values: Sequence[Any]) -> RawColumn:
    """A column of Python's values, of which some are words: truths or dates if all are; None and NaN are missing."""
    kept = [None if value is None or value != value else value for value in values]
    words = [None if value is None else " ".join(str(value).split()) for value in kept]
    if all(word is None or word.casefold() in _TRUTHS for word in words) and any(word is not None for word in words):
        return RawColumn(
            np.array([np.nan if word is None else float(word.casefold() == "true") for word in words]), "truths"
        )
    if any(word is not None for word in words) and (days := _days(words)) is not None:
        return RawColumn(days, "dates")
    array = np.empty(len(words), dtype=object)
    array[:] = words
    return RawColumn(array, "words")


def _of_frame(frame: Any, wanted: Sequence[str] | None, label: str | None) -> RawTable:
    names, kept = frame_names(frame, wanted, label)
    columns = {name: _of_series(frame_column(frame, names.index(name))) for name in kept}
    labels = None if label is None else np.asarray(frame_column(frame, names.index(label)).to_numpy())
    return RawTable(columns, labels, True, [name for name in names if name not in (*kept, label)])


def _of_series(column: Any) -> RawColumn:
    """A column of pandas, polars or pyarrow."""
    if hasattr(column, "iloc") and getattr(column.dtype, "kind", "O") in "fiub":
        kind = column.dtype.kind
        array = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        return RawColumn(array, "truths" if kind == "b" else "numbers")
    array = np.asarray(column.to_numpy())
    if array.dtype.kind in "fiu":
        return RawColumn(array.astype(np.float64))
    if array.dtype.kind == "b":
        return RawColumn(array.astype(np.float64), "truths")
    if array.dtype.kind == "M":
        return RawColumn(_since_1970(array), "dates")
    return _of_objects(array.tolist())


def _of_objects(values: list[Any]) -> RawColumn:
    kept = [None if value is None or type(value).__name__ in ("NAType", "NaTType") else value for value in values]
    plain = [value for value in kept if value is not None and value == value]
    if plain and all(isinstance(value, int | float) and not isinstance(value, bool) for value in plain):
        return RawColumn(np.array([np.nan if value is None else float(value) for value in kept]))
    if plain and all(hasattr(value, "isoformat") for value in plain):
        return RawColumn(
            _since_1970(np.array([None if v is None else str(v) for v in kept], dtype="datetime64[us]")), "dates"
        )
    return of_words(kept)


def _of_parquet(path: Path, wanted: Sequence[str] | None, label: str | None) -> RawTable:
    names = choose(path, parquet.parquet_names(path), None if wanted is None else list(wanted), label)
    with readable(path):
        frame = parquet.read_named(path, [*names, *([label] if label is not None else [])])
        columns = {name: _of_arrow(frame.column(name)) for name in names}
        labels = None if label is None else np.array(frame.column(label).to_pylist(), dtype=object)
    others = [name for name in parquet.parquet_names(path) if name not in (*names, label)]
    return RawTable(columns, labels, True, others)


def _of_arrow(column: Any) -> RawColumn:
    kind = parquet.kind_of(column.type)
    if kind == "numbers":
        truths = parquet.pyarrow().types.is_boolean(column.type)
        return RawColumn(parquet.numbers_of(column).astype(np.float64), "truths" if truths else "numbers")
    if kind == "dates":
        arrow = parquet.pyarrow()
        return RawColumn(
            _since_1970(column.cast(arrow.timestamp("us"), safe=False).to_numpy().astype("datetime64[us]")), "dates"
        )
    return _of_objects(column.to_pylist())
