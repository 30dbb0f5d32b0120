"""Rows of a fitted table as a data frame: words, whole numbers, truths and dates, with their gaps."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from contrastive.data.schema.column import Column
from contrastive.data.schema.scaling import TableScaling
from contrastive.errors import missing_extra


def to_frame(x: Float[Tensor, "n d"], scaling: TableScaling) -> Any:
    """A data frame of pandas with the columns of the table.

    Args:
        x: rows in the table's units, as the estimator's `sample` gives them.
        scaling: of the fit.

    Raises:
        MissingExtraError: if pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise missing_extra("data frames need", "tables", error) from error
    values = scaling.decode(x)
    return pd.DataFrame({column.name: _typed(pd, column, values[column.name]) for column in scaling.columns})


def _typed(pd: Any, column: Column, values: NDArray[Any]) -> Any:
    if column.kind == "date":
        gone = np.isnan(values)
        seconds = np.round(np.where(gone, 0, values) * 86_400).astype("datetime64[s]")
        return pd.Series(np.where(gone, np.datetime64("NaT"), seconds))
    if column.kind == "boolean":
        return pd.Series(values, dtype="boolean")
    if values.dtype == object:
        return pd.Series(values, dtype=object)
    whole = column.is_discrete and bool(np.all(np.isnan(values) | (values == np.round(values))))
    return pd.Series(values).astype("Int64") if whole else pd.Series(values)
