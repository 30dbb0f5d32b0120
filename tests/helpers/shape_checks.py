"""Run-time checks of the shapes in signatures, and of nothing else: wrong types are the code's own errors to give."""

from collections.abc import Callable
from typing import Any

from beartype import beartype


def shapes_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """`beartype`, on the jaxtyping annotations alone."""
    hints = getattr(function, "__annotations__", {})
    shapes = {name: hint for name, hint in hints.items() if "jaxtyping" in repr(hint)}
    if isinstance(function, type) or not shapes:
        return function
    function.__annotations__ = shapes
    return beartype(function)
