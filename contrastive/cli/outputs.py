"""Checks of a command's output file."""

import os
from pathlib import Path

from contrastive.errors import ContrastiveError


def refuse_existing(path: Path, *, overwrite: bool, data: str | None = None) -> None:
    """Refuse to write over a file unasked, and over the data in any case.

    A symbolic link counts as a file: with `overwrite` it is replaced, and what it leads to stays as it is.

    Raises:
        ContrastiveError: if `path` is there and `overwrite` is not set, or it is a directory or the file `data`.
    """
    if path.is_dir():
        raise ContrastiveError(f"--out {path} is a directory: give a file")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise ContrastiveError(f"{path} exists already; replace it with --overwrite or choose another --out")
    if data is not None and path.exists() and Path(data).exists() and path.samefile(data):
        raise ContrastiveError(f"--out {path} would replace the data: choose another --out")
