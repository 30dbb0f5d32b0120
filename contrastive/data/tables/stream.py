"""Tables read in blocks of rows, for files larger than memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.table import Table


@dataclass(frozen=True)
class TableStream:
    """The rows of a file, to be read in order and in blocks, as often as wanted.

    Attributes:
        columns: a name for each of the event's entries, in order.
        rows: how many there are.
        event_shape: of a row.
        blocks: gives the rows, so many at once (the last block may have fewer): float64, shape `(rows, *event)`, NaN
            where an entry is missing. Raises `ContrastiveError` where the file cannot be read on.
        named: whether the columns have names of their own; those of an array are counted.
        others: columns that are there and left out.
    """

    columns: list[str]
    rows: int
    event_shape: tuple[int, ...]
    blocks: Callable[[int], Iterator[NDArray[np.float64]]]
    named: bool = False
    others: list[str] = field(default_factory=list)


def in_memory(table: Table) -> TableStream:
    """The rows of a table that has been read."""
    values = table.values

    def blocks(rows: int) -> Iterator[NDArray[np.float64]]:
        return (values[start : start + rows] for start in range(0, len(values), rows))

    return TableStream(table.columns, len(values), tuple(values.shape[1:]), blocks, table.named, table.others)
