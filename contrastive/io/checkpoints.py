"""Checkpoints and JSON files, written atomically and read back."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.io.atomic import write_atomically

_FORMAT = "contrastive-checkpoint-1"


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; see `write_atomically`."""
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` as strict JSON: a non-finite number becomes null."""
    write_text(path, json.dumps(finite_or_none(content), indent=2, allow_nan=False) + "\n")


def finite_or_none(content: Any) -> Any:
    """`content` with every non-finite float replaced by None."""
    if isinstance(content, dict):
        return {key: finite_or_none(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite_or_none(value) for value in content]
    if isinstance(content, float) and not abs(content) < float("inf"):
        return None
    return content


def write_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """One safetensors file, with `state` as JSON in its header; read back before it replaces an older one.

    Raises:
        ContrastiveError: if a tensor is not finite, or the file cannot be written or read back.
    """
    check_finite(path, tensors)
    # A copy each: parameters may share memory, which the format refuses.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": _FORMAT, "state": json.dumps(state)}

    def write(part: Path) -> None:
        save_file(tensors, part, metadata=metadata)
        read_checkpoint(part)

    write_atomically(path, write)


def check_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    """Refuse to write a tensor that is not finite.

    Raises:
        ContrastiveError: naming it.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ContrastiveError(f"not saving {path}: {name} is not finite; the last good checkpoint is kept")


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and state of a checkpoint.

    Raises:
        ContrastiveError: if the file is missing, truncated, corrupt, or no checkpoint of ours.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ContrastiveError(f"{path} is not a checkpoint of contrastive (format {metadata.get('format')})")
            names = handle.keys()
            return {name: handle.get_tensor(name) for name in names}, json.loads(metadata["state"])
    except FileNotFoundError as error:
        raise ContrastiveError(f"there is no checkpoint {path}") from error
    except (SafetensorError, OSError, json.JSONDecodeError, KeyError) as error:
        raise ContrastiveError(f"{path} is damaged or not a checkpoint: {error}") from error


def is_checkpoint(path: Path) -> bool:
    """Whether `path` is a file that `write_checkpoint` has written, by its header."""
    try:
        with safe_open(path, framework="pt") as handle:
            return (handle.metadata() or {}).get("format") == _FORMAT
    except (SafetensorError, OSError):
        return False
