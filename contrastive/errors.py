"""Errors that a user can act on."""

import difflib
import warnings
from collections.abc import Iterable


class ContrastiveError(ValueError):
    """Something the caller can mend; the message says what was wrong and what to do.

    The command line prints the message as one line and exits with code 2.
    """


class NumericalError(ContrastiveError):
    """Training met too many non-finite values to go on; the last good checkpoint is kept."""


class ContrastiveWarning(UserWarning):
    """Something worth a user's attention that does not stop the work."""


def warn(message: str) -> None:
    """Say `message` as a `ContrastiveWarning`."""
    warnings.warn(message, ContrastiveWarning, stacklevel=2)


def near(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A half sentence with those of `known` that are spelt like `name`; empty where none is."""
    words = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=cutoff)
    return f"did you mean {' or '.join(repr(word) for word in words)}?" if words else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A half sentence for an unknown `name`: the near ones, else all of `known`."""
    known = sorted(known)
    if hint := near(name, known):
        return hint
    return f"known: {', '.join(known)}" if known else "none is known"
