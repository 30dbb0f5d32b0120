"""Declaration of settings: a default, a help text and a bound for each field of a section."""

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

#: What an open setting may be beside its type: None in settings as given, nothing at all (`Never`) in resolved ones.
Open = TypeVar("Open", bound=None, covariant=True)


@dataclass(frozen=True)
class Bound:
    """A condition on a number, and its words."""

    words: str
    holds: Callable[[float], bool]


AT_LEAST_0 = Bound("at least 0", lambda value: 0 <= value < math.inf)
AT_LEAST_1 = Bound("at least 1", lambda value: value >= 1)
POSITIVE = Bound("positive", lambda value: 0 < value < math.inf)
FRACTION = Bound("in [0, 1)", lambda value: 0 <= value < 1)
POSITIVE_FRACTION = Bound("in (0, 1]", lambda value: 0 < value <= 1)
TWICE_JSD = Bound("in [0, log 4)", lambda value: 0 <= value < math.log(4))


def setting(default: Any, help: str, bound: Bound | None = None) -> Any:
    """A field of a section; one whose default is None is open until the settings are resolved."""
    return dataclasses.field(default=default, metadata={"help": help, "bound": bound})


def section(kind: type) -> Any:
    """A section within a section."""
    return dataclasses.field(default_factory=kind)


@dataclass(frozen=True)
class Setting:
    """One setting, as its section declares it.

    Attributes:
        path: dotted, such as "game.noise.learning_rate".
        kind: a type, or a `Literal` of the values that are allowed.
        default: None where it is open.
        help: one line.
        bound: of a number; None if any will do.
    """

    path: str
    kind: Any
    default: Any
    help: str
    bound: Bound | None


def walk(kind: type, prefix: str = "") -> Iterator[Setting]:
    """The settings of a section and of those within it, in order."""
    for field, hint in fields_of(kind):
        if dataclasses.is_dataclass(inner := typing.get_origin(hint) or hint):
            yield from walk(typing.cast(type, inner), f"{prefix}{field.name}.")
        elif "help" in field.metadata:
            yield Setting(f"{prefix}{field.name}", _closed(hint), field.default, **field.metadata)


@functools.cache
def fields_of(kind: type) -> list[tuple[dataclasses.Field[Any], Any]]:
    """Each field of a dataclass with its resolved annotation."""
    hints = typing.get_type_hints(kind)
    return [(field, hints[field.name]) for field in dataclasses.fields(kind)]


def _closed(hint: Any) -> Any:
    """The annotation without `Open`."""
    parts = typing.get_args(hint)
    return next(part for part in parts if part is not Open) if Open in parts else hint
