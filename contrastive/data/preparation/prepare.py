"""Preparation of whatever `fit` takes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from contrastive.config import SETTINGS, FitConfig, as_option, by_path
from contrastive.data import tables
from contrastive.data.densities import available_densities, make_density
from contrastive.data.images import ImageSet, are_images, available_sets, names_images
from contrastive.data.preparation.given import given_columns, refuse_given, with_given
from contrastive.data.preparation.images import images_of, prepare_images
from contrastive.data.preparation.labels import with_image_labels, with_labels
from contrastive.data.preparation.mixed import from_raw_table, is_taken_as_it_is, read_as_it_is
from contrastive.data.preparation.new_rows import label_column_in
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.rows import from_dataset, from_density, from_table, refuse_dequantize
from contrastive.data.preparation.weights import read_weighted, refuse_weights, weighted, with_weight_column
from contrastive.data.tables.frames import from_frame, is_frame
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.protocols import NoiseModel

_FOR_IMAGES = tuple(f"data.images.{name}" for name in ("size", "color", "logit", "flip", "bits"))


def prepare(
    data: Any,
    config: FitConfig,
    y: Any = None,
    *,
    columns: Sequence[str] | None = None,
    rounding_steps: Mapping[str, float] | None = None,
    sample_weight: Any = None,
) -> Prepared:
    """Prepare a density, a density's or an image set's name, a file, a folder, an array or tensor, or a `Dataset`.

    Args:
        data: any of these; what is `Prepared` already is returned as it is.
        config: of the run.
        y: one label a row of an array, table, set of images or `Dataset`; -1 is unlabelled.
        columns: of a table whose columns are known already (default: those that `config` names).
        rounding_steps: of a run that is there already, by column; they are found where it has none.
        sample_weight: how often each row of an array or table counts, up to a common factor.

    Raises:
        ContrastiveError: if `data` is none of these, cannot be fitted to (see `tables.check`), or `y` or the weights
            are not of it.
    """
    if isinstance(data, Prepared):
        return data
    if columns is None:
        columns = with_given(tables.split_names(config.data.columns), given_columns(config))
    return with_labels(_prepared(data, config, y, columns, rounding_steps, sample_weight), config)


def holds_images(data: Any, name: str = "") -> bool:
    """Whether `data`, given as in `prepare`, are images; `name` picks the array of an .npz.

    Raises:
        ContrastiveError: if an .npz has no array of that name.
    """
    if isinstance(data, str | Path):
        return str(data) not in available_densities() and names_images(str(data), name or None)
    return isinstance(data, Tensor | np.ndarray) and are_images(data)


def _prepared(
    data: Any,
    config: FitConfig,
    y: Any,
    columns: Sequence[str] | None,
    rounding_steps: Mapping[str, float] | None,
    sample_weight: Any,
) -> Prepared:
    device = _device(config.run.device)
    if is_taken_as_it_is(config) and (raw := read_as_it_is(data, config)) is not None:
        refuse_given(config, "a table that is taken as it is (--data.mixed) has a density of whole rows")
        refuse_weights(config, sample_weight, "a table that is taken as it is (--data.mixed) has none yet")
        return from_raw_table(raw, config, device, y)
    if holds_images(data, config.data.columns):
        data = images_of(str(data) if isinstance(data, Path) else data, config)
    elif isinstance(data, str | Path):
        data = _named(str(data), config, columns)
    if isinstance(data, ImageSet):
        refuse_dequantize(config, "pixels are always spread over theirs")
        refuse_given(config, "images have none")
        refuse_weights(config, sample_weight, "images have none")
        images, classes = with_image_labels(data, y)
        return replace(prepare_images(images, config, device), classes=classes)
    _refuse_image_options(config)
    if isinstance(data, Tensor):
        data = tables.from_array(data.detach().cpu().numpy())
    if is_frame(data):
        frame, label = data, config.labels.column or None
        data = with_weight_column(lambda some: from_frame(frame, some, label), columns, config.data.weight_column)
    if isinstance(data, np.ndarray | list | tuple):
        data = tables.from_array(data)
    if isinstance(data, tables.Table):
        table, zeros = weighted(data if y is None else replace(data, labels=y), config, sample_weight)
        return replace(from_table(table, config, device, rounding_steps), zero_weights=zeros)
    refuse_weights(config, sample_weight, "a density draws its own, and a Dataset is read item by item")
    if isinstance(data, Dataset):
        refuse_dequantize(config, "a Dataset gives its items itself")
        refuse_given(config, "a Dataset gives its items itself")
        return from_dataset(data, config, device, y)
    if y is not None:
        raise ContrastiveError("y is for rows: a density's labels are its own, say how many with labels_per_class")
    if isinstance(data, NoiseModel):
        refuse_dequantize(config, "a density has none")
        refuse_given(config, "a density has none that are named")
        return from_density(data, config, device)
    raise ContrastiveError(
        f"data of type {type(data).__name__}: expected a density's name, a file, an array, a tensor, a data frame or a "
        "Dataset"
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ContrastiveError(f"the device {name!r} cannot be used, take --device cpu: {reason}") from error
    return device


def _named(data: str, config: FitConfig, columns: Sequence[str] | None) -> NoiseModel | tables.Table:
    if data in available_densities():
        return make_density(data)
    if tables.is_table(data) or Path(data).exists():
        label = config.labels.column or label_column_in(data, config) or None
        return read_weighted(data, columns, label, config.data.weight_column)
    near = did_you_mean(data, [*available_densities(), *available_sets()])
    raise ContrastiveError(f"{data!r} is neither a density nor a set of images, a file or a folder; {near}")


def _refuse_image_options(config: FitConfig) -> None:
    values = by_path(config)
    if given := [path for path in _FOR_IMAGES if values[path] != SETTINGS[path].default]:
        raise ContrastiveError(
            f"{', '.join(map(as_option, given))} is for images, and these data are none (images are arrays of uint8)"
        )
