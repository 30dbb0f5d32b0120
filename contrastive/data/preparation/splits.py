"""The split into training, validation and test rows."""

from typing import NamedTuple

import torch
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.errors import ContrastiveError

FITTING_ROWS, HELD_OUT_ROWS = 50_000, 10_000
FRESH_TEST, FRESH_VALIDATION = 50_000, 10_000
VALIDATION, _FEWEST_VALIDATION, _MOST_VALIDATION = 0.1, 40, 0.2
#: Seeds of held-out draws and of their dequantisation: the same for every run, so that all are judged on one test set.
TEST_SEED, VALIDATION_SEED, FITTING_SEED = 1_000_001, 1_000_002, 1_000_003
#: Seed of the uniform noise on rounded columns, to which that of the run is added.
ROUNDING_SEED = 1_000_006


class Portions(NamedTuple):
    """Row numbers, in random order."""

    validation: Tensor
    test: Tensor
    train: Tensor


def split_rows(n: int, *, validation: int, test: int, seed: int) -> Portions:
    """`validation` and `test` of `n` rows at random, the rest for training.

    Raises:
        ContrastiveError: if one is left empty.
    """
    if 0 in (validation, test):
        raise ContrastiveError(
            f"{n} rows leave none for validation or test; give more rows, or larger --validation and --test"
        )
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return Portions(*order.split([validation, test, n - validation - test]))


def validation_rows(n: int, config: FitConfig, fewest: int = _FEWEST_VALIDATION) -> int:
    """How many of `n` rows early stopping goes by: by default a tenth, more where that would be a handful.

    At most 10,000: they are scored at every evaluation, and more would be more exact than anybody needs.

    Args:
        n: rows in all.
        config: of the run.
        fewest: rows that a tenth is raised to, as far as a fifth goes.
    """
    if config.data.validation is not None:
        return round(n * config.data.validation)
    return round(min(max(n * VALIDATION, fewest), n * _MOST_VALIDATION, HELD_OUT_ROWS))


def choose_batch_size(n: int, config: FitConfig, default: int) -> int:
    """Rows a batch: what the config says, else `default`, or all of fewer rows.

    Raises:
        ContrastiveError: if there are fewer training rows than a batch.
    """
    batch_size = config.game.batch_size or min(default, n)
    if batch_size > n:
        raise ContrastiveError(f"{n} training rows are fewer than a batch of {batch_size}: --batch-size {n} or less")
    return batch_size
