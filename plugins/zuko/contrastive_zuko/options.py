"""Options of a zuko class, read from the signatures along its chain of keyword arguments, and their checks."""

import collections.abc
import inspect
import typing
from collections.abc import Iterable
from typing import Any

from torch import nn

from contrastive.errors import ContrastiveError, did_you_mean

#: Nonlinearities by name; in Python any module class will do.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
}
#: Arguments that the plugin or the class before in the chain decides, or that only Python can give.
_DECIDED = {"self", "features", "context", "in_features", "out_features", "args", "kwargs"}
_DECIDED |= {"univariate", "shapes", "order", "adjacency", "mask"}


def options_of(chain: Iterable[type]) -> dict[str, Any]:
    """Name and annotation of every option of a class and of those that it hands its keyword arguments to."""
    parameters = [p for cls in chain for p in inspect.signature(cls.__init__).parameters.values()]  # type: ignore[misc]
    return {p.name: p.annotation for p in parameters if p.name not in _DECIDED}


def checked(name: str, options: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Options as zuko wants them: an activation by its class, a single size as a sequence of one.

    Args:
        name: the noise, for messages.
        options: as given.
        known: annotation of each option that there is.

    Raises:
        ContrastiveError: for an unknown option, a wrong type, or a number that is not positive.
    """
    for option, value in options.items():
        if option not in known:
            raise ContrastiveError(f"{name} has no option {option!r}; it has {', '.join(known)}")
        if not _fits(value, known[option]):
            raise ContrastiveError(
                f"{name} takes {_kind(known[option])} for {option}, got {value!r}; its options: {', '.join(known)}"
            )
    return {option: _as_zuko_wants(value, known[option]) for option, value in options.items()}


def one_of(option: str, value: str, known: Iterable[str]) -> str:
    """`value`, if it is one of `known`.

    Raises:
        ContrastiveError: if it is not.
    """
    if value not in (known := list(known)):
        raise ContrastiveError(f"unknown {option} {value!r}; {did_you_mean(str(value), known)}")
    return value


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of the annotated type, and positive where it is a number."""
    if _is_activation(annotation):
        by_name = isinstance(value, str) and value in ACTIVATIONS
        return by_name or (isinstance(value, type) and issubclass(value, nn.Module))
    if typing.get_origin(annotation) is typing.Literal:
        return value in typing.get_args(annotation)
    if _is_sizes(annotation):
        sizes = value if isinstance(value, list | tuple) else [value]
        return bool(sizes) and all(_fits(size, int) for size in sizes)
    if annotation is bool or annotation is dict or typing.get_origin(annotation) is dict:
        return isinstance(value, typing.get_origin(annotation) or annotation)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    return isinstance(value, int) and not isinstance(value, bool) and value > 0  # int, or int | None


def _kind(annotation: Any) -> str:
    """The annotated type in words."""
    if _is_activation(annotation):
        return f"one of {', '.join(ACTIVATIONS)}"
    if typing.get_origin(annotation) is typing.Literal:
        return f"one of {', '.join(typing.get_args(annotation))}"
    if _is_sizes(annotation):
        return "positive whole numbers such as 64,64"
    if annotation is bool:
        return "true or false"
    if typing.get_origin(annotation) is dict:
        return "a mapping such as '{hidden_features: [16, 16]}'"
    return "a positive number" if annotation is float else "a positive whole number"


def _as_zuko_wants(value: Any, annotation: Any) -> Any:
    if _is_activation(annotation):
        return ACTIVATIONS[value] if isinstance(value, str) else value
    if _is_sizes(annotation):
        return tuple(value) if isinstance(value, list | tuple) else (value,)
    return value


def _is_activation(annotation: Any) -> bool:
    return any(
        typing.get_origin(part) is collections.abc.Callable for part in (annotation, *typing.get_args(annotation))
    )


def _is_sizes(annotation: Any) -> bool:
    return typing.get_origin(annotation) is collections.abc.Sequence
