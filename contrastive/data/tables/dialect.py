"""What separates the columns of a text file, and how its numbers are written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contrastive.data.tables.text import Text
from contrastive.errors import ContrastiveError

_SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'"}
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
COMMA_NUMBER = re.compile(r"\s*[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?\s*", re.ASCII)
#: Digits in groups of three. A number that starts with 0 is none.
BY_COMMAS = re.compile(r"\s*[+-]?([1-9]\d{0,2}(,\d{3})*|0)(\.\d+)?\s*", re.ASCII)
BY_DOTS = re.compile(r"\s*[+-]?([1-9]\d{0,2}(\.\d{3})*|0)(,\d+)?\s*", re.ASCII)
BY_SPACES = re.compile(r"\s*[+-]?([1-9]\d{0,2}([ \u00a0\u202f']\d{3})*|0)([.,]\d+)?\s*", re.ASCII)
MISSING: tuple[str, ...] = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
)
MISSING += ("NA", "NULL", "NaN", "None", "n/a", "nan", "null")
_LONGEST_NAME = 300
_WORDS = {"inf", "+inf", "-inf", "infinity", "true", "false"}


@dataclass(frozen=True)
class Dialect:
    """How a file is split and its numbers are written.

    Attributes:
        separator: between columns.
        decimal: the decimal mark that its numbers show, "." or ","; None where they show none.
        header: names of the columns, without spaces around them.
        expected: whether the separator is the one that the file's name promises.
    """

    separator: str
    decimal: str | None
    header: list[str]
    expected: bool

    @property
    def shown(self) -> str:
        """The separator in words."""
        return _SEPARATORS[self.separator]


def find_dialect(text: Text) -> Dialect:
    """The separator that splits header and first rows alike, and the decimal mark of these rows.

    Raises:
        ContrastiveError: if there are no rows or no header, or several readings are as good.
    """
    usual = "\t" if ".tsv" in text.path.name.lower() else ","
    separator = _separator(text, usual)
    records = text.sampled(separator)
    if not records:
        raise ContrastiveError(f"{text.path} has no rows")
    header, rows = records[0], records[1:]
    _require_header(text, header, rows)
    return Dialect(separator, _decimal(text, separator, header, rows), [_name(x) for x in header], separator == usual)


def is_number(field: str) -> bool:
    """Whether a field is a number in any of the ways that are understood, or missing."""
    field = field.strip()
    plain = field in MISSING or field.lower() in _WORDS
    return plain or any(kind.fullmatch(field) for kind in (NUMBER, COMMA_NUMBER, BY_COMMAS, BY_DOTS))


def two_meanings(text: Text, name: str, value: str) -> ContrastiveError:
    """What is said of a number whose mark can be that of decimals or of thousands."""
    return ContrastiveError(
        f"{text.path}: {value.strip()!r} in column {name.strip()!r} can be a whole number with its thousands set "
        "apart, or a fraction; write it without a mark between thousands, and '.' as the decimal mark"
    )


def _separator(text: Text, usual: str) -> str:
    """Of the separators that split header and rows alike, the one that leaves most columns of numbers."""
    even = {}
    for separator in _SEPARATORS:
        records = text.sampled(separator)
        if records and len(records[0]) > 1:
            even[separator] = records if len({len(record) for record in records}) == 1 else None
    able = {separator: records for separator, records in even.items() if records is not None}
    if not able:  # one column, or rows that will be refused for the number of their fields
        return usual if usual in even or not even else next(iter(even))
    if len(able) == 1:
        return next(iter(able))
    scores = {separator: _numeric(records) for separator, records in able.items()}
    best = [separator for separator, score in scores.items() if score == max(scores.values())]
    if len(best) == 1 or (usual in best and scores[usual] == (0.0, 0)):
        return best[0] if len(best) == 1 else usual
    shown = " or ".join(_SEPARATORS[separator] for separator in best)
    raise ContrastiveError(
        f"{text.path}: it cannot be told whether {shown} is between its columns; save it with commas between columns "
        "and '.' as the decimal mark"
    )


def _numeric(records: Sequence[Sequence[str]]) -> tuple[float, int]:
    """The share and the number of columns of numbers."""
    columns = list(zip(*records[1:]))
    count = sum(all(is_number(field) for field in column) for column in columns)
    return (count / len(columns) if columns else 0.0), count


def _require_header(text: Text, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Refuse a first line that is a row: numbers above all columns of numbers, and words of rows above the others."""
    if max(map(len, header)) > _LONGEST_NAME:
        length = max(map(len, header))
        raise ContrastiveError(f"{text.path} has no header of names: its first line has one of {length:,} characters")
    index = header[0].strip() == ""  # pandas writes an index without a name, and numbers columns without names
    names = header[1:] if index else header
    if index and [name.strip() for name in names] == [str(i) for i in range(len(names))] and names:
        return
    columns = list(zip(*(row for row in rows if len(row) == len(header)))) or [()] * len(header)
    numbers = [NUMBER.fullmatch(name) or COMMA_NUMBER.fullmatch(name) for name in header]
    repeated = [name in column for name, column in zip(header, columns)]
    if any(numbers) and all(number or again for number, again in zip(numbers, repeated)):
        raise ContrastiveError(
            f"{text.path} has no header: its first line holds numbers ({', '.join(header)[:60]}); put a line with a "
            "name for each column above it"
        )
    for name in {_name(name) for name in header} - {""}:
        at = [str(i) for i, other in enumerate(header, 1) if _name(other) == name]
        if len(at) > 1:
            raise ContrastiveError(
                f"{text.path} has several columns called {name!r} ({', '.join(at)}): give each a name of its own"
            )


def _decimal(text: Text, separator: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """The decimal mark that no other reading of some number allows."""
    fields = [[field for field in column if field.strip()] for column in zip(*rows)]
    columns = [column for column in fields if column and all(is_number(field) for field in column)]
    comma = any(_means_comma(field) for column in columns for field in column)
    dot = any(_means_dot(field) for column in columns for field in column)
    # Where ',' may be the decimal mark, as between quotes or beside ';', "46.072" may be a whole number.
    if not dot and (separator, comma) in ((";", False), (",", True)):
        for name, column in zip(header, ([field for field in each if field.strip() not in MISSING] for each in fields)):
            grouped = [field for field in column if "." in field]
            if grouped and all(BY_DOTS.fullmatch(field) for field in column):
                raise two_meanings(text, name, grouped[0])
    return "," if comma and not dot else "." if dot else None


def _means_comma(field: str) -> bool:
    if "," not in field:
        return False
    return bool(COMMA_NUMBER.fullmatch(field) and not BY_COMMAS.fullmatch(field)) or (
        "." in field and bool(BY_DOTS.fullmatch(field)) and not BY_COMMAS.fullmatch(field)
    )


def _means_dot(field: str) -> bool:
    if "." not in field:
        return False
    return bool(NUMBER.fullmatch(field) and not BY_DOTS.fullmatch(field)) or (
        "," in field and bool(BY_COMMAS.fullmatch(field)) and not BY_DOTS.fullmatch(field)
    )


def _name(field: str) -> str:
    return " ".join(field.strip().splitlines())
