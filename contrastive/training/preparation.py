"""Preparation of data: splits, scaling, and the stream of training batches."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.densities import available_densities, make_density
from contrastive.data.images import ImageSet, are_images, available_sets, names_images
from contrastive.data.labels import Name, encode
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, DensitySource, dataset_rows
from contrastive.data.tables.frames import from_frame, is_frame
from contrastive.errors import ContrastiveError, did_you_mean, listed
from contrastive.numerics.random_state import seeded
from contrastive.protocols import NoiseModel
from contrastive.training.image_preparation import images_of, prepare_images, read_image_rows
from contrastive.training.labelling import (
    label_column_in,
    labelled_draws,
    numbered,
    spare_labels,
    with_image_labels,
    with_labels,
    with_row_labels,
)
from contrastive.training.portions import (
    FITTING_ROWS,
    FITTING_SEED,
    HELD_OUT_ROWS,
    TEST_SEED,
    VALIDATION_SEED,
    choose_batch_size,
    split_rows,
    validation_rows,
)
from contrastive.training.prepared import Prepared

_FRESH_TEST, _FRESH_VALIDATION = 50_000, 10_000


def prepare(data: Any, config: FitConfig, y: Any = None, *, columns: Sequence[str] | None = None) -> Prepared:
    """Prepare a density, a density's or an image set's name, a file, a folder, an array or tensor, or a `Dataset`.

    Args:
        data: any of these.
        config: of the run.
        y: one label a row of an array, table, set of images or `Dataset`; -1 is unlabelled.
        columns: of a table whose columns are known already; those that `config` names unless told.

    Raises:
        ContrastiveError: if `data` is none of these, cannot be fitted to (see `tables.check`), or `y` is not of it.
    """
    if columns is None:
        columns = tables.split_names(config.columns or "")
    return with_labels(_prepared(data, config, y, columns), config)


def _prepared(data: Any, config: FitConfig, y: Any, columns: Sequence[str] | None) -> Prepared:
    device = _device(config.device)
    if holds_images(data, config.columns):
        data = images_of(str(data) if isinstance(data, Path) else data, config)
    elif isinstance(data, str | Path):
        data = _named(str(data), config, columns)
    if isinstance(data, ImageSet):
        images, classes = with_image_labels(data, y)
        return replace(prepare_images(images, config, device), classes=classes)
    _refuse_image_options(config)
    if isinstance(data, Tensor):
        data = tables.from_array(data.detach().cpu().numpy())
    if is_frame(data):
        data = from_frame(data, columns, config.label_column)
    if isinstance(data, np.ndarray | list | tuple):
        data = tables.from_array(data)
    if isinstance(data, tables.Table):
        return _from_table(data if y is None else replace(data, labels=y), config, device)
    if isinstance(data, Dataset):
        return _from_dataset(data, config, device, y)
    if y is not None:
        raise ContrastiveError("y is for rows: a density's labels are its own, say how many with labels_per_class")
    if isinstance(data, NoiseModel):
        return _from_density(data, config, device)
    raise ContrastiveError(
        f"data of type {type(data).__name__}: expected a density's name, a file, an array, a tensor, a data frame or a "
        "Dataset"
    )


def read_rows(
    data: str,
    config: FitConfig,
    event_shape: tuple[int, ...],
    n: int = _FRESH_TEST,
    *,
    columns: Sequence[str] | None = None,
    classes: list[Name] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Rows to evaluate a finished run on: fresh draws of a density, a whole file, or images.

    Args:
        data: their name.
        config: of the run; `columns`, `label_column` and what is asked of images are read from it.
        event_shape: of the run.
        n: draws of a density.
        columns: names of the columns that the run was fitted to, by which those of a table are found; None where they
            have none and are taken in order.
        classes: names of the run's classes.

    Returns:
        The rows, and their classes where they are known and the run has some.

    Raises:
        ContrastiveError: if a column is not there, the rows do not fit the run's `event_shape`, or a label is none of
            its classes.
    """
    labels: Any = None
    if data in available_densities():
        density = make_density(data)
        x, labels = _draw(density, n, TEST_SEED), labelled_draws(density, n, TEST_SEED)
    elif names_images(data, config.columns):
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


def _read_fitted(data: str, config: FitConfig, columns: Sequence[str] | None) -> tables.Table:
    """A file's rows in the order of the run's columns."""
    if columns is None or not tables.has_named_columns(data):
        return tables.read_table(data, config.columns, config.label_column)
    told = tables.split_names(config.columns or "")
    if told is not None and set(told) != set(columns):
        raise ContrastiveError(
            f"--columns names {listed(told)}, but the run was fitted to {listed(columns)}: columns are found by name, "
            "leave it out"
        )
    table = tables.read_table(data, columns, config.label_column)
    tables.say_ignored(table.others, data)
    return table


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ContrastiveError(f"the device {name!r} cannot be used, take --device cpu: {reason}") from error
    return device


