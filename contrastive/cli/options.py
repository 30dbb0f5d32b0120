"""The fields of `FitConfig` as options, and back."""

import argparse
import dataclasses
import typing
from typing import Any

import yaml

from contrastive.config import PARTS, FitConfig, choices, read_config
from contrastive.errors import ContrastiveError

_GROUPS = {
    "data": "data",
    "label_column": "labels (docs/few-labels.md)",
    "data_root": "images (docs/images.md)",
    "energy": "models and method",
    "recipe": "training",
    "schedule": "who moves next (fce)",
    "label_weight": "few labels",
    "optimizer": "optimisers (filled by the recipe)",
    "early_stopping": "evaluation",
}


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every field; those not given stay out of the namespace."""
    hints = typing.get_type_hints(FitConfig)
    group: Any = parser
    for field in dataclasses.fields(FitConfig):
        if field.name.endswith("_options"):
            continue
        if field.name in _GROUPS:
            group = parser.add_argument_group(_GROUPS[field.name])
        allowed = choices(hints[field.name])
        takes_bool = bool in (hints[field.name], *typing.get_args(hints[field.name]))
        flag: dict[str, Any] = {"nargs": "?", "const": "true"} if takes_bool else {}  # --flip is --flip true
        default = "" if field.default is None else f" [{field.default}]"
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            metavar=None if allowed else field.name.split("_")[-1].upper(),
            choices=allowed,
            help=f"{field.metadata['help']}{default}",
            **flag,
        )


def build_config(given: dict[str, Any], dotted: list[str], config: str | None) -> FitConfig:
    """The config of a file (if any), with the options that were given on top.

    Raises:
        ContrastiveError: for unknown options or values of the wrong kind.
    """
    flat = read_config(config).to_flat() if config else {}
    flat |= {name: value if name in _TEXT else _parsed(name, value) for name, value in given.items()}
    return FitConfig.from_flat(flat | dict(dotted_options(dotted)))


_TEXT = {
    name
    for name, hint in typing.get_type_hints(FitConfig).items()
    if str in (hint, *typing.get_args(hint)) or choices(hint)
}


def dotted_options(arguments: list[str]) -> typing.Iterator[tuple[str, Any]]:
    """Pairs such as ("noise.width", 64) from `--noise.width 64` or `--noise.width=64`."""
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name.startswith(tuple(f"{part}." for part in PARTS)):
            raise ContrastiveError(f"unknown argument {word!r} (see --help)")
        if not has_value:
            if not rest or rest[0].startswith("--"):
                raise ContrastiveError(f"{word} needs a value")
            value = rest.pop(0)
        yield name, _parsed(name, value)


def _parsed(name: str, text: str) -> Any:
    """A number, boolean, list (`64,64`) or word."""
    try:
        value = yaml.safe_load(text)
        if isinstance(value, str) and "," in value:
            return [yaml.safe_load(part) for part in value.split(",")]
    except yaml.YAMLError as error:
        raise ContrastiveError(f"cannot read the value {text!r} of --{name}") from error
    return _number(value)


def _number(value: Any) -> Any:
    # YAML 1.1 reads 1e-3 as a word.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
