"""The one door for settings: keywords, dictionaries, YAML and command-line options become a `FitConfig` here."""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from contrastive.config.names import SETTINGS, flattened, nested, shown
from contrastive.config.parsing import coerced
from contrastive.config.reading import read_yaml
from contrastive.config.schema import fields_of
from contrastive.config.sections import FitConfig, Settings
from contrastive.errors import ContrastiveError

AnyConfig = TypeVar("AnyConfig", bound=FitConfig)


def configure(settings: Mapping[str, Any] | None = None, /, **keywords: Any) -> FitConfig:
    """Settings from any mixture of sections, paths and aliases; what is left out or None keeps its default.

    Args:
        settings: by the names that `flattened` takes.
        **keywords: likewise, where the name is a word.

    Raises:
        ContrastiveError: for an unknown name, one that is given twice, a value of the wrong type or out of bounds, and
            for settings that contradict each other.
    """
    values = {path: _checked(path, value) for path, value in flattened({**(settings or {}), **keywords}).items()}
    config: FitConfig = _build(Settings, values)
    _refuse_contradictions(config)
    return config


def read_config(path: str | Path) -> FitConfig:
    """Settings from a YAML file.

    Raises:
        ContrastiveError: if it is missing or not YAML, or as `configure`.
    """
    return configure(read_yaml(path))


def by_path(config: FitConfig) -> dict[str, Any]:
    """Every setting by its path, and the options of the parts (`noise.width`); None where it is open."""
    return dict(_values(config, ""))


def to_sections(config: FitConfig) -> dict[str, Any]:
    """Nested dictionaries, as config.yaml has them."""
    return nested(by_path(config))


def changed(config: AnyConfig, values: Mapping[str, Any]) -> AnyConfig:
    """The same settings but for those in `values`, by path; options of the parts may be among them.

    Raises:
        ContrastiveError: as `configure`.
    """
    values = {path: _checked(path, value) for path, value in values.items()}
    return typing.cast(AnyConfig, _build(Settings, {**by_path(config), **values}))


def with_part(config: AnyConfig, part: str, name: str, options: Mapping[str, Any]) -> AnyConfig:
    """The same settings with another noise, energy or objective, and its options alone."""
    values = {path: value for path, value in by_path(config).items() if path in SETTINGS or not _is_of(path, part)}
    values |= {f"{part}.name": name, **{f"{part}.{option}": value for option, value in options.items()}}
    return typing.cast(AnyConfig, _build(Settings, values))


def _is_of(path: str, part: str) -> bool:
    return path.partition(".")[0] == part


def _checked(path: str, value: Any) -> Any:
    """`value` with the setting's type and within its bound; options of the parts are the factories' to check."""
    if path not in SETTINGS:
        return value
    setting = SETTINGS[path]
    if value is None:
        return setting.default
    value = coerced(shown(path), value, setting.kind)
    if setting.bound is not None and not setting.bound.holds(value):
        raise ContrastiveError(f"{shown(path)} must be {setting.bound.words}, got {value:g}")
    return value


def _build(kind: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    """An instance of a section's class from values by path."""
    given: dict[str, Any] = {}
    for field, hint in fields_of(kind):
        path = f"{prefix}{field.name}"
        if dataclasses.is_dataclass(inner := typing.get_origin(hint) or hint):
            given[field.name] = _build(inner, values, f"{path}.")
        elif field.name == "options":
            own = {name: value for name, value in values.items() if name.startswith(prefix) and name not in SETTINGS}
            given["options"] = {name.removeprefix(prefix): value for name, value in own.items()}
        elif path in values:
            given[field.name] = values[path]
    return kind(**given)


def _values(section: Any, prefix: str) -> typing.Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{prefix}{field.name}.")
        elif field.name == "options":
            yield from ((f"{prefix}{name}", option) for name, option in value.items())
        else:
            yield f"{prefix}{field.name}", value


def _refuse_contradictions(config: FitConfig) -> None:
    game, data = config.game, config.data
    if game.method != "nce" and not game.contrast_weight:
        raise ContrastiveError("contrast_weight 0 is for method nce: without contrast the noise cannot play")
    if game.energy.steps and game.method != "fce":
        raise ContrastiveError("game.energy.steps is for method fce: in nce the noise is frozen anyway")
    if (held_out := (data.validation or 0.0) + data.test) >= 1:
        raise ContrastiveError(f"validation + test is {held_out:g}, nothing is left to fit")
