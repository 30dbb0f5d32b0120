"""Preparation of vectors: tables, densities and data sets, with their splits and scaling."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from contrastive.config import FitConfig, asks_for_auto
from contrastive.data import tables
from contrastive.data.preparation.copies import count_copies
from contrastive.data.preparation.given import given_columns, given_last
from contrastive.data.preparation.labels import labelled_draws, numbered, spare_labels, with_row_labels
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import (
    FITTING_ROWS,
    FITTING_SEED,
    FRESH_TEST,
    FRESH_VALIDATION,
    HELD_OUT_ROWS,
    ROUNDING_SEED,
    TEST_SEED,
    VALIDATION,
    VALIDATION_SEED,
    Portions,
    choose_batch_size,
    split_rows,
    validation_rows,
)
from contrastive.data.preparation.ties import Tie, find_ties, spread_rows
from contrastive.data.preparation.weights import split_weights
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, DensitySource, dataset_rows
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded
from contrastive.protocols import NoiseModel

_BATCH_SIZE = 1000


def from_table(
    table: tables.Table,
    config: FitConfig,
    device: torch.device,
    rounding_steps: Mapping[str, float] | None = None,
) -> Prepared:
    """A table's rows, split at random; columns with ties are spread over their rounding step where that is asked for.

    Args:
        table: the rows.
        config: of the run.
        device: of the training rows.
        rounding_steps: of the columns to spread, where they are known; else they are found.

    Raises:
        ContrastiveError: if the rows are too few to split, or `tables.check` finds them wanting.
    """
    given = given_columns(config)
    table = given_last(table, given)
    tables.check(table, few_values=False)  # they have ties, which are said of in their own words
    rounding = _rounding(table, config, rounding_steps, given=len(given))
    x = torch.from_numpy(table.values)
    counts = {"validation": validation_rows(len(x), config), "test": round(config.data.test * len(x))}
    labels = numbered(table.labels, len(x))
    portions = spare_labels(split_rows(len(x), **counts, seed=config.run.seed), labels)
    copies = _copies(table, portions, config)
    if rounding.steps:
        x = spread_rows(x, table.columns, rounding.steps, ROUNDING_SEED + config.run.seed)
    validation, test, train = (x[rows] for rows in portions)
    standardize = config.data.standardize is not False
    weights = split_weights(table.weights, portions, config.data.test_rows or None)
    scaling = _scaling(train, standardize, len(given), weights.get("fitting_weight"))
    z = scaling(train).to(device)
    prepared = Prepared(
        source=ArraySource(z, sample_weight=weights.get("fitting_weight")),
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
        dequantize=rounding.wanted,
        rounding_steps=rounding.steps,
        ties=rounding.ties,
        duplicated_test_rows=copies,
        **weights,
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


class _Rounding(NamedTuple):
    """Whether columns are to be spread, over which steps, and what was found of their ties."""

    wanted: bool
    steps: dict[str, float]
    ties: dict[str, Tie]


def _rounding(table: tables.Table, config: FitConfig, known: Mapping[str, float] | None, *, given: int) -> _Rounding:
    """How the columns of a table are dequantised; the last ones, which are given, are not.

    Raises:
        ContrastiveError: if that is asked for and the rows are no vectors.
    """
    wanted = asks_for_auto(config) if config.data.dequantize is None else config.data.dequantize
    if table.values.ndim != 2:
        refuse_dequantize(config, f"rows of shape {table.values.shape[1:]} are no vectors")
        return _Rounding(False, {}, {})
    if known is not None:
        return _Rounding(wanted, dict(known) if wanted else {}, {})
    free = table.values.shape[1] - given  # what is given has no density to be spread for
    ties = {table.columns[column]: tie for column, tie in find_ties(table.values[:, :free]).items()}
    return _Rounding(wanted, {name: tie.step for name, tie in ties.items()} if wanted else {}, ties)


def refuse_dequantize(config: FitConfig, why: str) -> None:
    """Refuse data whose columns cannot be spread over a rounding step, where that is asked for.

    Raises:
        ContrastiveError: with the reason.
    """
    if config.data.dequantize:
        raise ContrastiveError(f"--data.dequantize is for the columns of a table: {why}, leave it out")


def _copies(table: tables.Table, portions: Portions, config: FitConfig) -> int:
    """Test rows that occur among the others, as they were given."""
    rows = table.values.reshape(len(table.values), -1)
    test = portions.test[: config.data.test_rows or None]
    return count_copies(rows[test.numpy()], rows[torch.cat([portions.validation, portions.train]).numpy()])


def _scaling(x: Tensor, standardize: bool, given: int = 0, weights: Tensor | None = None) -> Scaling:
    return Scaling.standardize(x, given, weights) if standardize else Scaling.identity(tuple(x.shape[1:]), given)


def _numbered_columns(x: Tensor) -> list[str]:
    return [f"x{i}" for i in range(x[0].numel())]
