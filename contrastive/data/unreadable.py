"""Errors for data files that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contrastive.errors import ContrastiveError

#: What numpy, pandas, pyarrow and Python's archives raise for a file that is cut short, damaged or of another kind. All
#: of it: beside OSError, ValueError and BadZipFile, damage has come out as tokenize.TokenError, SyntaxError, KeyError,
#: OverflowError, MemoryError, RecursionError, zlib.error, lzma.LZMAError, struct.error, RuntimeError (encrypted),
#: NotImplementedError (compression) and UnicodeDecodeError, none of which is documented and which change by release. So
#: keep what is ours out of a `readable` block: its mistakes would be blamed on the file.
UNREADABLE = (Exception,)

_STARTS = {".npy": (b"\x93NUMPY", "numpy.save"), ".npz": (b"PK", "numpy.savez")}
_LONGEST = 300


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Around the reading of a file: whatever a reader raises becomes a `ContrastiveError` with the file and a reason.

    A `ContrastiveError` passes as it is.
    """
    try:
        yield
    except ContrastiveError:
        raise
    except UNREADABLE as error:
        raise ContrastiveError(f"cannot read {path}: {_reason(path, error)}") from error


def require_file(path: Path) -> None:
    """Refuse what is no regular file: reading a pipe or a device would wait, or never end.

    Raises:
        ContrastiveError: if there is none, or it is a folder, pipe, socket or device.
    """
    with readable(path):
        if path.is_file():
            return
        if path.is_dir():
            raise ContrastiveError(f"{path} is a folder, expected a file")
        if path.exists():
            raise ContrastiveError(f"{path} is a pipe or a device, expected a file: save what it gives to one first")
    raise ContrastiveError(f"there is no file {path}")


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
    if isinstance(error, MemoryError):
        return f"there is not enough memory for what it claims to hold ({text})"
    kind = _STARTS.get(path.suffix.lower())
    if kind is None:
        return text if isinstance(error, OSError | ValueError) else f"it is damaged ({text})"
    start, writer = kind
    with path.open("rb") as handle:
        # numpy says of any file that it does not know that it holds pickles, and how to load them unsafely.
        if handle.read(len(start)) != start:
            return f"it is damaged, or no file that {writer} has written"
    if "encrypted" in text:
        return "it is encrypted: save it without a password"
    return "it holds Python objects, expected numbers" if "object array" in text.lower() else f"it is damaged ({text})"
