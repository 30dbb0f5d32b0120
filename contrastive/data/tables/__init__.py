"""Arrays from files, checked before anything is fitted to them."""

from contrastive.data.tables.columns import say_ignored
from contrastive.data.tables.reading import (
    SUFFIXES,
    column_names,
    has_named_columns,
    is_table,
    open_table,
    read_table,
    split_names,
)
from contrastive.data.tables.stream import TableStream, in_memory
from contrastive.data.tables.table import Table, check, from_array
from contrastive.data.tables.writing import require_written, write_columns

__all__ = [
    "SUFFIXES",
    "Table",
    "TableStream",
    "check",
    "column_names",
    "from_array",
    "has_named_columns",
    "in_memory",
    "is_table",
    "open_table",
    "read_table",
    "require_written",
    "say_ignored",
    "split_names",
    "write_columns",
]
