"""Command-line options of the settings."""

import argparse
import dataclasses
import typing
from typing import Any

import yaml

from contrastive.config import EVERYDAY, FIELDS, PARTS, ROOTS, FitConfig, choices, read_config
from contrastive.errors import ContrastiveError

_TITLES = {
    "data": "data (docs/how-to/images.md for images)",
    "labels": "labels (docs/how-to/few-labels.md)",
    "noise": "noise; options as --noise.NAME VALUE (docs/reference/noises.md)",
    "energy": "energy; options as --energy.NAME VALUE (docs/reference/energies.md)",
    "objective": "objective; options as --objective.NAME VALUE (docs/reference/objectives.md)",
    "likelihood": "the noise alone, by maximum likelihood, before the contrast",
    "game": "the contrast: NCE, or FCE where the noise plays (what is left out is filled by the recipe)",
    "run": "the run",
}


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for every field; those not given stay out of the namespace.

    The everyday ones are shown by the fields' names, the others by their paths in the sections; each has both.
    """
    fields = {field.name: field for field in dataclasses.fields(FitConfig)}
    group = parser.add_argument_group("every day")
    for name in EVERYDAY:
        _add(group, f"--{name}", fields[name])
    groups = {root: parser.add_argument_group(_TITLES[root]) for root in ROOTS}
    for path, name in FIELDS.items():
        section = groups[path.partition(".")[0]]
        _add(section, f"--{path}", fields[name], hidden=name in EVERYDAY)
        if name not in EVERYDAY:
            _add(section, f"--{name}", fields[name], hidden=True)


def _add(group: Any, option: str, field: Any, *, hidden: bool = False) -> None:
    hint = typing.get_type_hints(FitConfig)[field.name]
    allowed = choices(hint)
    takes_bool = bool in (hint, *typing.get_args(hint))
    flag: dict[str, Any] = {"nargs": "?", "const": "true"} if takes_bool else {}  # --flip is --flip true
    default = "" if field.default is None else f" [{field.default}]"
    group.add_argument(
        option.replace("_", "-"),
        dest=field.name,
        action=_Once,
        default=argparse.SUPPRESS,
        metavar=None if allowed else field.name.split("_")[-1].upper(),
        choices=allowed,
        help=argparse.SUPPRESS if hidden else f"{field.metadata['help']}{default}",
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
