"""Arrays from files, checked before anything is fitted to them."""

from contrastive.data.tables.reading import SUFFIXES, column_names, is_table, read_table
from contrastive.data.tables.table import Table, check, from_array

__all__ = ["SUFFIXES", "Table", "check", "column_names", "from_array", "is_table", "read_table"]
