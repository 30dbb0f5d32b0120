"""Rows of numbers that are kept block by block, so that a long computation that was stopped can go on."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.errors import ContrastiveError

_FORMAT = "contrastive-partial-1"


class PartialRows:
    """A file of float64 rows behind a line of JSON, which says what they were computed from.

    The number of whole rows in it is all the state: a row that was cut short is dropped.

    Args:
        path: of the file.
        width: numbers a row.
        origin: what the rows are computed from; JSON.
        resume: go on with what is there.
        overwrite: replace what is there.

    Raises:
        ContrastiveError: if there is such a file and it may be neither used nor replaced, or it cannot be written.
    """

    def __init__(
        self, path: Path, width: int, origin: dict[str, Any], *, resume: bool = False, overwrite: bool = False
    ) -> None:
        self.path, self.width = path, width
        header = {"format": _FORMAT, "width": width, "origin": origin}
        line = json.dumps(header, sort_keys=True).encode() + b"\n"
        self._start = len(line)
        there = os.path.lexists(path)
        if there:
            self._require_usable(line, resume=resume, overwrite=overwrite)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not (there and resume):
                path.write_bytes(line)
            self._file = path.open("r+b")
            self.rows = (path.stat().st_size - self._start) // (8 * width)
            self._file.truncate(self._start + 8 * width * self.rows)
        except OSError as error:
            raise ContrastiveError(f"cannot write {path}: {error}") from error

    def append(self, values: NDArray[np.float64]) -> None:
        """Write rows behind the others.

        Raises:
            ContrastiveError: if they cannot be written, as on a full disk.
        """
        try:
            self._file.seek(self._start + 8 * self.width * self.rows)
            self._file.write(np.ascontiguousarray(values, "<f8").tobytes())
            self._file.flush()
        except OSError as error:
            raise ContrastiveError(f"cannot write {self.path}: {error}; mend it and go on with --resume") from error
        self.rows += len(values)

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Rows from `start` to before `stop`, fewer at the end."""
        self._file.seek(self._start + 8 * self.width * start)
        content = self._file.read(8 * self.width * (min(stop, self.rows) - start))
        return np.frombuffer(content, "<f8").reshape(-1, self.width)

    def blocks(self, rows: int) -> Iterator[NDArray[np.float64]]:
        """All rows, so many at once."""
        return (self.read(start, start + rows) for start in range(0, self.rows, rows))

    def close(self) -> None:
        """Leave the file as it is; without rows it is removed, since there is nothing to go on with."""
        self._file.close()
        if not self.rows:
            self.path.unlink(missing_ok=True)

    def remove(self) -> None:
        """The rows are elsewhere now."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _require_usable(self, line: bytes, *, resume: bool, overwrite: bool) -> None:
        there = _first_line(self.path)
        if not there.startswith(b'{"format": "' + _FORMAT.encode()):
            raise ContrastiveError(f"{self.path} is in the way, where partial results are kept: choose another --out")
        if resume and there != line:
            raise ContrastiveError(
                f"{self.path} was computed from other data or by another run, or these have changed since: begin again "
                "with --overwrite, without --resume"
            )
        if not resume and not overwrite:
            raise ContrastiveError(
                f"{self.path} holds the results of a command that was stopped: go on with --resume, or begin again "
                "with --overwrite"
            )


def _first_line(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            return handle.readline(2**20)
    except OSError as error:
        raise ContrastiveError(f"cannot read {path}: {error}") from error
