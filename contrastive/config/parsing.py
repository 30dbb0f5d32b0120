"""Coercion of settings, the same for keywords, YAML and command-line options."""

import types
import typing
from collections.abc import Iterable
from os import PathLike
from typing import Any, Literal

from contrastive.errors import ContrastiveError, near

Options = dict[str, Any]
#: What takes options of its own, `--PART.NAME VALUE`.
PARTS = ("energy", "noise", "objective")
#: What no option of a part can be called: the factories get it from elsewhere.
_TAKEN = ("self", "name", "event_shape", "allow_import")


def refuse_taken(part: str | None, names: Iterable[str]) -> None:
    """Refuse options of a part that are not for whoever writes settings to choose.

    Raises:
        ContrastiveError: if one is among `names`.
    """
    for name in names:
        setting = name if part is None else f"{part}.{name}"
        if name == "allow_import":
            raise ContrastiveError(
                f"{setting} is no setting: no config can allow an import, only --allow-import on the command line can "
                "(in Python allow_import=True)"
            )
        if name in _TAKEN:
            raise ContrastiveError(f"{setting} is no setting: leave it out")


def choices(hint: Any) -> tuple[Any, ...] | None:
    """The values of a `Literal` (optional or not), None for other types."""
    for part in _union(hint):
        if typing.get_origin(part) is Literal:
            return typing.get_args(part)
    return None


def _union(hint: Any) -> tuple[Any, ...]:
    # Optional[Literal[...]] is a typing.Union, int | None a types.UnionType
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def as_options(name: str, value: Any) -> Options:
    """`value` as options of a part, a dictionary of its own.

    Raises:
        ContrastiveError: if it is no dictionary with names.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ContrastiveError(f"{name} must be a dictionary of options by name, got {value!r}")
    return dict(value)


def coerced(key: str, value: Any, hint: Any) -> Any:
    """`value` as the type of the field `key`.

    Raises:
        ContrastiveError: saying what was expected.
    """
    parts = _union(hint)
    if value is None and type(None) in parts:
        return None
    allowed = choices(hint)
    if allowed is not None:
        if not isinstance(value, str) or value not in allowed:
            hint_near = near(str(value), allowed)
            raise ContrastiveError(
                f"{key} must be one of {', '.join(allowed)}, got {value!r}{'; ' if hint_near else ''}{hint_near}"
            )
        return value
    wanted = next(part for part in parts if part is not type(None))
    found = _TYPES[wanted](value)
    if found is None:
        raise ContrastiveError(f"{key} must be {_EXPECTED[wanted]}, got {value!r}")
    return found


def _as_bool(value: Any) -> bool | None:
    value = _plain(value)
    return value if isinstance(value, bool) else None


def _as_text(value: Any) -> str | None:
    """Words and paths as they are, lists joined by commas: names of columns, shares of classes."""
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        entries = value.tolist() if hasattr(value, "tolist") else value
        words = [_as_text(_plain(entry)) for entry in (entries if isinstance(entries, list | tuple) else [entries])]
        return None if None in words else ", ".join(map(str, words))
    if isinstance(value, float):
        return f"{value:.17g}"
    return str(value) if isinstance(value, str | int | PathLike) else None


def _as_number(value: Any) -> float | None:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _as_int(value: Any) -> int | None:
    value = _plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value  # exactly, however large
    number = _as_number(value)
    return int(number) if number is not None and number.is_integer() else None


def _plain(value: Any) -> Any:
    """A number of numpy or torch as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


_TYPES: dict[Any, Any] = {bool: _as_bool, str: _as_text, float: _as_number, int: _as_int}
_EXPECTED = {bool: "true or false", str: "a word", float: "a number", int: "a whole number"}
