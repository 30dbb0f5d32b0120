"""Settings from a YAML file, which may be somebody else's: small, flat enough, and read without running anything."""

from pathlib import Path
from typing import Any

import yaml

from contrastive.errors import ContrastiveError

_LARGEST = 1_000_000  # bytes
_MOST_ALIASES = 8  # some dozens that name each other make a text without end


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML file, by whatever names they have there.

    Raises:
        ContrastiveError: if it is missing, too large or not YAML, or holds something else than settings.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        if len(text) > _LARGEST:
            raise ContrastiveError(f"{path} has {len(text):,} characters, a config has some thousands")
        found = yaml.load(text, _Loader) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ContrastiveError(f"cannot read the config {path}: {error}") from error
    except yaml.YAMLError as error:
        raise ContrastiveError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    except (RecursionError, ValueError) as error:  # nested too deep, a number of thousands of digits, no such date
        if isinstance(error, ContrastiveError):
            raise
        reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ContrastiveError(f"{path} is no config: {reason}") from error
    if not isinstance(found, dict):
        raise ContrastiveError(f"{path} must hold settings as 'name: value' lines")
    return found


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with few aliases."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MOST_ALIASES:
                raise yaml.YAMLError(f"it has more than {_MOST_ALIASES} aliases")
        return super().compose_node(parent, index)
