"""Selection of columns by name, and the warnings and errors about the others."""

from collections.abc import Callable, Sequence
from pathlib import Path

from contrastive.errors import ContrastiveError, did_you_mean, listed, warn

_DATES = "turn them into numbers, such as days since the first, leave them out (--columns), or take --data.mixed true"


class Notes:
    """How a file was read where that is not plain from it; said in one warning."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes: list[str] = []

    def add(self, note: str) -> None:
        """Keep one for the warning."""
        self._notes.append(note)

    def say(self) -> None:
        """The warning, where there is something to say."""
        if self._notes:
            warn(f"{self.path}: {'; '.join(self._notes)}")


def one_line(text: str) -> str:
    """`text` with spaces for line ends: names come from files."""
    return " ".join(text.splitlines())


def pick(found: Sequence[str], wanted: Sequence[str], where: str, shown: Sequence[str] | None = None) -> list[int]:
    """Where each of the `wanted` columns stands among those `found`: their order means nothing.

    Args:
        found: names that there are.
        wanted: names in the order in which they are wanted.
        where: what holds the columns, for the message.
        shown: names that the message may list; all that were found unless told.

    Raises:
        ContrastiveError: naming those that are not there.
    """
    known = [one_line(name) for name in (found if shown is None else shown)]
    missing = [name for name in wanted if name not in found]
    if len(missing) == 1:
        raise ContrastiveError(f"{where} has no column {missing[0]!r}; {did_you_mean(missing[0], known)}")
    if missing:
        raise ContrastiveError(f"{where} has no columns {listed(missing)}; it has {listed(known)}")
    return [found.index(name) for name in wanted]


def say_ignored(others: Sequence[str], where: str) -> None:
    """Warn of columns that the model was not fitted to."""
    if others:
        warn(f"{where}: ignored the columns {listed(map(one_line, others))}, which the model was not fitted to")


def choose(
    path: Path, names: Sequence[str], wanted: Sequence[str] | None, label: str | None, hidden: Sequence[str] = ()
) -> list[str]:
    """The columns of the event: those wanted, or all but that of the labels.

    Args:
        path: of the file.
        names: of its columns.
        wanted: by the user.
        label: the column of labels.
        hidden: names of columns that are there, but only for who asks.

    Raises:
        ContrastiveError: if a column is unknown or asked for twice, or none is left.
    """
    pick([*names, *hidden], [*(wanted or []), *([label] if label is not None else [])], str(path), shown=names)
    if wanted is not None:
        wanted = list(wanted)
        twice = next((name for name in wanted if wanted.count(name) > 1), None)
        if twice is not None:
            raise ContrastiveError(f"--columns names {twice!r} twice")
        return wanted
    chosen = [name for name in names if name != label]
    if not chosen:
        raise ContrastiveError(f"{path} has no columns of numbers")
    return chosen


def refuse_text(text: Sequence[str], dates: Sequence[str], example: Callable[[str], str]) -> None:
    """Refuse columns that hold no numbers.

    Args:
        text: their names.
        dates: the names of those that hold dates.
        example: what is said of a column by name, such as a value and where it is.

    Raises:
        ContrastiveError: naming the columns and an example of the first.
    """
    if text:
        raise ContrastiveError(
            f"columns that are not numeric: {', '.join(map(one_line, text[:5]))}; {example(text[0])}; leave them out "
            "(--columns), name the one of the classes (--label-column), or take them as categories (--data.mixed true)"
        )
    if dates:
        raise ContrastiveError(
            f"columns that hold dates: {', '.join(map(one_line, dates[:5]))}; {example(dates[0])}; {_DATES}"
        )
