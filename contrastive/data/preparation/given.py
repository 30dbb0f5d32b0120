"""Columns that a density is conditional on: found by name, and put behind those that it is a density of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.tables.frames import from_frame, is_frame
from contrastive.errors import ContrastiveError, did_you_mean, listed


def given_columns(config: FitConfig) -> list[str]:
    """Names of the given columns; none for a density of whole events.

    Raises:
        ContrastiveError: if one is named twice, or holds the labels.
    """
    names = tables.split_names(config.data.given) or []
    if twice := [name for name in names if names.count(name) > 1]:
        raise ContrastiveError(f"--given names {twice[0]!r} twice")
    if config.labels.column in names:
        raise ContrastiveError(
            f"{config.labels.column!r} is both given and the column of the labels: p(x | {config.labels.column}) is "
            "learned with it given, a classifier with it as --label-column; leave one out"
        )
    return names


def names_columns(given: Any) -> bool:
    """Whether `given` names columns of the data, and is none itself."""
    if isinstance(given, str):
        return True
    return isinstance(given, list | tuple) and bool(given) and all(isinstance(name, str) for name in given)


def joined(x: Any, y: Any) -> tuple[tables.Table, list[str]]:
    """One table of rows x and, behind them, their contexts y; and the names of the contexts' columns.

    Args:
        x: an array, tensor, lists or a data frame.
        y: likewise, as many rows; `(n,)` is one column.

    Raises:
        ContrastiveError: if either is no table, their rows are not as many, or both have a column of one name.
    """
    parts = [_as_table(x, "x"), _as_table(y, "given")]
    rows = [len(part.values) for part in parts]
    if rows[0] != rows[1]:
        raise ContrastiveError(f"{rows[0]} rows and {rows[1]} contexts: given must have one row for each row of x")
    names = [name for part in parts for name in part.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ContrastiveError(f"x and given both have a column {twice[0]!r}: leave it out of one")
    values = np.concatenate([part.values for part in parts], 1)
    return tables.Table(values, names, named=all(part.named for part in parts)), parts[1].columns


def _as_table(data: Any, what: str) -> tables.Table:
    if isinstance(data, Tensor):
        data = data.detach().cpu().numpy()
    if is_frame(data):
        return from_frame(data)
    if not isinstance(data, np.ndarray | list | tuple):
        raise ContrastiveError(
            f"given as values goes with x as values, {what} is a {type(data).__name__}: name columns of the data"
        )
    table = tables.from_array(data)
    if table.values.ndim != 2:
        raise ContrastiveError(f"conditional densities are of vectors, {what} has rows of {table.values.shape[1:]}")
    return table if what == "x" else replace(table, columns=[f"y{i}" for i in range(len(table.columns))])


def with_given(columns: Sequence[str] | None, given: Sequence[str]) -> Sequence[str] | None:
    """The columns to read: those that are asked for, and those that are given."""
    return columns if columns is None else [*columns, *(name for name in given if name not in columns)]


def given_last(table: tables.Table, given: Sequence[str]) -> tables.Table:
    """The table with its given columns last, in the order in which they are named.

    Raises:
        ContrastiveError: if one is not there, has one value only, or none is left for the density.
    """
    if not given:
        return table
    if table.values.ndim != 2:
        raise ContrastiveError(f"rows of shape {table.values.shape[1:]} have no columns to be given: leave out --given")
    if missing := [name for name in given if name not in table.columns]:
        hint = did_you_mean(missing[0], table.columns)
        raise ContrastiveError(f"--given names {missing[0]!r}, which is no column of the data; {hint}")
    free = [name for name in table.columns if name not in given]
    if not free:
        raise ContrastiveError(f"--given names every column ({listed(given)}): leave one out to be the density's")
    order = [table.columns.index(name) for name in [*free, *given]]
    values = table.values[:, order]
    y = values[:, len(free) :]
    constant = [name for name, column in zip(given, y.T) if len(y) > 1 and np.nanmin(column) == np.nanmax(column)]
    if constant:
        raise ContrastiveError(f"the given column {constant[0]!r} has one value in all rows: leave it out of --given")
    return replace(table, values=values, columns=[*free, *given])


def refuse_given(config: FitConfig, why: str) -> None:
    """Refuse data that have no columns to be given, where that is asked for.

    Raises:
        ContrastiveError: with the reason.
    """
    if config.data.given:
        raise ContrastiveError(f"--given is for the columns of a table: {why}, leave it out")
