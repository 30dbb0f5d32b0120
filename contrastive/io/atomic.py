"""Files that are whole or absent: written beside, then renamed."""

import os
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from contrastive.errors import ContrastiveError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in the place of `path`.

    Raises:
        ContrastiveError: if the file cannot be written; what was at `path` is still there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        kept = "; the file that was there is kept" if path.exists() else ""
        raise ContrastiveError(f"cannot write {path}: {error}{kept}") from error
    finally:
        part.unlink(missing_ok=True)
