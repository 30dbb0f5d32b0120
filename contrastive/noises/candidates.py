"""Options of a noise that are worth trying, as the noise itself proposes them.

A registered factory, class or function, proposes candidates by an attribute `candidates(rows, event_shape)` that
returns a list of options. Neighbours in the list that differ in one growing number alone, such as the components of a
mixture, are a ladder: selection climbs it from the bottom and stops when higher rungs are worse.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

Options = dict[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

_RUNGS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 70, 110, 170, 260)


@runtime_checkable
class ProposesCandidates(Protocol):
    """A factory of noises that says which of its options are worth trying."""

    def candidates(self, rows: int, event_shape: tuple[int, ...]) -> list[Options]:
        """Options to try on `rows` rows of events of `event_shape`, simple ones first; none where it is no choice.

        Args:
            rows: of the data that the noise is fitted to.
            event_shape: shape of one data point.
        """
        ...


@runtime_checkable
class ProposesConditionalCandidates(Protocol):
    """A factory whose conditional noises want other options than those of whole events."""

    def conditional_candidates(self, rows: int, event_shape: tuple[int, ...]) -> list[Options]:
        """As `ProposesCandidates.candidates`; `event_shape` is that of a row with its context."""
        ...


def proposes(
    candidates: Callable[[int, tuple[int, ...]], list[Options]],
    given: Callable[[int, tuple[int, ...]], list[Options]] | None = None,
) -> Callable[[F], F]:
    """Decorator that gives a factory function its `candidates`, and `given` those of its conditional noises.

    Example:
        >>> @proposes(lambda rows, event_shape: [{"width": 16}] if rows > 1000 else [])
        ... def make(event_shape, *, width=64): ...
        >>> candidates_of(make, 5000, (2,))
        [{'width': 16}]
    """

    def add(factory: F) -> F:
        factory.candidates = candidates  # type: ignore[attr-defined]
        if given is not None:
            factory.conditional_candidates = given  # type: ignore[attr-defined]
        return factory

    return add


def candidates_of(
    factory: Callable[..., Any], rows: int, event_shape: tuple[int, ...], num_given: int = 0
) -> list[Options]:
    """The options that a factory proposes; none if it proposes nothing."""
    if num_given and isinstance(factory, ProposesConditionalCandidates):
        return factory.conditional_candidates(rows, event_shape)
    return factory.candidates(rows, event_shape) if isinstance(factory, ProposesCandidates) else []


def ladder(most: int) -> list[int]:
    """Numbers from 1 to `most`, at most 260, in growing steps.

    Example:
        >>> ladder(9)
        [1, 2, 3, 4, 5, 6, 8]
    """
    return [rung for rung in _RUNGS if rung <= most]


def ladders(options: list[Options]) -> list[list[Options]]:
    """The list cut wherever a candidate differs from the one before by more than one growing number.

    Example:
        >>> ladders([{"k": 1, "ridge": 0.1}, {"k": 2, "ridge": 0.1}, {"k": 1, "ridge": 0.2}])
        [[{'k': 1, 'ridge': 0.1}, {'k': 2, 'ridge': 0.1}], [{'k': 1, 'ridge': 0.2}]]
    """
    found: list[list[Options]] = []
    for candidate in options:
        if found and _is_next_rung(found[-1][-1], candidate):
            found[-1].append(candidate)
        else:
            found.append([candidate])
    return found


def _is_next_rung(below: Options, above: Options) -> bool:
    if below.keys() != above.keys():
        return False
    changed = [(below[name], above[name]) for name in below if below[name] != above[name]]
    return len(changed) == 1 and all(isinstance(x, int | float) for x in changed[0]) and changed[0][0] < changed[0][1]
