"""Command-line options of the settings."""

import argparse
import typing
from typing import Any

import yaml

from contrastive.config import (
    ALIASES,
    EVERYDAY,
    PARTS,
    ROOTS,
    SETTINGS,
    FitConfig,
    Setting,
    choices,
    configure,
    flattened,
    read_yaml,
)
from contrastive.errors import ContrastiveError

_TITLES = {
    "data": "data (docs/how-to/images.md for images)",
    "labels": "labels (docs/how-to/few-labels.md)",
    "noise": "noise; options as --noise.NAME VALUE (docs/reference/noises.md)",
    "energy": "energy; options as --energy.NAME VALUE (docs/reference/energies.md)",
    "objective": "objective; options as --objective.NAME VALUE (docs/reference/objectives.md)",
    "likelihood": "maximum likelihood of the noise, before the contrast",
    "game": "the contrast: NCE, or FCE where the noise is trained too (defaults: the recipe)",
    "run": "the run",
}


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting; those not given stay out of the namespace.

    The everyday ones are shown by their flat names, the others by their paths in the sections; both work for each, and
    so do the names of earlier versions.
    """
    group = parser.add_argument_group("every day")
    for name, path in EVERYDAY.items():
        _add(group, f"--{name}", SETTINGS[path])
    groups = {root: parser.add_argument_group(_TITLES[root]) for root in ROOTS}
    for path, setting in SETTINGS.items():
        _add(groups[path.partition(".")[0]], f"--{path}", setting, hidden=path in EVERYDAY.values())
    for name, path in ALIASES.items():
        if name not in EVERYDAY:
            _add(groups[path.partition(".")[0]], f"--{name}", SETTINGS[path], hidden=True)


def _add(group: Any, option: str, setting: Setting, *, hidden: bool = False) -> None:
    allowed = choices(setting.kind)
    flag: dict[str, Any] = {"nargs": "?", "const": "true"} if setting.kind is bool else {}  # --flip is --flip true
    default = "" if setting.default in (None, "") else f" [{setting.default}]"
    group.add_argument(
        option.replace("_", "-"),
        dest=setting.path,
        action=_Once,
        default=argparse.SUPPRESS,
        metavar=None if allowed else setting.path.replace("_", ".").split(".")[-1].upper(),
        choices=allowed,
        help=argparse.SUPPRESS if hidden else f"{setting.help}{default}",
        **flag,
    )


class _Once(argparse.Action):
    """Keeps a value, and refuses the same setting under two names."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        seen = namespace.__dict__.setdefault("_named", {})
        if seen.setdefault(self.dest, option) != option:
            raise ContrastiveError(f"{seen[self.dest]} and {option} are the same setting: leave one out")
        setattr(namespace, self.dest, values)


def build_config(given: dict[str, Any], dotted: list[str], config: str | None) -> FitConfig:
    """The settings of a file (if any), with the options that were given on top.

    Args:
        given: text by path.
        dotted: words of the options of parts.
        config: a YAML file.

    Raises:
        ContrastiveError: for unknown options or values of the wrong kind.
    """
    values = flattened(read_yaml(config)) if config else {}
    values |= {path: text if _is_text(SETTINGS[path]) else _parsed(path, text) for path, text in given.items()}
    return configure(values | dict(dotted_options(dotted)))


def _is_text(setting: Setting) -> bool:
    return setting.kind is str or choices(setting.kind) is not None


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
