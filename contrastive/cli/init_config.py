"""`contrastive init-config`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from contrastive.cli.options import build_config
from contrastive.config import SETTINGS, FitConfig, to_sections, with_recipe
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import write_text


def run(*, dotted: list[str], config: str | None, to: str | None, **given: Any) -> None:
    """Print a config that `contrastive fit --config` takes, each line explained."""
    text = explained(with_recipe(build_config(given, dotted, config), images=False))
    if to is None:
        print(text, end="")
    elif os.path.lexists(to):
        raise ContrastiveError(f"{to} exists already; choose another file")
    else:
        write_text(Path(to), text)


def explained(config: FitConfig) -> str:
    """The settings as YAML, in sections, with their help as comments; what data or models decide is null."""
    return "\n".join(_lines(to_sections(config), "")) + "\n"


def _lines(section: dict[str, Any], path: str) -> Iterator[str]:
    indent = "  " * path.count(".")
    for key, value in section.items():
        inner = f"{path}{key}"
        if any(known.startswith(f"{inner}.") for known in SETTINGS):
            yield f"{indent}{key}:"
            yield from _lines(value, f"{inner}.")
            continue
        if inner in SETTINGS:
            yield f"{indent}# {SETTINGS[inner].help}"
        yield f"{indent}{key}: {_inline(value)}"


def _inline(value: Any) -> str:
    return yaml.safe_dump([value], default_flow_style=True, width=10_000).strip()[1:-1]
