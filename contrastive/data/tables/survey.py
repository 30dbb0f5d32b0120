"""What only all rows of a text file tell of its columns: how their numbers are written, and which to leave out."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import Notes, refuse_text
from contrastive.data.tables.dialect import Dialect
from contrastive.data.tables.numerals import Written, marks_of, numbers, written
from contrastive.data.tables.suspicions import counts_up
from contrastive.data.tables.text import Text
from contrastive.errors import ContrastiveError


@dataclass(frozen=True)
class Survey:
    """How the columns of a file are read, which only all of their values tell.

    Attributes:
        places: where each of the chosen columns stands.
        rows: how many there are.
        marks: between thousands, of each column that pandas reads as text.
        notes: what is to be said of the reading.
    """

    places: dict[str, int]
    rows: int
    marks: dict[str, tuple[str, ...]]
    notes: Notes

    def arrays(self, frame: Any) -> dict[str, NDArray[Any]]:
        """The chosen columns of some rows, as numbers."""
        return {
            name: numbers(frame[at], self.marks[name]) if name in self.marks else frame[at].to_numpy()
            for name, at in self.places.items()
        }


def survey(
    text: Text,
    dialect: Dialect,
    names: list[str],
    frames: Callable[[Collection[int]], Iterable[Any]],
    *,
    unnamed: bool,
) -> Survey:
    """Read the rows through once, and once more where columns are read as text.

    Args:
        text: the file.
        dialect: of the file.
        names: of the chosen columns.
        frames: gives all rows, in parts, with columns of these numbers as text.
        unnamed: whether columns without a name must be such that can be left out.

    Raises:
        ContrastiveError: if there are no rows, or naming columns that are not numeric, with a value and its line.
    """
    notes, places = Notes(text.path), {name: dialect.header.index(name) for name in names}
    without_name = {at: _Unnamed(at) for at, name in enumerate(dialect.header) if unnamed and not name}
    kinds: dict[int, set[str]] = {at: set() for at in places.values()}
    rows, dotted = 0, dialect.decimal == "."
    for frame in frames(()):
        rows += len(frame)
        for at, seen in kinds.items():
            seen.add("number" if frame[at].dtype.kind in "fiu" else frame[at].dtype.kind)
        dotted = dotted or (dialect.decimal is None and any(_has_fractions(frame[at]) for at in places.values()))
        for at, column in without_name.items():
            column.add(frame[at])
    _say_reading(text, dialect, notes)
    if rows == 0:
        raise ContrastiveError(f"{text.path} has a header and no rows")
    for column in without_name.values():
        notes.add(column.left_out(text.path))
    # A column of truths in one part and of numbers in another is text, as it is to pandas in one part.
    as_text = {at for at, seen in kinds.items() if seen not in ({"number"}, {"b"})}
    found = {name: written(dialect) for name, at in places.items() if at in as_text}
    start = 0
    for frame in frames(as_text) if as_text else ():
        for name in found:
            found[name].add(frame[places[name]], start)
        start += len(frame)
    return Survey(places, rows, _marks(text, dialect, found, notes, dotted=dotted), notes)


def _marks(
    text: Text, dialect: Dialect, found: dict[str, Written], notes: Notes, *, dotted: bool
) -> dict[str, tuple[str, ...]]:
    """The marks between thousands of each column of text.

    Raises:
        ContrastiveError: naming columns that are not numeric, with a value and its line.
    """
    marks = {name: marks_of(text, dialect, name, each, notes, dotted=dotted) for name, each in found.items()}
    words = [name for name, each in marks.items() if each is None]
    dates = [name for name in words if found[name].are_dates]
    refuse_text(
        [name for name in words if name not in dates],
        dates,
        lambda name: _example(text, dialect, *found[name].example),
    )
    return {name: each for name, each in marks.items() if each is not None}


def _say_reading(text: Text, dialect: Dialect, notes: Notes) -> None:
    if text.encoding == "cp1252":
        notes.add("it is not UTF-8, read as Windows-1252")
    marks = [] if dialect.expected or len(dialect.header) == 1 else [f"{dialect.shown} between columns"]
    if dialect.decimal == "," and dialect.separator != ",":
        marks.append("',' as the decimal mark")
    if marks:
        notes.add(f"read with {' and '.join(marks)}")


class _Unnamed:
    """A column without a name, of which the rows come in parts: does it count the rows, or is it empty?

    Args:
        at: where it stands, from 0.
    """

    def __init__(self, at: int) -> None:
        self._at, self._empty, self._counts = at, True, at == 0
        self._last: int | None = None

    def add(self, column: Any) -> None:
        """Take a part into account."""
        if not len(column):
            return
        self._empty = self._empty and bool(column.isna().all())
        self._counts = self._counts and column.dtype.kind in "iu" and counts_up(column.to_numpy())
        if self._counts:
            first = int(column.iloc[0])
            self._counts = first in (0, 1) if self._last is None else first == self._last + 1
            self._last = int(column.iloc[-1])

    def left_out(self, path: Path) -> str:
        """What is said of leaving it out.

        Raises:
            ContrastiveError: if it holds something else.
        """
        if self._empty:
            return f"left out column {self._at + 1}, which has no name and no values"
        if self._counts:
            return "left out the first column, which has no name and counts the rows"
        raise ContrastiveError(
            f"{path}: column {self._at + 1} has no name in the header, and does not count the rows: name it, or say "
            "which columns to take with --columns"
        )


def _has_fractions(column: Any) -> bool:
    if column.dtype.kind != "f":
        return False
    values = column.to_numpy()
    values = values[np.isfinite(values)]
    return bool(np.any(values != np.round(values)))


def _example(text: Text, dialect: Dialect, row: int, value: str) -> str:
    value = " ".join(value.split())
    shown = value if len(value) <= 40 else f"{value[:40]}..."
    return f"line {text.line_of(dialect.separator, row)} has {shown!r}"
