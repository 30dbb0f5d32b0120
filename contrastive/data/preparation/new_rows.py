"""Rows that a finished run is evaluated on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.densities import available_densities, make_density
from contrastive.data.images import names_images
from contrastive.data.labels import Name, encode
from contrastive.data.preparation.images import images_of, read_image_rows
from contrastive.data.preparation.labels import IMAGE_LABELS, labelled_draws
from contrastive.data.preparation.rows import draw
from contrastive.data.preparation.splits import FRESH_TEST, TEST_SEED
from contrastive.data.preparation.weights import event_array
from contrastive.data.scaling import Coordinates
from contrastive.data.schema.scaling import TableScaling
from contrastive.data.tables.raw import RawTable, raw_table
from contrastive.errors import ContrastiveError, listed


def read_rows(
    data: str,
    config: FitConfig,
    event_shape: tuple[int, ...],
    *,
    columns: Sequence[str] | None = None,
    classes: list[Name] | None = None,
    scaling: Coordinates | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Rows to evaluate a finished run on: fresh draws of a density, a whole file, or images.

    Args:
        data: their name.
        config: of the run; its sections `data` and `labels` are read.
        event_shape: of the run.
        columns: names of the columns that the run was fitted to, by which those of a table are found; None where they
            have none and are taken in order.
        classes: names of the run's classes.
        scaling: of the run; where it was fitted to a table as it is, rows are read by that schema.

    Returns:
        The rows, and their classes where they are known and the run has some.

    Raises:
        ContrastiveError: if a column is not there, the rows do not fit the run's `event_shape`, or a label is none of
            its classes.
    """
    labels: Any = None
    if data in available_densities():
        density = make_density(data)
        x, labels = draw(density, FRESH_TEST, TEST_SEED), labelled_draws(density, FRESH_TEST, TEST_SEED)
    elif isinstance(scaling, TableScaling):
        x, labels = _by_schema(data, config, scaling)
    elif names_images(data, config.data.columns or None):
        x, labels = read_image_rows(images_of(data, config), config)
    else:
        table = _read_fitted(data, config, columns)
        labels = table.labels
        if not np.isfinite(table.values).all():
            tables.check(table)
        x = torch.from_numpy(table.values)
    if tuple(x.shape[1:]) != event_shape:
        raise ContrastiveError(f"{data} has rows of shape {tuple(x.shape[1:])}, the run was fitted to {event_shape}")
    return x, None if classes is None or labels is None else encode(labels, classes)[0]


def open_rows(
    data: str,
    config: FitConfig,
    event_shape: tuple[int, ...],
    *,
    columns: Sequence[str] | None = None,
    scaling: Coordinates | None = None,
) -> tables.TableStream:
    """A file's rows, to be scored in blocks and in order; columns are found as by `read_rows`.

    Where the run was fitted to a table as it is, the file is read whole, by that schema.

    Raises:
        ContrastiveError: if it is no table, a column is not there, or the rows do not fit the run's `event_shape`.
    """
    if not tables.is_table(data) or names_images(data, config.data.columns or None):
        raise ContrastiveError(
            f"{data} is no table: expected one of {', '.join(tables.SUFFIXES)}; for images take the estimator's "
            "score_samples in Python"
        )
    if isinstance(scaling, TableScaling):
        x = scaling.encode(_raw_by_schema(data, config, scaling)).numpy()
        return tables.in_memory(tables.Table(x, scaling.entries, named=True))
    stream = tables.open_table(data, *_chosen(data, config, columns))
    if columns is not None and stream.named:
        tables.say_ignored(_not_weights(stream.others, config), data)
    if stream.event_shape != event_shape:
        raise ContrastiveError(f"{data} has rows of shape {stream.event_shape}, the run was fitted to {event_shape}")
    return stream


def _by_schema(data: str, config: FitConfig, scaling: TableScaling) -> tuple[Tensor, Any]:
    """A file's rows as entries, and their labels.

    Raises:
        ContrastiveError: naming the first value that is missing where none was in training.
    """
    table = _raw_by_schema(data, config, scaling)
    x = scaling.encode(table)
    if x.isnan().any():
        row, entry = x.isnan().nonzero()[0].tolist()
        raise ContrastiveError(
            f"column {scaling.entries[entry]!r}, row {row + 1}: a missing value, and training had none there; fill it "
            "(contrastive impute), or leave the row out"
        )
    return x, table.labels


def _raw_by_schema(data: str, config: FitConfig, scaling: TableScaling) -> RawTable:
    table = raw_table(data, [column.name for column in scaling.columns], config.labels.column or None)
    if table.named:
        tables.say_ignored(table.others, data)
    return table


def label_column_in(data: str, config: FitConfig) -> str:
    """The run's column of labels if the file has it, else "": new data need not."""
    if not tables.is_table(data) or not Path(data).is_file():
        return ""
    arrays = list(IMAGE_LABELS) if config.labels.per_class >= 0 and data.endswith(".npz") else []
    wanted = [config.labels.column] if config.labels.column else arrays
    return next((name for name in wanted if name in tables.column_names(data)), "") if wanted else ""


def _read_fitted(data: str, config: FitConfig, columns: Sequence[str] | None) -> tables.Table:
    """A file's rows in the order of the run's columns."""
    table = tables.read_table(data, *_chosen(data, config, columns))
    if columns is not None and tables.has_named_columns(data):
        tables.say_ignored(_not_weights(table.others, config), data)
    return table


def _not_weights(others: Sequence[str], config: FitConfig) -> list[str]:
    return [name for name in others if name != config.data.weight_column]


def _chosen(
    data: str, config: FitConfig, columns: Sequence[str] | None
) -> tuple[str | Sequence[str] | None, str | None]:
    """The columns to read, and that of the labels: those of the run, where it and the file have names for them."""
    label = config.labels.column or None
    if columns is None or not tables.has_named_columns(data):
        return event_array(data, tables.split_names(config.data.columns), label, config.data.weight_column), label
    given = tables.split_names(config.data.columns)
    if given is not None and set(given) != set(columns):
        raise ContrastiveError(
            f"--columns names {listed(given)}, but the run was fitted to {listed(columns)}: columns are found by name, "
            "leave it out"
        )
    return columns, label
