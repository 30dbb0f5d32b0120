"""A text file of a table: its encoding, its lines, and the records on them."""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MARKS: tuple[tuple[bytes, str], ...] = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
_MARKS += ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHUNK = 2**20
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_MOST_RECORDS = 1000


@dataclass(frozen=True)
class Text:
    """A text file and how it is read.

    Attributes:
        path: of the file.
        encoding: as Python calls it.
        quotes: whether a double quote is in it.
        sample: its beginning, cut anywhere.
        whole: whether that is all of it.
    """

    path: Path
    encoding: str
    quotes: bool
    sample: str
    whole: bool

    def open_bytes(self) -> IO[bytes]:
        """The file's bytes, uncompressed."""
        return _open(self.path)

    def lines(self) -> Iterator[str]:
        """Its lines, with their ends."""
        with io.TextIOWrapper(cast(Any, _open(self.path)), self.encoding, newline="") as lines:
            yield from lines

    def sampled(self, separator: str) -> list[list[str]]:
        """The first records that are whole, blank ones left out."""
        records = []
        try:
            for _, record in _records(io.StringIO(self.sample, newline=""), separator):
                records.append(record)
                if len(records) > _MOST_RECORDS:
                    break
        except csv.Error:
            return records
        return records if self.whole or len(records) > _MOST_RECORDS else records[:-1]

    def records(self, separator: str) -> Iterator[tuple[int, list[str]]]:
        """Each record that is not blank, and the line on which it begins."""
        return _records(self.lines(), separator)

    def uneven(self, separator: str, fields: int) -> tuple[int, list[str]] | None:
        """The first record of another number of fields and the line on which it begins; None where there is none."""
        if self._is_even(separator, fields):
            return None
        if self.quotes:
            return next((found for found in self.records(separator) if len(found[1]) != fields), None)
        for number, line in enumerate(self.lines(), 1):
            if line.count(separator) != fields - 1 and not _blank(line, separator):
                return number, line.rstrip("\r\n").split(separator)
        return None

    def _is_even(self, separator: str, fields: int) -> bool:
        """Whether every line has so many fields, told fast from the bytes; False where they do not tell."""
        if self.quotes or self.encoding.startswith(("utf-16", "utf-32")):
            return False
        rest = b""
        with _open(self.path) as raw:
            while chunk := raw.read(_CHUNK):
                whole, end, rest = (rest + chunk).rpartition(b"\n")
                line_ends, separators = (_places(whole + end, mark) for mark in ("\n", separator))
                counts = np.diff(np.searchsorted(separators, line_ends), prepend=0)
                if not end or np.any(counts != fields - 1):
                    return False
        return not rest or rest.count(separator.encode()) == fields - 1

    def line_of(self, separator: str, row: int) -> int:
        """The line on which a row, counted from 0 after the header, begins; were each on one, where that fails."""
        try:
            return next(number for count, (number, _) in enumerate(self.records(separator)) if count == row + 1)
        except (StopIteration, csv.Error, OSError, EOFError, UnicodeError):
            return row + 2


def read_text(path: Path, *, whole: bool = True) -> Text:
    """Find a file's encoding: that of its byte order mark, else UTF-8, else Windows' for western Europe.

    Args:
        path: the file.
        whole: read all of it, and not only its beginning.

    Raises:
        ContrastiveError: if it cannot be read, or is no text.
    """
    with readable(path), _open(path) as raw:
        start = raw.read(_CHUNK)
        encoding = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        if encoding is None and b"\0" in start:
            raise ContrastiveError(f"cannot read {path}: it is no text, or not marked as UTF-16; save it as UTF-8")
        quotes, ended = b'"' in start, len(start) < _CHUNK
        scan = _Scan(path)
        rest = start
        if encoding is None or encoding == "utf-8-sig":
            while True:
                scan.feed(rest, final=not rest)
                quotes = quotes or b'"' in rest
                if not rest or not whole:
                    break
                rest = raw.read(_CHUNK)
        else:
            quotes = True
    encoding = encoding or scan.encoding
    sample = codecs.getincrementaldecoder(encoding)("replace").decode(start)
    if _CONTROL.search(sample):
        raise ContrastiveError(f"cannot read {path}: it holds control characters, so it is no text")
    return Text(path, encoding, quotes, sample, ended)


class _Scan:
    """Whether all bytes are UTF-8, and else whether they can be Windows-1252."""

    def __init__(self, path: Path) -> None:
        self.path, self.encoding, self._plain = path, "utf-8", True
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes, *, final: bool) -> None:
        if b"\0" in chunk:
            raise ContrastiveError(f"cannot read {self.path}: it holds NUL bytes, so it is no text or damaged")
        if self.encoding == "utf-8":
            if chunk.isascii() and not self._decoder.getstate()[0]:
                return  # nothing to decode
            try:
                self._plain = self._decoder.decode(chunk, final).isascii() and self._plain
                return
            except UnicodeDecodeError as error:
                pending = error.object[: error.start]
                if not (self._plain and pending.isascii()):
                    raise ContrastiveError(
                        f"cannot read {self.path}: it is UTF-8 but for the byte 0x{error.object[error.start]:02x}; "
                        "save it as UTF-8"
                    ) from error
                self.encoding, chunk = "cp1252", error.object
        try:
            chunk.decode("cp1252")
        except UnicodeDecodeError as error:
            raise ContrastiveError(
                f"cannot read {self.path}: it is neither UTF-8 nor Windows-1252 text; save it as UTF-8"
            ) from error


def _open(path: Path) -> IO[bytes]:
    opened: IO[bytes] = _OPENERS.get(path.suffix.lower(), open)(path, "rb")
    return opened


def _places(content: bytes, mark: str) -> NDArray[np.intp]:
    return np.flatnonzero(np.frombuffer(content, np.uint8) == ord(mark))


def _blank(line: str, separator: str) -> bool:
    """Whether pandas leaves a line out: spaces and tabs alone."""
    return not line.strip("\r\n \t") and separator not in line


def _records(lines: Any, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=separator)
    line = 1
    for record in reader:
        if record and not (len(record) == 1 and not record[0].strip(" \t")):
            yield line, record
        line = reader.line_num + 1
