"""Errors that a user can act on."""

import difflib
from collections.abc import Iterable


class ContrastiveError(ValueError):
    """Something the caller can mend; the message says what was wrong and what to do.

    The command line prints the message as one line and exits with code 2.
    """


class NumericalError(ContrastiveError):
    """Training met too many non-finite values to go on; the last good checkpoint is kept."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A half sentence for an unknown `name`: the near ones first, else all of `known`."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(repr(word) for word in near)}?"
    return f"known: {', '.join(known)}" if known else "none is known"
