"""pandas' reading of a text file, whole or in parts of rows, and the lines that it cannot read."""

import csv
import warnings
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from contrastive.data.tables.dialect import MISSING, NUMBER, Dialect
from contrastive.data.tables.text import Text
from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError


def frames(
    text: Text, dialect: Dialect, label: str | None = None, *, as_text: Collection[int] = (), rows: int | None = None
) -> Iterator[Any]:
    """pandas' reading, with rows and columns numbered from 0 in each part; the labels, and columns `as_text`, as text.

    Args:
        text: the file.
        dialect: of the file.
        label: name of the column of labels.
        as_text: numbers of columns.
        rows: of a part; by default there is one part.

    Raises:
        ContrastiveError: naming the first line of more or fewer fields than the header.
    """
    import pandas as pd  # half a second, needed only here

    fields, even = len(dialect.header), False
    _require_even(text, dialect, text.sampled(dialect.separator)[:2])
    # By its name pandas reads a file in pieces at once, for which no line may end within quotes.
    pieces = not text.quotes and text.path.suffix.lower() in (".csv", ".tsv")
    with ExitStack() as opened:
        handle = opened.enter_context(text.open_bytes())
        with _parsing(text, dialect):
            # Told to take no index and names of its own, pandas shifts no columns and renames none.
            parsed: Any = pd.read_csv(
                text.path if pieces else handle,
                sep=dialect.separator,
                encoding=text.encoding,
                header=0,
                names=list(range(fields)),
                index_col=False,
                chunksize=rows,
                **_options(dialect, label, as_text),
            )
        parts = iter([parsed] if rows is None else opened.enter_context(parsed))
        while True:
            with _parsing(text, dialect):
                frame = next(parts, None)
            if frame is None:
                return
            # pandas fills short rows up, which leaves the last column without a value.
            if not even and len(frame) and ((last := frame[fields - 1]).isna() | (last == "")).any():
                _require_even(text, dialect)
                even = True
            yield frame.reset_index(drop=True)


def _options(dialect: Dialect, label: str | None, as_text: Collection[int]) -> dict[str, Any]:
    """Of pandas' reader: which columns are text, what is missing, and the decimal mark."""
    options: dict[str, Any] = {"dtype": dict.fromkeys(as_text, str)} if as_text else {}
    if label is not None:  # the words NA and None can be classes
        at = dialect.header.index(label)
        options = {
            "dtype": {at: str},
            "keep_default_na": False,
            "na_values": {i: list(MISSING) for i in range(len(dialect.header)) if i != at},
        }
    if dialect.decimal == "," and dialect.separator != ",":
        options["decimal"] = ","
    return options


@contextmanager
def _parsing(text: Text, dialect: Dialect) -> Iterator[None]:
    """Around a step of pandas' reader: its warnings are silenced, and the line of an error is found."""
    import pandas as pd

    with readable(text.path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except pd.errors.ParserError:
            _require_even(text, dialect)
            _refuse_open_quote(text, dialect)
            raise


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
