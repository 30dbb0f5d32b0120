"""Rows of any kind (arrays, frames, files) as a tensor of events."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from contrastive.data import tables
from contrastive.data.images import PixelScaling, are_images, cell_centres
from contrastive.data.images.arrays import channels_first
from contrastive.data.scaling import Coordinates, Scaling
from contrastive.data.schema.scaling import TableScaling
from contrastive.data.sources import dataset_rows
from contrastive.data.tables.frames import from_frame, is_frame
from contrastive.data.tables.raw import raw_table
from contrastive.errors import ContrastiveError

#: Whatever `as_points` takes.
Rows: TypeAlias = Any


def as_rows(
    x: Rows, given: Rows | None, scaling: Coordinates, columns: Sequence[str] | None = None
) -> Float[Tensor, "n *event"]:
    """Rows in original units, with what is given in their last columns.

    Args:
        x: whole rows, as in `as_points`, or only the columns that are not given.
        given: contexts, as in `as_contexts`: one for each row of `x`, or one for all; None where `x` has them.
        scaling: of the estimator.
        columns: names of the columns that were fitted.

    Raises:
        ContrastiveError: as `as_points` and `as_contexts`, or if there are neither as many contexts as rows nor one.
    """
    if given is None:
        return as_points(x, scaling, columns)
    y = as_contexts(given, scaling, columns)
    free = scaling.event_shape[0] - scaling.num_given
    points = as_points(x, Scaling.identity((free,)), columns if columns is None else columns[:free])
    if len(y) not in (1, len(points)):
        raise ContrastiveError(f"{len(points)} rows and {len(y)} contexts: give one context for each row, or one")
    return torch.cat([points.to(torch.promote_types(points.dtype, y.dtype)), y.expand(len(points), -1).to(points)], 1)


def as_contexts(given: Rows, scaling: Coordinates, columns: Sequence[str] | None = None) -> Float[Tensor, "m k"]:
    """Contexts in original units.

    Args:
        given: one context as numbers by column, `{"age": 40}`, or `(k,)` numbers in order (of one column a number); or
            several as a frame, a file or an array `(m, k)`, of one column `(m,)`.
        scaling: of the estimator.
        columns: names of the columns that were fitted.

    Raises:
        ContrastiveError: if the model conditions on nothing, or these are not its contexts.
    """
    k = scaling.num_given
    if not k:
        raise ContrastiveError("this model is not conditional: leave out given, or fit with given=... columns")
    names = None if columns is None else list(columns[len(columns) - k :])
    if isinstance(given, Mapping):
        given = [_context(given, names, k)]
    elif not (isinstance(given, str | Path | Dataset) or is_frame(given)):
        given = given if isinstance(given, Tensor) else torch.from_numpy(np.asarray(given, dtype=np.float64))
        given = given.reshape(1, -1) if given.ndim == 0 or (given.ndim == 1 and k > 1) else given
    return as_points(given, Scaling.identity((k,)), names)


def _context(given: Mapping[str, Any], names: Sequence[str] | None, k: int) -> list[float]:
    """The numbers of one context that is given by the names of its columns."""
    if names is None:
        raise ContrastiveError(f"the given columns of this model have no names: give {k} numbers in order")
    if set(given) != set(names):
        raise ContrastiveError(f"the model is conditional on {', '.join(names)}; got {', '.join(map(str, given))}")
    return [float(given[name]) for name in names]


def as_points(x: Rows, scaling: Coordinates, columns: Sequence[str] | None = None) -> Tensor:
    """Rows in original units as a tensor `(n, *event)`.

    Args:
        x: a tensor (which keeps its graph and dtype), an array, nested lists, a data frame, the path of a table, or a
            map-style `Dataset`. Images of uint8 are taken at the middle of each pixel's cell, k + 1/2. One column may
            come as `(n,)`.
        scaling: of the estimator; it knows the event's shape, and whether the events are images.
        columns: names of the columns that were fitted, by which those of a frame or file are found.

    Raises:
        ContrastiveError: if `x` is nothing of this, a column is not there, or the rows are other events.
    """
    if isinstance(scaling, TableScaling):
        x = _by_schema(x, scaling)
    if isinstance(x, str | Path) or is_frame(x):
        table = from_frame(x, columns) if is_frame(x) else tables.read_table(x, columns)
        tables.say_ignored(table.others, "the data frame" if is_frame(x) else str(x))
        x = table.values
    if isinstance(x, Dataset):
        x = dataset_rows(x, range(len(x)))  # type: ignore[arg-type]
    if isinstance(scaling, PixelScaling) and are_images(x):
        pixels = x.detach().cpu().numpy() if isinstance(x, Tensor) else x
        x = cell_centres(torch.from_numpy(np.ascontiguousarray(channels_first(pixels))), scaling.bits)
    if not isinstance(x, Tensor):
        x = torch.from_numpy(tables.from_array(x).values)
    event = scaling.event_shape
    if event == (1,) and x.ndim == 1:
        x = x.unsqueeze(1)
    if x.ndim != len(event) + 1 or tuple(x.shape[1:]) != event:
        expected = ", ".join(map(str, ("n", *event)))
        raise ContrastiveError(f"expected a batch of events, shape ({expected}), got {tuple(x.shape)}")
    return x


def _by_schema(x: Rows, scaling: TableScaling) -> Rows:
    """Rows of a table that was fitted as it is: frames, files and rows of a number a column become entries.

    Rows that have the entries already, as the estimator's own samples, stay as they are.

    Raises:
        ContrastiveError: for a value that its column cannot take.
    """
    if isinstance(x, str | Path) or is_frame(x):
        table = raw_table(x, [column.name for column in scaling.columns])
        if table.named:
            tables.say_ignored(table.others, "the data frame" if is_frame(x) else str(x))
        return scaling.encode(table)
    entries, columns = scaling.event_shape[0], len(scaling.columns)
    values = x.detach().cpu().double().numpy() if isinstance(x, Tensor) else tables.from_array(x).values
    is_table = values.ndim == 2 and values.shape[1] == columns and not (isinstance(x, Tensor) and columns == entries)
    return scaling.encode_array(values) if is_table else x
