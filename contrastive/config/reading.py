"""Settings from a YAML file."""

from pathlib import Path
from typing import Any

import yaml

from contrastive.errors import ContrastiveError


def read_flat(path: str | Path) -> dict[str, Any]:
    """The keys and values of a YAML file, before anything is made of them.

    Raises:
        ContrastiveError: if it is missing, not YAML, or holds something else than keys with values.
    """
    try:
        flat = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ContrastiveError(f"cannot read the config {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ContrastiveError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(flat, dict):
        raise ContrastiveError(f"{path} must hold settings as 'name: value' lines")
    return flat
