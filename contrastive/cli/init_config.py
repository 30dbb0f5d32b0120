"""`contrastive init-config`."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import yaml

from contrastive.cli.options import build_config
from contrastive.config import FitConfig
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import write_text


def run(*, dotted: list[str], config: str | None, to: str | None, **given: Any) -> None:
    """Print a config that `contrastive fit --config` takes, each line explained."""
    text = explained(build_config(given, dotted, config).resolved())
    if to is None:
        print(text, end="")
    elif os.path.lexists(to):
        raise ContrastiveError(f"{to} exists already; choose another file")
    else:
        write_text(Path(to), text)


def explained(config: FitConfig) -> str:
    """The settings as YAML with their help as comments."""
    helps = {field.name: field.metadata.get("help", "") for field in dataclasses.fields(FitConfig)}
    lines = []
    for key, value in config.to_flat().items():
        line = yaml.safe_dump({key: value}, default_flow_style=False).strip()
        lines.append(f"# {helps[key]}\n{line}\n" if key in helps else f"{line}\n")
    return "\n".join(lines)
