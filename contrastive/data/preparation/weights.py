"""Weights of rows: their column, which is no part of the event, or one number a row that is given beside the data."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.preparation.splits import Portions
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.numerics.row_weights import as_weights, effective_size

_FEW = 30  # effective rows below which little can be learned
Columns = Sequence[str] | None


def read_weighted(path: str | Path, columns: Columns, label_column: str | None, weight_column: str) -> tables.Table:
    """A file as `tables.read_table` reads it, the column of weights taken out of the event.

    Raises:
        ContrastiveError: as `read_table`, or if the column is not there or holds the labels too.
    """
    if weight_column and weight_column == label_column:
        raise ContrastiveError(f"{weight_column!r} cannot hold both weights and labels: name another column for one")
    if weight_column and str(path).lower().endswith(".npy"):
        raise ContrastiveError(f"{path} has no columns with names to take weights from; save an .npz with x and w")
    if weight_column and str(path).lower().endswith(".npz"):
        weights = tables.read_table(path, [weight_column]).values
        if weights.shape[1:] != (1,):
            raise ContrastiveError(f"the array {weight_column!r} has shape {weights.shape}: give one weight a row")
        table = tables.read_table(path, event_array(path, columns, label_column, weight_column), label_column)
        return replace(table, weights=weights[:, 0])
    return with_weight_column(lambda wanted: tables.read_table(path, wanted, label_column), columns, weight_column)


def event_array(path: str | Path, columns: Columns, label_column: str | None, weight_column: str) -> Columns:
    """The arrays of an .npz that are neither labels nor weights, unless `columns` names one."""
    if columns is not None or not weight_column or not str(path).lower().endswith(".npz"):
        return columns
    others = [name for name in tables.column_names(path) if name not in (label_column, weight_column)]
    return others if len(others) == 1 else None


def with_weight_column(read: Callable[[Columns], tables.Table], columns: Columns, weight_column: str) -> tables.Table:
    """What `read` reads for these columns, that of the weights read along and taken out of the event.

    Raises:
        ContrastiveError: if the column is not there, is one of `columns`, or is the only one.
    """
    if not weight_column:
        return read(columns)
    if columns is not None and weight_column in columns:
        raise ContrastiveError(f"{weight_column!r} holds the weights: leave it out of --columns")
    table = read(None if columns is None else [*columns, weight_column])
    if weight_column not in table.columns:
        near = did_you_mean(weight_column, table.columns)
        raise ContrastiveError(f"there is no column of numbers {weight_column!r} to take weights from; {near}")
    if len(table.columns) == 1:
        raise ContrastiveError(f"{weight_column!r} holds the weights, and there is no other column to fit")
    at = table.columns.index(weight_column)
    names = [name for name in table.columns if name != weight_column]
    return replace(table, values=np.delete(table.values, at, axis=1), columns=names, weights=table.values[:, at])


def weighted(table: tables.Table, config: FitConfig, sample_weight: Any = None) -> tuple[tables.Table, int]:
    """The rows whose weight is not 0, with their weights, and how many others there are.

    Equal weights are none: the fit is the same as without.

    Args:
        table: with the weights of its column, if it has one.
        config: of the run.
        sample_weight: in the place of a column.

    Raises:
        ContrastiveError: if there is a column too, or as `as_weights`.
    """
    if sample_weight is not None and config.data.weight_column:
        raise ContrastiveError("weights come from sample_weight or from weight_column, not from both: leave one out")
    if config.data.weight_column and table.weights is None:
        raise ContrastiveError(f"these data have no columns with names to take {config.data.weight_column!r} from")
    given = table.weights if sample_weight is None else sample_weight
    if given is None:
        return table, 0
    weights = checked_weights(given, len(table.values), config.data.weight_column)
    kept = (weights > 0).numpy()
    zeros = int((~kept).sum())
    if zeros:
        table = _rows(table, kept)
    positive = weights[weights > 0]
    equal = bool(positive.min() == positive.max())
    return replace(table, weights=None if equal else (positive / positive.max()).numpy()), zeros


def checked_weights(given: Any, rows: int, column: str = "") -> Float[Tensor, " n"]:
    """Weights as `as_weights` checks them, on the CPU; a message names their column."""
    try:
        return as_weights(given, rows).cpu()
    except ContrastiveError as error:
        raise ContrastiveError(f"column {column!r}: {error}" if column else str(error)) from error


def refuse_weights(config: FitConfig, sample_weight: Any, why: str) -> None:
    """Refuse weights of data that take none.

    Raises:
        ContrastiveError: with the reason.
    """
    if config.data.weight_column or sample_weight is not None:
        raise ContrastiveError(f"weights are for the rows of a table or an array of numbers: {why}, leave them out")


def split_weights(weights: NDArray[np.float64] | None, portions: Portions, most: int | None) -> dict[str, Any]:
    """The weights of each part of the rows, as fields of `Prepared`; none without weights.

    Args:
        weights: of all rows.
        portions: their split.
        most: test rows that are kept.
    """
    if weights is None:
        return {}
    validation, test, train = (torch.from_numpy(weights)[rows] for rows in portions)
    return {"validation_weight": validation, "test_weight": test[:most], "fitting_weight": train}


def describe_weights(zeros: int, sample_weight: Float[Tensor, " n"] | None) -> str:
    """What weights do to the rows, in one sentence; empty where there are none.

    Args:
        zeros: rows of weight 0, which were left out.
        sample_weight: of the training rows.
    """
    left = f"{zeros:,} row{'s' if zeros > 1 else ''} of weight 0 {'were' if zeros > 1 else 'was'} left out"
    if sample_weight is None:
        return f"{left}; the others have equal weights" if zeros else ""
    rows = len(sample_weight)
    said = (
        f"the weights of {rows:,} training rows are worth {effective_size(sample_weight, rows):,.1f} rows of equal ones"
    )
    return f"{said}; {left}" if zeros else said


def are_few(sample_weight: Float[Tensor, " n"] | None) -> bool:
    """Whether weights leave so few effective rows that a fit learns little: fewer than 30, of at least as many rows."""
    return sample_weight is not None and effective_size(sample_weight, len(sample_weight)) < min(
        _FEW, len(sample_weight)
    )


def read_weights(data: str, config: FitConfig, rows: int) -> Float[Tensor, " n"] | None:
    """The weights of new rows, by the run's column; None where the run or the file has none.

    Raises:
        ContrastiveError: as `as_weights`.
    """
    name = config.data.weight_column
    if not name or not tables.is_table(data) or not Path(data).is_file() or name not in tables.column_names(data):
        return None
    return checked_weights(torch.from_numpy(tables.read_table(data, [name]).values[:, 0]), rows, name)


def _rows(table: tables.Table, kept: NDArray[np.bool_]) -> tables.Table:
    """Some of the rows; that the others can be read is checked before their numbers are lost."""
    if not np.isfinite(table.values).all():
        tables.check(table)
    labels = table.labels
    if labels is not None and len(labels) == len(kept):
        labels = (labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels))[kept]
    numbers = np.flatnonzero(kept)
    line = table.line
    moved = None if line is None else (lambda row: line(int(numbers[row])))
    return replace(table, values=table.values[kept], labels=labels, line=moved)