def holds_images(data: Any, name: str | None = None) -> bool:
    """Whether `data`, given as in `prepare`, are images; `name` picks the array of an .npz.

    Raises:
        ContrastiveError: if an .npz has no array of that name.
    """
    if isinstance(data, str | Path):
        return str(data) not in available_densities() and names_images(str(data), name)
    return isinstance(data, Tensor | np.ndarray) and are_images(data)


def _named(data: str, config: FitConfig, columns: Sequence[str] | None) -> NoiseModel | tables.Table:
    if data in available_densities():
        return make_density(data)
    if tables.is_table(data) or Path(data).exists():
        return tables.read_table(data, columns, config.label_column or label_column_in(data, config))
    near = did_you_mean(data, [*available_densities(), *available_sets()])
    raise ContrastiveError(f"{data!r} is neither a density nor a set of images, a file or a folder; {near}")


def _refuse_image_options(config: FitConfig) -> None:
    given = [name for name in ("image_size", "color", "logit") if getattr(config, name) is not None]
    given += ["flip"] * config.flip + ["bits"] * (config.bits != FitConfig.bits)
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ContrastiveError(f"{names} is for images, and these data are none (images are arrays of uint8)")


def _from_table(table: tables.Table, config: FitConfig, device: torch.device) -> Prepared:
    tables.check(table)
    x = torch.from_numpy(table.values)
    counts = {"validation": validation_rows(len(x), config), "test": round(config.test * len(x))}
    labels = numbered(table.labels, len(x))
    portions = spare_labels(split_rows(len(x), **counts, seed=config.seed), labels)
    validation, test, train = (x[rows] for rows in portions)
    batch_size = choose_batch_size(len(train), config)
    scaling = _scaling(train, config.standardize is not False)
    z = scaling(train).to(device)
    test = test[: config.test_rows]
    source = ArraySource(z)
    prepared = Prepared(source, scaling, z, validation, test, batch_size, None, table.columns, named=table.named)
    return with_row_labels(prepared, labels, portions)


def _from_density(density: NoiseModel, config: FitConfig, device: torch.device) -> Prepared:
    fitting = _draw(density, FITTING_ROWS, FITTING_SEED + config.seed)
    validation, test = _draw(density, _FRESH_VALIDATION, VALIDATION_SEED), _draw(density, _FRESH_TEST, TEST_SEED)
    scaling = _scaling(fitting, bool(config.standardize))
    source = DensitySource(density, scaling, device)
    columns = [f"x{i}" for i in range(fitting[0].numel())]
    return Prepared(
        source,
        scaling,
        scaling(fitting).to(device),
        validation,
        test[: config.test_rows],
        config.batch_size or 1000,
        density,
        columns,
        test_labels=labelled_draws(density, _FRESH_TEST, TEST_SEED, config.test_rows),
    )


def _from_dataset(dataset: Dataset[Any], config: FitConfig, device: torch.device, y: Any) -> Prepared:
    n = len(dataset)  # type: ignore[arg-type]
    counts = {"validation": validation_rows(n, config), "test": round(config.test * n)}
    held_out = {name: min(HELD_OUT_ROWS, max(1, count)) for name, count in counts.items()}
    labels = numbered(y, n)
    portions = spare_labels(split_rows(n, **held_out, seed=config.seed), labels)
    validation, test, train = portions
    batch_size = choose_batch_size(len(train), config)
    rows = (train[:FITTING_ROWS], validation, test[: config.test_rows])
    fitting, x_validation, x_test = (dataset_rows(dataset, some) for some in rows)
    for x in (fitting, x_validation, x_test):
        tables.check(tables.from_array(x.numpy()))
    scaling = _scaling(fitting, config.standardize is not False)
    source = DatasetSource(Subset(dataset, train.tolist()), scaling, device)
    columns = [f"x{i}" for i in range(fitting[0].numel())]
    prepared = Prepared(source, scaling, scaling(fitting).to(device), x_validation, x_test, batch_size, None, columns)
    return with_row_labels(prepared, labels, portions)


def _scaling(x: Tensor, standardize: bool) -> Scaling:
    return Scaling.standardize(x) if standardize else Scaling.identity(tuple(x.shape[1:]))


def _draw(density: NoiseModel, n: int, seed: int) -> Tensor:
    with seeded(seed):
        return density.sample(torch.Size([n]))
