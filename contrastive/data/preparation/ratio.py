"""Preparation of log-ratios: of two tables, or of one table's joint law and the product of its margins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.preparation.copies import are_many, count_copies
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import Portions, choose_batch_size, split_rows, validation_rows
from contrastive.data.scaling import RatioScaling, Scaling
from contrastive.data.sources import ArraySource
from contrastive.data.tables.columns import pick
from contrastive.data.tables.frames import from_frame, is_frame
from contrastive.errors import ContrastiveError, listed, warn
from contrastive.noises.empirical import EmpiricalNoise, IndependentNoise
from contrastive.protocols import NoiseModel

_FEWEST = 20  # rows of each sample
_BATCH_SIZE = 1000


@dataclass(frozen=True)
class PreparedRatio:
    """The data of a log-ratio, ready to train on.

    Attributes:
        data: rows of A (or of the joint law) as for every fit; its `held_out_noise` are held-out rows of B.
        noise: training rows of B (or of the joint law, to be paired anew).
        test: held-out rows of B, original units; None where B is the product of margins.
        a: table A as it was given, its columns in the order of the event.
        b: table B likewise; None where B is the product of margins.
        held_out: numbers of A's and of B's held-out rows in those tables.
        split: how many columns the first side of a joint law has; None for two tables.
    """

    data: Prepared
    noise: NoiseModel
    test: Float[Tensor, "m d"] | None
    a: tables.Table
    b: tables.Table | None
    held_out: tuple[Tensor, Tensor | None]
    split: int | None = None


def prepare_ratio(a: Any, b: Any, config: FitConfig) -> PreparedRatio:
    """Two tables, each split at random into training, validation and test rows.

    Model coordinates have mean 0 and standard deviation 1 under the equal mixture of both samples.

    Args:
        a: rows of A: an array, a tensor, nested lists, a data frame or the path of a table.
        b: rows of B, with the same columns: found by name where both have names, else in order.
        config: of the run.

    Raises:
        ContrastiveError: if columns differ, entries are missing, rows are too few, a column is constant, or both
            samples have no value of a column in common: the ratio is unbounded there.
    """
    wanted = tables.split_names(config.data.columns)
    of_a = _table(a, wanted, "A")
    of_b = _matched(of_a, b, wanted)
    _check(of_a, "A")
    _check(of_b, "B")
    _check_overlap(of_a, of_b)
    rows = [torch.from_numpy(table.values) for table in (of_a, of_b)]
    parts = [_split(len(x), config) for x in rows]
    (a_rows, b_rows) = ([x[portion] for portion in portions] for x, portions in zip(rows, parts))
    scaling = _pooled(a_rows[2], b_rows[2], of_a.columns, standardize=config.data.standardize is not False)
    z = [scaling(part).to(config.run.device) for part in (b_rows[2], b_rows[0])]
    data = _prepared(of_a, a_rows, scaling, config, EmpiricalNoise(z[1]))
    held_out = (parts[0].test, parts[1].test)
    return PreparedRatio(data, EmpiricalNoise(z[0]), b_rows[1], of_a, of_b, held_out)


def prepare_independence(
    table: Any, sides: tuple[str | int | Sequence[str | int], ...], config: FitConfig
) -> PreparedRatio:
    """One table of pairs (x, y), whose joint law is held against the product of its margins.

    Args:
        table: as in `prepare_ratio`.
        sides: the columns of x and those of y, by name, or of an array by number.
        config: of the run.

    Raises:
        ContrastiveError: if a column is named twice or is not there, a side has none, or as `prepare_ratio`.
    """
    if config.data.columns:
        raise ContrastiveError("the columns are those of the two sides: leave out columns (--columns)")
    names = _checked_sides(sides)
    both = [*names[0], *names[1]]
    given = _table(table, None if _is_array(table) else [str(name) for name in both], "the table")
    places = _places(given, both if _is_array(table) else given.columns)
    joint = replace(given, values=given.values[:, places], columns=[given.columns[i] for i in places])
    _check(joint, "the table")
    x = torch.from_numpy(joint.values)
    portions = _split(len(x), config)
    rows = [x[portion] for portion in portions]
    scaling = _pooled(rows[2], rows[2], joint.columns, standardize=config.data.standardize is not False)
    split = len(names[0])
    z = [scaling(part).to(config.run.device) for part in (rows[2], rows[0])]
    data = _prepared(joint, rows, scaling, config, IndependentNoise(z[1], split))
    return PreparedRatio(data, IndependentNoise(z[0], split), None, joint, None, (portions.test, None), split)


def _prepared(
    table: tables.Table, rows: Sequence[Tensor], scaling: Scaling, config: FitConfig, held_out: NoiseModel
) -> Prepared:
    validation, test, train = rows
    z = scaling(train).to(config.run.device)
    return Prepared(
        source=ArraySource(z),
        scaling=scaling,
        fitting=z,
        validation=validation,
        test=test,
        batch_size=choose_batch_size(len(train), config, _BATCH_SIZE),
        truth=None,
        columns=table.columns,
        standardize=config.data.standardize is not False,
        validation_share=len(validation) / len(table.values),
        named=table.named,
        held_out_noise=held_out,
    )


def _split(n: int, config: FitConfig) -> Portions:
    return split_rows(n, validation=validation_rows(n, config), test=round(config.data.test * n), seed=config.run.seed)


def _is_array(data: Any) -> bool:
    return not (isinstance(data, str | Path) or is_frame(data))


def _table(data: Any, columns: Sequence[str] | None, name: str) -> tables.Table:
    """Rows of vectors with names for their columns."""
    if isinstance(data, str | Path):
        return tables.read_table(data, columns)
    if is_frame(data):
        return from_frame(data, columns)
    table = tables.from_array(data.detach().cpu().numpy() if isinstance(data, Tensor) else data)
    if table.values.ndim != 2:
        raise ContrastiveError(f"{name} has rows of shape {table.values.shape[1:]}: a ratio is one of tables")
    return table if columns is None else _picked(table, columns)


def _picked(table: tables.Table, columns: Sequence[str | int]) -> tables.Table:
    places = _places(table, columns)
    return replace(table, values=table.values[:, places], columns=[table.columns[i] for i in places])


def _matched(a: tables.Table, b: Any, wanted: Sequence[str] | None) -> tables.Table:
    """Table B with A's columns, in A's order.

    Raises:
        ContrastiveError: if they have other columns.
    """
    table = _table(b, wanted, "B")
    if a.named and table.named:
        only = [[name for name in one.columns if name not in two.columns] for one, two in ((a, table), (table, a))]
        if any(only):
            said = " and ".join(f"{listed(names)} in {side} alone" for names, side in zip(only, "AB") if names)
            raise ContrastiveError(f"the two tables have other columns, {said}: name those to compare with --columns")
        return _picked(table, a.columns)
    if a.values.shape[1] != table.values.shape[1]:
        raise ContrastiveError(
            f"A has {a.values.shape[1]} columns and B {table.values.shape[1]}: give both the same columns in the same "
            "order"
        )
    return table


def _places(table: tables.Table, columns: Sequence[str | int]) -> list[int]:
    if all(isinstance(column, str) for column in columns):
        return pick(table.columns, [str(column) for column in columns], "the table")
    wrong = [column for column in columns if not isinstance(column, int) or not 0 <= column < len(table.columns)]
    if wrong:
        raise ContrastiveError(f"there is no column {wrong[0]!r}: the table has {len(table.columns)}, from number 0")
    return [int(column) for column in columns]


def _checked_sides(sides: Any) -> tuple[list[str | int], list[str | int]]:
    if not isinstance(sides, tuple | list) or len(sides) != 2:
        raise ContrastiveError(
            f"independent takes the columns of two sides, such as ('x', ['y1', 'y2']), got {sides!r}"
        )
    x, y = ([side] if isinstance(side, str | int) else list(side) for side in sides)
    if not x or not y:
        raise ContrastiveError("all columns are on one side: independence is a question about two, name one for each")
    if twice := next((column for column in [*x, *y] if [*x, *y].count(column) > 1), None):
        raise ContrastiveError(f"the column {twice!r} is named twice: it cannot be independent of itself")
    return x, y


def _check(table: tables.Table, name: str) -> None:
    """Refuse missing entries and too few rows."""
    if len(table.values) < _FEWEST:
        raise ContrastiveError(f"{name} has {len(table.values)} rows: a ratio needs at least {_FEWEST} of each sample")
    if not np.isfinite(table.values).all():
        try:
            tables.check(table)
        except ContrastiveError as error:
            raise ContrastiveError(f"{name}: {error}") from error


def _check_overlap(a: tables.Table, b: tables.Table) -> None:
    """Refuse samples that have no value of a column in common, and warn of rows that are in both."""
    low, high = (np.stack([take(table.values, axis=0) for table in (a, b)]) for take in (np.min, np.max))
    apart = np.flatnonzero(low.max(0) > high.min(0))
    if len(apart):
        i = int(apart[0])
        more = f" (and {len(apart) - 1} more columns)" if len(apart) > 1 else ""
        raise ContrastiveError(
            f"column {a.columns[i]!r} is from {low[0, i]:g} to {high[0, i]:g} in A and from {low[1, i]:g} to "
            f"{high[1, i]:g} in B{more}: the samples do not overlap, and their ratio is unbounded there; are the units "
            "the same? Else leave the column out (--columns)"
        )
    copies = count_copies(a.values, b.values)
    if are_many(copies, len(a.values)) and len(np.unique(a.values, axis=0)) > len(a.values) / 2:
        warn(
            f"{copies:,} of {len(a.values):,} rows of A occur in B too: the samples are not independent, and held-out "
            "figures do not say what they promise"
        )


def _pooled(a: Tensor, b: Tensor, columns: Sequence[str], *, standardize: bool) -> RatioScaling:
    """Mean 0 and standard deviation 1 under the equal mixture of both."""
    means, variances = (torch.stack([getattr(x.double(), how)(0) for x in (a, b)]) for how in ("mean", "var"))
    loc, scale = means.mean(0), (variances.mean(0) + means.var(0, correction=0)).sqrt()
    if constant := [columns[i] for i in (scale == 0).nonzero().flatten().tolist()]:
        raise ContrastiveError(
            f"constant columns say nothing of a ratio: {listed(constant)}; leave them out (--columns)"
        )
    return RatioScaling(loc, scale) if standardize else RatioScaling(torch.zeros_like(loc), torch.ones_like(scale))
