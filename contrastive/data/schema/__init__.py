"""Columns as they are: the schema of a table, its encoding as events, and the way back."""

from contrastive.data.schema.column import KINDS, Column
from contrastive.data.schema.scaling import TableScaling
from contrastive.data.schema.told import Told, told_kinds

__all__ = ["KINDS", "Column", "TableScaling", "Told", "told_kinds"]
