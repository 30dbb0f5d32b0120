"""From whatever the user calls data to a stream of batches and held-out rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset, Subset

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.densities import available_densities, make_density
from contrastive.data.densities.base import LabelledDensity
from contrastive.data.labels import Name, encode, hold_out_unlabelled_first
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, DensitySource, Source
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.noises import Gaussian
from contrastive.protocols import NoiseModel
from contrastive.training.labelling import with_labels

_FRESH_TEST, _FRESH_VALIDATION, _FITTING_ROWS, _HELD_OUT_ROWS = 50_000, 10_000, 50_000, 10_000
#: Seeds of the held-out draws of a density: the same for every run, so that runs are compared on the same points.
_TEST_SEED, _VALIDATION_SEED, _FITTING_SEED = 1_000_001, 1_000_002, 1_000_003


@dataclass(frozen=True)
class Prepared:
    """Data ready to train on.

    Attributes:
        source: the stream of training batches, in model coordinates.
        scaling: from original units to model coordinates.
        fitting: rows in model coordinates to fit or initialise the noise on.
        validation: held-out rows in original units, for early stopping.
        test: held-out rows in original units, for the reported figures.
        batch_size: rows a batch.
        truth: the density of the data where it is known.
        columns: names of the event's entries.
        labels: classes of the training rows, or of the labelled draws of a density; -1 for unlabelled.
        test_labels: those of the test rows.
        classes: the classes' names, where the run learns them.
    """

    source: Source
    scaling: Scaling
    fitting: Float[Tensor, "n *event"]
    validation: Float[Tensor, "v *event"]
    test: Float[Tensor, "t *event"]
    batch_size: int
    truth: NoiseModel | None
    columns: list[str]
    labels: Int[Tensor, " m"] | None = None
    test_labels: Int[Tensor, " t"] | None = None
    classes: list[Name] | None = None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one data point."""
        return tuple(self.test.shape[1:])

    @cached_property
    def gaussian(self) -> Gaussian:
        """A held Gaussian with the mean and covariance of `fitting`, in model coordinates.

        Raises:
            ContrastiveError: if the rows do not determine a covariance.
        """
        gaussian = held_gaussian(self.event_shape)
        gaussian.fit(self.fitting)
        return gaussian


def prepare(data: Any, config: FitConfig, y: Any = None) -> Prepared:
    """Prepare a density, a density's name, a file, an array or tensor, or a map-style `Dataset`.

    Args:
        data: so.
        config: of the run.
        y: a label for each row of an array, table or `Dataset`; -1 is unlabelled.

    Raises:
        ContrastiveError: if `data` is none of these, cannot be fitted to (see `tables.check`), or `y` is not of it.
    """
    return with_labels(_prepared(data, config, y), config)


def _prepared(data: Any, config: FitConfig, y: Any) -> Prepared:
    device = _device(config.device)
    if isinstance(data, str | Path):
        data = _named(str(data), config)
    if isinstance(data, Tensor):
        data = tables.from_array(data.detach().cpu().numpy())
    elif isinstance(data, np.ndarray | list):
        data = tables.from_array(data)
    if isinstance(data, tables.Table):
        return _from_table(data if y is None else replace(data, labels=y), config, device)
    if isinstance(data, Dataset):
        return _from_dataset(data, config, device, y)
    if isinstance(data, NoiseModel):
        if y is not None:
            raise ContrastiveError(
                "the labels of a density are its own: leave out y, and say how many with labels_per_class"
            )
        return _from_density(data, config, device)
    raise ContrastiveError(
        f"data of type {type(data).__name__}: expected a density's name, a file, an array, a tensor or a Dataset"
    )


def held_gaussian(event_shape: tuple[int, ...]) -> Gaussian:
    """A Gaussian that no gradient step moves, not yet fitted."""
    return Gaussian(event_shape).requires_grad_(False)


