"""Columns are matched by name: the order of a file or frame means nothing."""

from collections.abc import Sequence

from contrastive.errors import ContrastiveError, did_you_mean, listed, warn


def pick(found: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Where each of the `wanted` columns stands among those `found`.

    Args:
        found: names that there are.
        wanted: names in the order in which they are wanted.
        where: what holds the columns, for the message.

    Raises:
        ContrastiveError: naming those that are not there.
    """
    missing = [name for name in wanted if name not in found]
    if len(missing) == 1:
        raise ContrastiveError(f"{where} has no column {missing[0]!r}; {did_you_mean(missing[0], found)}")
    if missing:
        raise ContrastiveError(f"{where} has no columns {listed(missing)}; it has {listed(found)}")
    return [found.index(name) for name in wanted]


def say_ignored(others: Sequence[str], where: str) -> None:
    """Warn of columns that the model was not fitted to."""
    if others:
        warn(f"{where}: ignored the columns {listed(others)}, which the model was not fitted to")
