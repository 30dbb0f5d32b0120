"""Coercion of settings, the same for keywords, YAML and command-line options."""

import re
import typing
from os import PathLike
from typing import Any, Literal

from contrastive.errors import ContrastiveError, near

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

#: What takes options of its own, `--PART.NAME VALUE`.
PARTS = ("energy", "noise", "objective")


class Seconds(float):
    """A time: seconds as a number, or words such as "90s", "2m", "1h30m"."""


#: What no option of a part can be called: the factories get it from elsewhere.
_TAKEN = ("self", "name", "event_shape", "allow_import")


def refuse_taken(name: str) -> None:
    """Refuse a setting, or an option of a part, that is not for whoever writes settings to choose.

    Raises:
        ContrastiveError: if `name` is one.
    """
    part, _, option = name.rpartition(".")
    if option == "allow_import":
        raise ContrastiveError(
            f"{name} is no setting: no config can allow an import, only --allow-import on the command line can "
            "(in Python allow_import=True)"
        )
    if part in PARTS and option in _TAKEN:
        raise ContrastiveError(f"{name} is no setting: leave it out")


def choices(kind: Any) -> tuple[Any, ...] | None:
    """The values of a `Literal`; None for other types."""
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else None


def coerced(name: str, value: Any, kind: Any) -> Any:
    """`value` as the type of a setting.

    Args:
        name: of the setting, for the message.
        value: of any type that can stand for it.
        kind: bool, str, float, int, `Seconds`, or a `Literal` of words.

    Raises:
        ContrastiveError: saying what was expected.
    """
    allowed = choices(kind)
    if allowed is not None:
        if not isinstance(value, str) or value not in allowed:
            hint = near(str(value), allowed)
            raise ContrastiveError(
                f"{name} must be one of {', '.join(allowed)}, got {value!r}{'; ' if hint else ''}{hint}"
            )
        return value
    found = _TYPES[kind](value)
    if found is None:
        raise ContrastiveError(f"{name} must be {_EXPECTED[kind]}, got {value!r}")
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


def _as_seconds(value: Any) -> float | None:
    parts = re.findall(r"(\d+\.?\d*)([smhd])", value) if isinstance(value, str) else []
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return _as_number(value)


def _plain(value: Any) -> Any:
    """A number of numpy or torch as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


_TYPES: dict[Any, Any] = {bool: _as_bool, str: _as_text, float: _as_number, int: _as_int, Seconds: _as_seconds}
_EXPECTED = {
    bool: "true or false",
    str: "a word",
    float: "a number",
    int: "a whole number",
    Seconds: "a time such as 90s, 2m or 1h30m",
}
