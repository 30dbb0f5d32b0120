"""Preparation of vectors: tables, densities and data sets, with their splits and scaling."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from contrastive.config import FitConfig
from contrastive.data import tables
from contrastive.data.preparation.labels import labelled_draws, numbered, spare_labels, with_row_labels
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import (
    FITTING_ROWS,
    FITTING_SEED,
    FRESH_TEST,
    FRESH_VALIDATION,
    HELD_OUT_ROWS,
    TEST_SEED,
    VALIDATION,
    VALIDATION_SEED,
    choose_batch_size,
    split_rows,
    validation_rows,
)
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, DensitySource, dataset_rows
from contrastive.numerics.random_state import seeded
from contrastive.protocols import NoiseModel

_BATCH_SIZE = 1000


def from_table(table: tables.Table, config: FitConfig, device: torch.device) -> Prepared:
    """A table's rows, split at random.

    Raises:
        ContrastiveError: if the rows are too few to split, or `tables.check` finds them wanting.
    """
    tables.check(table)
    x = torch.from_numpy(table.values)
    counts = {"validation": validation_rows(len(x), config), "test": round(config.data.test * len(x))}
    labels = numbered(table.labels, len(x))
    portions = spare_labels(split_rows(len(x), **counts, seed=config.run.seed), labels)
    validation, test, train = (x[rows] for rows in portions)
    standardize = config.data.standardize is not False
    scaling = _scaling(train, standardize)
    z = scaling(train).to(device)
    prepared = Prepared(
        source=ArraySource(z),
        scaling=scaling,
        fitting=z,
        validation=validation,
        test=test[: config.data.test_rows or None],
        batch_size=choose_batch_size(len(train), config, _BATCH_SIZE),
        truth=None,
        columns=table.columns,
        named=table.named,
        standardize=standardize,
        validation_share=len(validation) / len(x),
    )
    return with_row_labels(prepared, labels, portions)


def from_density(density: NoiseModel, config: FitConfig, device: torch.device) -> Prepared:
    """Fresh draws of a density."""
    fitting = draw(density, FITTING_ROWS, FITTING_SEED + config.run.seed)
    validation, test = draw(density, FRESH_VALIDATION, VALIDATION_SEED), draw(density, FRESH_TEST, TEST_SEED)
    standardize, most = bool(config.data.standardize), config.data.test_rows or None
    scaling = _scaling(fitting, standardize)
    return Prepared(
        source=DensitySource(density, scaling, device),
        scaling=scaling,
        fitting=scaling(fitting).to(device),
        validation=validation,
        test=test[:most],
        batch_size=config.game.batch_size or _BATCH_SIZE,
        truth=density,
        columns=_numbered_columns(fitting),
        standardize=standardize,
        validation_share=VALIDATION,
        test_labels=labelled_draws(density, FRESH_TEST, TEST_SEED, most),
    )


def from_dataset(dataset: Dataset[Any], config: FitConfig, device: torch.device, y: Any) -> Prepared:
    """The items of a map-style `Dataset`, split at random.

    Raises:
        ContrastiveError: as `from_table`.
    """
    n = len(dataset)  # type: ignore[arg-type]
    counts = {"validation": validation_rows(n, config), "test": round(config.data.test * n)}
    held_out = {name: min(HELD_OUT_ROWS, max(1, count)) for name, count in counts.items()}
    labels = numbered(y, n)
    portions = spare_labels(split_rows(n, **held_out, seed=config.run.seed), labels)
    validation, test, train = portions
    rows = (train[:FITTING_ROWS], validation, test[: config.data.test_rows or None])
    fitting, x_validation, x_test = (dataset_rows(dataset, some) for some in rows)
    for x in (fitting, x_validation, x_test):
        tables.check(tables.from_array(x.numpy()))
    standardize = config.data.standardize is not False
    scaling = _scaling(fitting, standardize)
    prepared = Prepared(
        source=DatasetSource(Subset(dataset, train.tolist()), scaling, device, config.data.workers),
        scaling=scaling,
        fitting=scaling(fitting).to(device),
        validation=x_validation,
        test=x_test,
        batch_size=choose_batch_size(len(train), config, _BATCH_SIZE),
        truth=None,
        columns=_numbered_columns(fitting),
        standardize=standardize,
        validation_share=len(validation) / n,
    )
    return with_row_labels(prepared, labels, portions)


def draw(density: NoiseModel, n: int, seed: int) -> Tensor:
    """`n` draws of a density, the same at every call."""
    with seeded(seed):
        return density.sample(torch.Size([n]))


def _scaling(x: Tensor, standardize: bool) -> Scaling:
    return Scaling.standardize(x) if standardize else Scaling.identity(tuple(x.shape[1:]))


def _numbered_columns(x: Tensor) -> list[str]:
    return [f"x{i}" for i in range(x[0].numel())]