def read_rows(
    data: str,
    columns: str | None,
    event_shape: tuple[int, ...],
    n: int = _FRESH_TEST,
    *,
    label_column: str | None = None,
    classes: list[Name] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Rows to evaluate a finished run on: fresh draws of a density, or a whole file.

    Args:
        data: a density or a file.
        columns: of a table, as for `tables.read_table`.
        event_shape: of the run.
        n: draws of a density.
        label_column: where the file's classes are.
        classes: names of the run's classes.

    Returns:
        The rows, and their classes where they are known and the run has some.

    Raises:
        ContrastiveError: if the rows do not fit the run's `event_shape`, or a label is none of its classes.
    """
    y = None
    if data in available_densities():
        density = make_density(data)
        x = _draw(density, n, _TEST_SEED)
        if classes is not None and isinstance(density, LabelledDensity) and density.num_classes == len(classes):
            y = _seeded(_TEST_SEED, lambda: density.sample_labelled(n)[1])
    else:
        table = tables.read_table(data, columns, label_column)
        if not np.isfinite(table.values).all():
            tables.check(table)
        x = torch.from_numpy(table.values)
        if classes is not None and table.labels is not None:
            y = encode(table.labels, classes)[0]
    if tuple(x.shape[1:]) != event_shape:
        raise ContrastiveError(f"{data} has rows of shape {tuple(x.shape[1:])}, the run was fitted to {event_shape}")
    return x, y


def label_column_in(data: str, config: FitConfig) -> str | None:
    """The run's column of labels, where the file has it: new data need not."""
    if Path(data).suffix.lower() not in tables.SUFFIXES or not Path(data).is_file():
        return None
    arrays = ["y", "labels"] if config.labels_per_class is not None and data.endswith(".npz") else []
    wanted = arrays if config.label_column is None else [config.label_column]
    return next((name for name in wanted if name in tables.column_names(data)), None) if wanted else None


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ContrastiveError(f"the device {name!r} cannot be used, take --device cpu: {reason}") from error
    return device


def _named(data: str, config: FitConfig) -> NoiseModel | tables.Table:
    if data in available_densities():
        return make_density(data)
    if Path(data).suffix.lower() in tables.SUFFIXES or Path(data).exists():
        return tables.read_table(data, config.columns, config.label_column or label_column_in(data, config))
    raise ContrastiveError(f"{data!r} is neither a density nor a file; {did_you_mean(data, available_densities())}")


def _from_table(table: tables.Table, config: FitConfig, device: torch.device) -> Prepared:
    tables.check(table)
    x = torch.from_numpy(table.values)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(config.seed))
    labels = _encoded(table.labels, len(x))
    held_out = [round(share * len(x)) for share in (config.validation, config.test)]
    if 0 in held_out:
        raise ContrastiveError(
            f"{len(x)} rows leave none for validation or test; give more rows, or larger --validation and --test"
        )
    if labels:
        order = hold_out_unlabelled_first(order, labels[0], held_out[0])
    parts = order.split([*held_out, len(x) - sum(held_out)])
    validation, test, train = (x[rows] for rows in parts)
    batch_size = _batch_size(len(train), config)
    scaling = _scaling(train, config.standardize is not False)
    z = scaling(train).to(device)
    prepared = Prepared(ArraySource(z), scaling, z, validation, test, batch_size, None, table.columns)
    return _labelled(prepared, labels, parts[2], parts[1])


def _from_density(density: NoiseModel, config: FitConfig, device: torch.device) -> Prepared:
    fitting = _draw(density, _FITTING_ROWS, _FITTING_SEED + config.seed)
    validation, test = _draw(density, _FRESH_VALIDATION, _VALIDATION_SEED), _draw(density, _FRESH_TEST, _TEST_SEED)
    scaling = _scaling(fitting, bool(config.standardize))
    source = DensitySource(density, scaling, device)
    batch_size = config.batch_size or 1000
    columns = [f"x{i}" for i in range(fitting[0].numel())]
    prepared = Prepared(source, scaling, scaling(fitting).to(device), validation, test, batch_size, density, columns)
    if config.labels_per_class is None or not isinstance(density, LabelledDensity):
        return prepared
    return replace(prepared, test_labels=_seeded(_TEST_SEED, lambda: density.sample_labelled(_FRESH_TEST)[1]))


def _from_dataset(dataset: Dataset[Any], config: FitConfig, device: torch.device, y: Any = None) -> Prepared:
    n = len(dataset)  # type: ignore[arg-type]
    order = torch.randperm(n, generator=torch.Generator().manual_seed(config.seed))
    held_out = [min(_HELD_OUT_ROWS, max(1, round(share * n))) for share in (config.validation, config.test)]
    labels = _encoded(y, n)
    if labels:
        order = hold_out_unlabelled_first(order, labels[0], held_out[0])
    validation, test, train = order.split([*held_out, n - sum(held_out)])
    batch_size = _batch_size(len(train), config)
    fitting, x_validation, x_test = (_rows(dataset, rows) for rows in (train[:_FITTING_ROWS], validation, test))
    for x in (fitting, x_validation, x_test):
        tables.check(tables.from_array(x.numpy()))
    scaling = _scaling(fitting, config.standardize is not False)
    source = DatasetSource(Subset(dataset, train.tolist()), scaling, device)
    columns = [f"x{i}" for i in range(fitting[0].numel())]
    prepared = Prepared(source, scaling, scaling(fitting).to(device), x_validation, x_test, batch_size, None, columns)
    return _labelled(prepared, labels, train, test)


def _encoded(labels: Any, n: int) -> tuple[Tensor, list[Name]] | None:
    if labels is None:
        return None
    y, classes = encode(labels)
    if len(y) != n:
        raise ContrastiveError(f"{len(y)} labels for {n} rows: give one a row, -1 where it has none")
    return y, classes


def _labelled(prepared: Prepared, labels: tuple[Tensor, list[Name]] | None, train: Tensor, test: Tensor) -> Prepared:
    if labels is None:
        return prepared
    y, classes = labels
    return replace(prepared, labels=y[train], test_labels=y[test], classes=classes)


def _rows(dataset: Dataset[Any], rows: Tensor) -> Tensor:
    items = (dataset[int(row)] for row in rows)
    return torch.stack([torch.as_tensor(item[0] if isinstance(item, list | tuple) else item) for item in items])


def _scaling(x: Tensor, standardize: bool) -> Scaling:
    return Scaling.standardize(x) if standardize else Scaling.identity(tuple(x.shape[1:]))


def _batch_size(n: int, config: FitConfig) -> int:
    batch_size = config.batch_size or min(1000, n)
    if batch_size > n:
        raise ContrastiveError(f"{n} training rows are fewer than a batch of {batch_size}: --batch-size {n} or less")
    return batch_size


def _draw(density: NoiseModel, n: int, seed: int) -> Tensor:
    return _seeded(seed, lambda: density.sample(torch.Size([n])))


def _seeded(seed: int, draw: Callable[[], Tensor]) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return draw()
