"""What is said of a file of data that cannot be read."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contrastive.errors import ContrastiveError

#: What numpy and pandas raise for a file that is cut short, damaged or of another kind.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile)

_STARTS = {".npy": (b"\x93NUMPY", "numpy.save"), ".npz": (b"PK", "numpy.savez")}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Around the reading of a file: one of `UNREADABLE` becomes a `ContrastiveError` with the file and a reason."""
    try:
        yield
    except ContrastiveError:
        raise
    except UNREADABLE as error:
        raise ContrastiveError(f"cannot read {path}: {_reason(path, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    text = " ".join(str(error).split())
    kind = _STARTS.get(path.suffix.lower())
    if kind is None or (isinstance(error, OSError) and error.errno is not None):
        return text
    start, writer = kind
    with path.open("rb") as handle:
        # numpy says of any file that it does not know that it holds pickles, and how to load them unsafely.
        if handle.read(len(start)) != start:
            return f"it is damaged, or no file that {writer} has written"
    return "it holds Python objects, expected numbers" if "object" in text.lower() else f"it is damaged ({text})"
