"""Tables taken as they are: their schema, and their rows as events with gaps, categories and atoms."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive.config import AUTO, FitConfig
from contrastive.data import tables
from contrastive.data.preparation.copies import count_copies
from contrastive.data.preparation.kinds import infer_columns
from contrastive.data.preparation.labels import numbered, spare_labels, with_row_labels
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import choose_batch_size, split_rows, validation_rows
from contrastive.data.schema.column import Column
from contrastive.data.schema.scaling import TableScaling
from contrastive.data.schema.told import BY_NAME, BY_RANGE, refuse_unknown, told_kinds
from contrastive.data.sources import ArraySource
from contrastive.data.tables.raw import RawTable, is_raw_table, raw_table
from contrastive.errors import ContrastiveError
from contrastive.numerics.layout import takes_layout
from contrastive.registry import noises

_SMALL_BATCH, _BATCH, _SMALL_ROWS = 128, 512, 4_000  # as a noise that is fitted alone takes


def is_taken_as_it_is(config: FitConfig) -> bool:
    """Whether a table's columns are taken as they are, words as categories and gaps as missing.

    So it is where `data.mixed` says so; where that is open, if the kind of a column is told, or the noise is one that
    takes a layout.
    """
    told = [name for name in (*BY_NAME, *BY_RANGE) if getattr(config.data, name)]
    if config.data.mixed is False and told:
        raise ContrastiveError(
            f"--data.{told[0]} tells the kind of columns, and --data.mixed false ignores it: leave one out"
        )
    if config.data.mixed is not None:
        return config.data.mixed
    return bool(told) or _noise_takes_layout(config.noise.name)


def _noise_takes_layout(name: str | None) -> bool:
    if name is None or name == AUTO or name not in noises.names():
        return False
    with suppress(ContrastiveError):  # a plugin that does not import is refused in its own words later
        return takes_layout(noises.load(name))
    return False


def read_as_it_is(data: Any, config: FitConfig) -> RawTable | None:
    """The columns of a table; None for what is no table.

    Raises:
        ContrastiveError: if it cannot be read, a column is not there, or `data.mixed` is asked of what is no table.
    """
    if not is_raw_table(data) or (isinstance(data, str | Path) and not Path(data).exists()):
        if config.data.mixed:
            raise ContrastiveError(
                f"--data.mixed is for tables with columns, and {_described(data)} is none: leave it out"
            )
        return None
    return raw_table(data, tables.split_names(config.data.columns), config.labels.column or None)


def _described(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else f"a {type(data).__name__}"


def _copies(scaling: TableScaling, test: Tensor, others: Tensor) -> int:
    """Test rows that occur among the others, of those with a continuous value: discrete ones are the same by chance."""
    return count_copies(*(rows[scaling.has_continuous(rows)].numpy() for rows in (test, others)))


def schema_of(table: RawTable, config: FitConfig) -> tuple[Column, ...]:
    """The schema that a fit would use.

    Raises:
        ContrastiveError: if it contradicts the values, or names a column that is not there.
    """
    told = told_kinds(config)
    refuse_unknown(told, list(table.columns))
    return infer_columns(table.columns, told)


def from_raw_table(table: RawTable, config: FitConfig, device: torch.device, y: Any = None) -> Prepared:
    """The rows of a table as events, split at random.

    Raises:
        ContrastiveError: as `schema_of`, or if the rows are too few to split.
    """
    if config.data.dequantize:
        raise ContrastiveError(
            "--data.dequantize is for continuous columns: a table as it is has whole numbers as they are"
        )
    columns, n = schema_of(table, config), len(table)
    width = sum(len(column.entries) for column in columns)
    x = TableScaling(columns, torch.zeros(width), torch.ones(width)).encode(table)
    counts = {"validation": validation_rows(n, config), "test": round(config.data.test * n)}
    labels = numbered(table.labels if y is None else y, n)
    portions = spare_labels(split_rows(n, **counts, seed=config.run.seed), labels)
    validation, test, train = (x[rows] for rows in portions)
    standardize = config.data.standardize is not False
    scaling = TableScaling.fitted(columns, train, standardize=standardize)
    z = scaling(train).to(device)
    prepared = Prepared(
        source=ArraySource(z),
        scaling=scaling,
        fitting=z,
        validation=validation,
        test=test[: config.data.test_rows or None],
        batch_size=choose_batch_size(len(train), config, _SMALL_BATCH if len(train) < _SMALL_ROWS else _BATCH),
        truth=None,
        columns=scaling.entries,
        named=table.named,
        standardize=standardize,
        validation_share=len(validation) / n,
        duplicated_test_rows=_copies(scaling, test[: config.data.test_rows or None], torch.cat([validation, train])),
    )
    return with_row_labels(prepared, labels, portions)
