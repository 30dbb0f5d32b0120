"""Numbers as text: which ways of writing them the values of a column allow, and what the values are."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import Notes
from contrastive.data.tables.dialect import (
    BY_COMMAS,
    BY_DOTS,
    BY_SPACES,
    COMMA_NUMBER,
    NUMBER,
    Dialect,
    two_meanings,
)
from contrastive.data.tables.text import Text

_KINDS = (NUMBER, COMMA_NUMBER, BY_DOTS, BY_COMMAS, BY_SPACES)
_DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}:\d{2}(:\d{2})?)\b.*")
_SPACES = re.compile("[ \u00a0\u202f']")
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


@dataclass
class Written:
    """What the values of a column of text have in common; they can come in parts.

    Attributes:
        number: what a number looks like by the file's decimal mark.
        kinds: the ways of writing numbers that every value so far allows.
        dots: whether a value has a dot in it.
        spaces: whether a value has a space or an apostrophe in it.
        with_comma: the first value with a comma.
        two_commas: whether a value has several.
        first: row and text of the first value.
        first_other: row and text of the first value that is no `number`.
        dates: whether all those are dates.
    """

    number: re.Pattern[str]
    kinds: set[re.Pattern[str]] = field(default_factory=lambda: set(_KINDS))
    dots: bool = False
    spaces: bool = False
    with_comma: str | None = None
    two_commas: bool = False
    first: tuple[int, str] | None = None
    first_other: tuple[int, str] | None = None
    dates: bool = True

    def add(self, column: Any, start: int) -> None:
        """Take the values of a part of the column, whose first row is `start`, into account."""
        present = column.dropna().astype(str)
        if not len(present):
            return
        self.kinds = {kind for kind in self.kinds if present.str.fullmatch(kind).all()}
        self.dots = self.dots or bool(present.str.contains(".", regex=False).any())
        self.spaces = self.spaces or bool(present.str.contains(_SPACES).any())
        commas = present.str.count(",")
        self.two_commas = self.two_commas or bool(commas.max() > 1)
        if self.with_comma is None and commas.any():
            self.with_comma = present[commas > 0].iloc[0]
        self.first = self.first or (start + int(present.index[0]), present.iloc[0])
        others = present[~present.str.fullmatch(self.number)]
        if len(others):
            self.first_other = self.first_other or (start + int(others.index[0]), others.iloc[0])
            self.dates = self.dates and bool(others.map(lambda value: bool(_DATE.fullmatch(value))).all())

    @property
    def are_dates(self) -> bool:
        """Whether the values that are no numbers are dates."""
        return self.first_other is not None and self.dates

    @property
    def example(self) -> tuple[int, str]:
        """Row and text of a value that shows why the column holds no numbers."""
        found = self.first_other or self.first
        assert found is not None
        return found


def written(dialect: Dialect) -> Written:
    """Of a column of which no value has been seen."""
    return Written(COMMA_NUMBER if dialect.decimal == "," else NUMBER)


def marks_of(
    text: Text, dialect: Dialect, name: str, found: Written, notes: Notes, *, dotted: bool
) -> tuple[str, ...] | None:
    """The marks between thousands, to be taken out of each value, where all values are numbers with one meaning.

    Args:
        text: the file.
        dialect: of the file.
        name: of the column.
        found: what its values have in common.
        notes: take up how they were read, where that is not plain.
        dotted: whether the file's decimal mark is known to be ".".

    Returns:
        The marks; None where some value is no number.

    Raises:
        ContrastiveError: if a number can be whole or a fraction.
    """

    def read(how: str, *marks: str) -> tuple[str, ...]:
        notes.add(f"read {name!r} with {how}")
        return marks

    if NUMBER in found.kinds:
        return ()
    if dialect.decimal == ",":
        if COMMA_NUMBER in found.kinds and dialect.separator == ",":
            return read("',' as the decimal mark")
        if BY_DOTS in found.kinds:
            return read("'.' between thousands", ".")
    elif BY_COMMAS in found.kinds:
        if not (dotted or found.two_commas or found.dots or dialect.separator == ","):
            assert found.with_comma is not None
            raise two_meanings(text, name, found.with_comma)
        return read("',' between thousands", ",")
    elif not dotted and COMMA_NUMBER in found.kinds:
        return read("',' as the decimal mark")
    elif not dotted and BY_DOTS in found.kinds:
        return read("'.' between thousands", ".")
    other_mark = found.dots if dialect.decimal == "," else found.with_comma is not None if dotted else False
    if len(dialect.header) > 1 and found.spaces and not other_mark and BY_SPACES in found.kinds:
        return read("spaces between thousands", " ", "\u00a0", "\u202f", "'")  # in one column they may be separators
    return None


def numbers(column: Any, marks: tuple[str, ...]) -> NDArray[Any]:
    """The values of a column of text as float64, NaN where missing; whole ones as such, to notice lost digits."""
    plain = column.dropna().astype(str)
    for mark in marks:
        plain = plain.str.replace(mark, "", regex=False)
    plain = plain.str.replace(",", ".", regex=False)
    if len(plain) == len(column) and all(map(WHOLE.fullmatch, plain)):
        whole = [int(value) for value in plain]
        return np.array(whole, dtype=np.int64 if max(map(abs, whole), default=0) < 2**63 else object)
    array = np.full(len(column), np.nan)
    array[plain.index.to_numpy()] = [float(value) for value in plain]
    return array
