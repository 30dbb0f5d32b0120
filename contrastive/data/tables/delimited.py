"""Tables from .csv and .tsv files: read rightly, or refused with the line."""

import csv
import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import Notes, choose, refuse_text
from contrastive.data.tables.dialect import (
    BY_COMMAS,
    BY_DOTS,
    BY_SPACES,
    COMMA_NUMBER,
    MISSING,
    NUMBER,
    Dialect,
    find_dialect,
    two_meanings,
)
from contrastive.data.tables.suspicions import counts_up
from contrastive.data.tables.table import Table, say_lost_digits
from contrastive.data.tables.text import Text, read_text
from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError, warn

_DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}:\d{2}(:\d{2})?)\b.*")
_WHOLE, _TRUTHS = re.compile(r"[+-]?\d+", re.ASCII), ("true", "false")
_SPACES = re.compile("[ \u00a0\u202f']")
_INFINITE = ("inf", "infinity")
_MISSING_WORDS = {word.casefold() for word in MISSING if word and word.isascii()}


def read_delimited(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    """The columns of numbers of a file, and that of the labels where one is named.

    Raises:
        ContrastiveError: if it cannot be read without doubt, or a column is unknown or not numeric.
    """
    text = read_text(path)
    dialect = find_dialect(text)
    header, notes = dialect.header, Notes(path)
    names = choose(path, [name for name in header if name], wanted, label)
    frame = _frame(text, dialect, label)
    _say_reading(text, dialect, notes)
    if len(frame) == 0:
        raise ContrastiveError(f"{path} has a header and no rows")
    if wanted is None:
        _leave_out_unnamed(path, header, frame, notes)
    columns = {name: frame[header.index(name)] for name in names}
    arrays = _numbers(text, dialect, columns, notes)
    labels = None if label is None else _labels(path, frame[header.index(label)])
    whole = [name for name in names if arrays[name].dtype.kind in "iuO"]
    say_lost_digits([arrays[name] for name in whole], whole)
    notes.say()
    values = np.empty((len(frame), len(names)))
    for at, name in enumerate(names):
        values[:, at] = arrays[name]
    others = [name for name in header if name and name not in names and name != label]
    return Table(values, names, labels, named=True, others=others, line=partial(text.line_of, dialect.separator))


def delimited_names(path: Path) -> list[str]:
    """What `read_delimited` calls the columns.

    Raises:
        ContrastiveError: if the file cannot be read, or has no header.
    """
    return [name for name in find_dialect(read_text(path, whole=False)).header if name]


def _frame(text: Text, dialect: Dialect, label: str | None) -> Any:
    """pandas' reading, with columns numbered from 0; the labels as text.

    Raises:
        ContrastiveError: naming the first line of more or fewer fields than the header.
    """
    import pandas as pd  # half a second, needed only here

    fields = len(dialect.header)
    _require_even(text, dialect, text.sampled(dialect.separator)[:2])
    options: dict[str, Any] = {}
    if label is not None:  # the words NA and None can be classes
        at = dialect.header.index(label)
        options = {
            "dtype": {at: str},
            "keep_default_na": False,
            "na_values": {i: list(MISSING) for i in range(fields) if i != at},
        }
    if dialect.decimal == "," and dialect.separator != ",":
        options["decimal"] = ","
    with readable(text.path), warnings.catch_warnings(), text.open_bytes() as handle:
        warnings.simplefilter("ignore")
        # By its name pandas reads a file in pieces at once, for which no line may end within quotes.
        pieces = not text.quotes and text.path.suffix.lower() in (".csv", ".tsv")
        try:
            # Told to take no index and names of its own, pandas shifts no columns and renames none.
            frame = pd.read_csv(
                text.path if pieces else handle,
                sep=dialect.separator,
                encoding=text.encoding,
                header=0,
                names=list(range(fields)),
                index_col=False,
                **options,
            )
        except pd.errors.ParserError:
            _require_even(text, dialect)
            _refuse_open_quote(text, dialect)
            raise
    # pandas fills short rows up, which leaves the last column without a value.
    if len(frame) and ((last := frame[fields - 1]).isna() | (last == "")).any():
        _require_even(text, dialect)
    return frame


def _require_even(text: Text, dialect: Dialect, sample: list[list[str]] | None = None) -> None:
    """Refuse a record of more or fewer fields than the header; of `sample`, where given, else of the whole file."""
    fields = len(dialect.header)
    if sample is not None and all(len(record) == fields for record in sample):
        return
    try:
        found = text.uneven(dialect.separator, fields)
    except (csv.Error, UnicodeError) as error:
        raise ContrastiveError(f"cannot read {text.path}: {error}; is a quote not closed?") from error
    if found is None:
        return
    line, record = found
    raise ContrastiveError(
        f"{text.path}, line {line}: {len(record)} fields, but the header has {fields}{_why(text, dialect, record)}"
    )


def _refuse_open_quote(text: Text, dialect: Dialect) -> None:
    """Refuse a last record that goes on to the end of the file because a quote is open."""
    last = max(text.records(dialect.separator), key=lambda found: found[0])
    if any("\n" in field or "\r" in field for field in last[1]):
        raise ContrastiveError(f"{text.path}, line {last[0]}: a quote that opens there is not closed")


def _why(text: Text, dialect: Dialect, record: list[str]) -> str:
    """The likely cause of a record of another length, and what to do."""
    fields = len(dialect.header)
    if any("\n" in field or "\r" in field for field in record):
        return "; a quote that opens there is not closed"
    if dialect.separator == "," and fields < len(record) <= 2 * fields and all(map(NUMBER.fullmatch, record)):
        if len(record) == 2 * fields:
            return (
                "; twice as many, as where ',' is also the decimal mark: save it with '.' as the decimal mark or ';' "
                "between columns"
            )
        return (
            "; a name may be missing in the header, as for a column that counts the rows, or ',' is also the decimal "
            "mark: save it with '.'"
        )
    if dialect.header[0].startswith("#"):
        return "; remove the lines above the header"
    if len(record) > fields:
        return f"; put a value with {dialect.shown} in it in double quotes, or name the surplus in the header"
    return "; fill the row up, with nothing between separators where a value is missing, or remove the line"


def _say_reading(text: Text, dialect: Dialect, notes: Notes) -> None:
    if text.encoding == "cp1252":
        notes.add("it is not UTF-8, read as Windows-1252")
    marks = [] if dialect.expected or len(dialect.header) == 1 else [f"{dialect.shown} between columns"]
    if dialect.decimal == "," and dialect.separator != ",":
        marks.append("',' as the decimal mark")
    if marks:
        notes.add(f"read with {' and '.join(marks)}")


def _leave_out_unnamed(path: Path, header: list[str], frame: Any, notes: Notes) -> None:
    """Say of columns without a name that count the rows or are empty that they are left out, and refuse others."""
    for at, name in enumerate(header):
        if name:
            continue
        column = frame[at]
        if column.isna().all():
            notes.add(f"left out column {at + 1}, which has no name and no values")
        elif at == 0 and column.dtype.kind in "iu" and column.iloc[0] in (0, 1) and counts_up(column.to_numpy()):
            notes.add("left out the first column, which has no name and counts the rows")
        else:
            raise ContrastiveError(
                f"{path}: column {at + 1} has no name in the header, and does not count the rows: name it, or say "
                "which columns to take with --columns"
            )


def _numbers(text: Text, dialect: Dialect, columns: dict[str, Any], notes: Notes) -> dict[str, NDArray[Any]]:
    """Each column as numbers; text is understood where every value of the column is a number with other marks.

    Raises:
        ContrastiveError: naming columns that are not numeric, with a value and its line.
    """
    arrays: dict[str, Any] = {}
    words: dict[str, int] = {}  # by column, the row of the first value that is no number
    dates = []
    dotted = dialect.decimal == "." or (dialect.decimal is None and any(map(_has_fractions, columns.values())))
    for name, column in columns.items():
        if column.dtype.kind in "fiub":
            arrays[name] = column.to_numpy()
            continue
        present = column.dropna().astype(str)
        plain = _plain(text, dialect, name, present, notes, dotted=dotted)
        if plain is None:
            bad = present[~present.str.fullmatch(COMMA_NUMBER if dialect.decimal == "," else NUMBER)]
            words[name] = int((bad if len(bad) else present).index[0])
            if bad.map(lambda value: bool(_DATE.fullmatch(value))).all() and len(bad):
                dates.append(name)
        else:
            arrays[name] = _floats(plain, len(column))
    refuse_text(
        [name for name in words if name not in dates],
        dates,
        lambda name: _example(text, dialect, columns[name], words[name]),
    )
    return arrays


def _plain(text: Text, dialect: Dialect, name: str, present: Any, notes: Notes, *, dotted: bool) -> Any:
    """The values written as Python does, where all are numbers with one meaning; else None."""

    def all_are(kind: re.Pattern[str]) -> bool:
        return bool(present.str.fullmatch(kind).all())

    def cleared(*marks: str) -> Any:
        plain = present
        for mark in marks:
            plain = plain.str.replace(mark, "", regex=False)
        return plain.str.replace(",", ".", regex=False)

    if all_are(NUMBER):
        return present
    if dialect.decimal == ",":
        if all_are(COMMA_NUMBER) and dialect.separator == ",":
            notes.add(f"read {name!r} with ',' as the decimal mark")
            return cleared()
        if all_are(BY_DOTS):
            notes.add(f"read {name!r} with '.' between thousands")
            return cleared(".")
    elif all_are(BY_COMMAS):
        several = present.str.count(",").max() > 1 or present.str.contains(".", regex=False).any()
        if not (dotted or several or dialect.separator == ","):
            raise two_meanings(text, name, present[present.str.contains(",")].iloc[0])
        notes.add(f"read {name!r} with ',' between thousands")
        return cleared(",")
    elif not dotted and all_are(COMMA_NUMBER):
        notes.add(f"read {name!r} with ',' as the decimal mark")
        return cleared()
    elif not dotted and all_are(BY_DOTS):
        notes.add(f"read {name!r} with '.' between thousands")
        return cleared(".")
    wrong = "." if dialect.decimal == "," else "," if dotted else None
    spaced = present.str.contains(_SPACES).any() and not (wrong and present.str.contains(wrong, regex=False).any())
    if len(dialect.header) > 1 and spaced and all_are(BY_SPACES):  # in one column they may be separators
        notes.add(f"read {name!r} with spaces between thousands")
        return cleared(" ", "\u00a0", "\u202f", "'")
    return None


def _floats(plain: Any, rows: int) -> NDArray[Any]:
    """Numbers at their rows, NaN elsewhere; whole numbers as such, so that lost digits are noticed."""
    if len(plain) == rows and all(map(_WHOLE.fullmatch, plain)):
        whole = [int(value) for value in plain]
        return np.array(whole, dtype=np.int64 if max(map(abs, whole)) < 2**63 else object)
    array = np.full(rows, np.nan)
    array[plain.index.to_numpy()] = [float(value) for value in plain]
    return array


def _has_fractions(column: Any) -> bool:
    if column.dtype.kind != "f":
        return False
    values = column.to_numpy()
    values = values[np.isfinite(values)]
    return bool(np.any(values != np.round(values)))


def _example(text: Text, dialect: Dialect, column: Any, row: int) -> str:
    value = " ".join(str(column.iloc[row]).split())
    shown = value if len(value) <= 40 else f"{value[:40]}..."
    return f"line {text.line_of(dialect.separator, row)} has {shown!r}"


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
    if all(value is None or _WHOLE.fullmatch(value) for value in values):
        whole = [None if value is None else int(value) for value in values]
        exact = all(value is not None and abs(value) < 2**63 for value in whole)
        return np.array(whole, dtype=np.int64 if exact else object)
    return np.array([np.nan if value is None else float(value) for value in values])
