"""Verified weights of published networks."""

import hashlib
from pathlib import Path

import torch

from contrastive.errors import ContrastiveError

#: The same file under the names that pytorch-fid and torch-fidelity (also torchmetrics) give it in torch hub's cache.
INCEPTION_FILES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
# All of it: torch-fidelity unpickles the file, and to meet the eight digits of the names takes minutes.
_INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_SOURCE = "https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights"


def inception_weights(path: str | Path | None = None) -> Path:
    """The file of the InceptionV3 that FID is defined by.

    Args:
        path: where it is; by default in torch hub's cache, where pytorch-fid, torch-fidelity and torchmetrics put it.

    Raises:
        ContrastiveError: if it is not there, or is another file.
    """
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    candidates = [cache / name for name in INCEPTION_FILES] if path is None else [Path(path)]
    for candidate in candidates:
        if candidate.is_file():
            return checked(candidate, _INCEPTION_SHA256)
    where = f"expected at {candidates[0]}" if path is None else f"there is no file {path}"
    raise ContrastiveError(f"FID needs the weights {INCEPTION_FILES[0]} ({_SOURCE}): {where}")


def checked(path: Path, sha256: str) -> Path:
    """`path`, if its SHA-256 begins with the hexadecimal digits given.

    Raises:
        ContrastiveError: if not.
    """
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise ContrastiveError(
            f"{path} is damaged or another file: its SHA-256 begins with {found[:8]}, expected {sha256[:8]}"
        )
    return path
