"""Errors that a user can act on."""

import difflib
import sys
import warnings
from collections.abc import Iterable


class ContrastiveError(ValueError):
    """Something the caller can mend; the message says what was wrong and what to do.

    The command line prints the message as one line and exits with code 2.
    """


class MissingExtraError(ContrastiveError, ImportError):
    """A package is not installed that comes with an extra of this distribution."""


def missing_extra(needs: str, extra: str, error: ImportError) -> MissingExtraError:
    """What to raise where an optional package does not import.

    Args:
        needs: the begin of the sentence, up to the package: "reports need".
        extra: that brings the package.
        error: of the import.
    """
    package = (error.name or str(error)).partition(".")[0]
    why = "" if isinstance(error, ModuleNotFoundError) else f", which does not import ({error})"
    return MissingExtraError(f"{needs} {package}{why}: pip install 'contrastive-estimation[{extra}]'")


class NumericalError(ContrastiveError):
    """Training met too many non-finite values to go on; the last good checkpoint is kept."""


def near(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """A half sentence with those of `known` that are spelt like `name`; empty where none is."""
    folded = {word.casefold(): word for word in sorted(set(known), reverse=True)}
    words = [folded[word] for word in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=cutoff)]
    return f"did you mean {' or '.join(repr(word) for word in words)}?" if words else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A half sentence for an unknown `name`: the near ones, else all of `known`."""
    known = sorted(known)
    if hint := near(name, known):
        return hint
    return f"known: {', '.join(known)}" if known else "none is known"


class ContrastiveWarning(UserWarning):
    """Something worth a user's attention that does not stop the work."""


def warn(message: str) -> None:
    """Say `message` as a `ContrastiveWarning`: Python users see a warning, the command line prints one line.

    It points at the line outside of this package from which the work was asked for.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "contrastive":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, ContrastiveWarning, stacklevel=level)


def warn_renamed(old: str, new: str, *, stacklevel: int = 3) -> None:
    """A `DeprecationWarning` that `old` is called `new`, at the line that used the old name.

    Args:
        old: the name that goes with the next version.
        new: what to write instead.
        stacklevel: as in `warnings.warn`; by default the caller of the function or property that calls this.
    """
    warnings.warn(f"{old} is deprecated and will be removed: use {new}", DeprecationWarning, stacklevel=stacklevel)


def listed(names: Iterable[object], most: int = 10) -> str:
    """The first `most` names, quoted and separated by commas."""
    quoted = [repr(str(name)) for name in names]
    rest = f" and {len(quoted) - most} more" if len(quoted) > most else ""
    return ", ".join(quoted[:most]) + rest
