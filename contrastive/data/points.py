"""Rows of any kind (arrays, frames, files) as a tensor of events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from contrastive.data import tables
from contrastive.data.images import PixelScaling, are_images, cell_centres
from contrastive.data.images.arrays import channels_first
from contrastive.data.scaling import Coordinates
from contrastive.data.schema.scaling import TableScaling
from contrastive.data.sources import dataset_rows
from contrastive.data.tables.frames import from_frame, is_frame
from contrastive.data.tables.raw import raw_table
from contrastive.errors import ContrastiveError

#: Whatever `as_points` takes.
Rows: TypeAlias = Any


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
