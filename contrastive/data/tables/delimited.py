"""Tables from .csv and .tsv files: read rightly, or refused with the line."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import choose
from contrastive.data.tables.dialect import MISSING, NUMBER, Dialect, find_dialect
from contrastive.data.tables.numerals import WHOLE
from contrastive.data.tables.parsing import frames
from contrastive.data.tables.stream import TableStream
from contrastive.data.tables.survey import survey
from contrastive.data.tables.table import LostDigits, Table, stacked
from contrastive.data.tables.text import read_text
from contrastive.errors import ContrastiveError, warn

_TRUTHS = ("true", "false")
_INFINITE = ("inf", "infinity")
_BLOCK = 50_000  # rows at once, where a file is surveyed
_MISSING_WORDS = {word.casefold() for word in MISSING if word and word.isascii()}


def read_delimited(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    """The columns of numbers of a file, and that of the labels where one is named.

    Raises:
        ContrastiveError: if it cannot be read without doubt, or a column is unknown or not numeric.
    """
    text = read_text(path)
    dialect = find_dialect(text)
    names = choose(path, [name for name in dialect.header if name], wanted, label)
    (frame,) = frames(text, dialect, label)
    found = survey(text, dialect, names, lambda as_text: [frame], unnamed=wanted is None)
    arrays = found.arrays(frame)
    labels = None if label is None else _labels(path, frame[dialect.header.index(label)])
    LostDigits().say(arrays)
    found.notes.say()
    values = stacked(arrays)
    others = _others(dialect, names, label)
    return Table(values, names, labels, named=True, others=others, line=partial(text.line_of, dialect.separator))


def open_delimited(path: Path, wanted: list[str] | None, label: str | None) -> TableStream:
    """The columns of numbers of a file, to be read in blocks: by the same rules, in memory that does not grow with it.

    The whole file is read once here, since how a column is written may show late, and a damaged line had better be
    found before the work begins.

    Raises:
        ContrastiveError: as `read_delimited`.
    """
    text = read_text(path)
    dialect = find_dialect(text)
    names = choose(path, [name for name in dialect.header if name], wanted, label)
    found = survey(
        text,
        dialect,
        names,
        lambda as_text: frames(text, dialect, as_text=as_text, rows=_BLOCK),
        unnamed=wanted is None,
    )
    found.notes.say()
    as_text = {dialect.header.index(name) for name in found.marks}
    digits = LostDigits()

    def blocks(rows: int) -> Iterator[NDArray[np.float64]]:
        for frame in frames(text, dialect, as_text=as_text, rows=rows):
            arrays = found.arrays(frame)
            digits.say(arrays)
            yield stacked(arrays)

    return TableStream(names, found.rows, (len(names),), blocks, named=True, others=_others(dialect, names, label))


def delimited_names(path: Path) -> list[str]:
    """What `read_delimited` calls the columns.

    Raises:
        ContrastiveError: if the file cannot be read, or has no header.
    """
    return [name for name in find_dialect(read_text(path, whole=False)).header if name]


def _others(dialect: Dialect, names: list[str], label: str | None) -> list[str]:
    return [name for name in dialect.header if name and name not in names and name != label]


def _labels(path: Path, column: Any) -> NDArray[Any]:
    """Labels as numbers where all are, and else as words; an empty field is unlabelled.

    Raises:
        ContrastiveError: if a field goes on over lines, as where a quote is not closed.
    """
    import pandas as pd

    codes, different = pd.factorize(column.fillna(""))
    words = np.array([str(word).strip() for word in different], dtype=object)
    names = {word for word in words if word}
    if any("\n" in name or "\r" in name for name in names):
        raise ContrastiveError(f"{path}: a label goes on over several lines; is a quote not closed?")
    gaps = {name for name in names if name.casefold() in _MISSING_WORDS}
    numbers = {name for name in names if NUMBER.fullmatch(name)}
    if numbers and all(name.lower().lstrip("+-") in _INFINITE for name in names - numbers - gaps):
        if gaps:
            warn(f"{path}: labels are numbers, {', '.join(map(repr, sorted(gaps)))} among them is taken as unlabelled")
        return _numeric_labels([None if word in gaps else word or None for word in words])[codes]
    for name in sorted(gaps & {"NA", "NULL", "NaN", "nan"}):
        warn(f"{path}: {name!r} is taken as a class; leave the label empty where a row is unlabelled")
    if all(name.casefold() in _TRUTHS for name in names):
        words = np.array([word.capitalize() for word in words], dtype=object)
    return words[codes]


def _numeric_labels(values: list[str | None]) -> NDArray[Any]:
    """Whole numbers exactly, and fractions, which `encode` refuses, as float64."""
    if all(value is None or WHOLE.fullmatch(value) for value in values):
        whole = [None if value is None else int(value) for value in values]
        exact = all(value is not None and abs(value) < 2**63 for value in whole)
        return np.array(whole, dtype=np.int64 if exact else object)
    return np.array([np.nan if value is None else float(value) for value in values])
