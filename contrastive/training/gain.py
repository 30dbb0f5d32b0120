"""How far an energy is ahead of its noise on held-out rows, and what that decides."""

import math
import time
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.config import ResolvedConfig, changed
from contrastive.core.estimator import Estimator
from contrastive.data.preparation import Prepared
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource
from contrastive.metrics import row_log_probs
from contrastive.normalizer import log_partitions
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import weights_of
from contrastive.numerics.statistics import mean_with_error
from contrastive.protocols import learns_by_gradient
from contrastive.training.build import make_trainer
from contrastive.training.likelihood_fit import fit_in_place
from contrastive.training.models import new_estimator
from contrastive.training.progress import Progress

_FOLDS, _FEWER_FOLDS, _MANY_ROWS, _STOPPING = 5, 3, 400, 0.2
_PATIENCE = 8  # evaluations: a bounded energy that begins as the noise gains soon, or not at all
_DRAWS = 20_000


@dataclass(frozen=True)
class Gain:
    """Mean of log p - log q over held-out rows that chose nothing, with p normalised by the upper end of log Z.

    Attributes:
        mean: nats a row.
        standard_error: of the mean, paired over rows.
        rows: how many there are.
        folds: of the cross-validation; 1 for one held-out part.
    """

    mean: float
    standard_error: float
    rows: int
    folds: int = 1

    @classmethod
    def of(cls, gains: Float[Tensor, " n"], folds: int = 1, sample_weight: Float[Tensor, " n"] | None = None) -> "Gain":
        """The gain from that of each row, by the weights of the rows where they have some."""
        return cls(*mean_with_error(gains, sample_weight), len(gains), folds)

    @property
    def is_ahead(self) -> bool:
        """Whether the energy is ahead of its noise by more than a standard error.

        An energy that gains nothing is so kept in one of six cases, not in every other.
        """
        return self.mean > self.standard_error

    def figures(self) -> dict[str, Any]:
        """As in summary.json."""
        return {
            "energy_gain": self.mean,
            "energy_gain_standard_error": self.standard_error,
            "energy_gain_rows": self.rows,
            "energy_gain_folds": self.folds,
        }


def gains_at(estimator: Estimator, x: Float[Tensor, "n *event"], seed: int) -> Float[Tensor, " n"]:
    """log p - log q at each row in original units, p normalised by the upper end of log Z's 95 % interval.

    log Z is estimated by importance sampling.

    Raises:
        ContrastiveError: if it cannot be.
    """
    with seeded(seed, estimator.log_normalizer.device), torch.no_grad():
        (estimate,) = log_partitions(estimator, "importance", draws=_DRAWS)
        log_p, log_q = row_log_probs(estimator, x, torch.tensor([estimate.high], dtype=torch.float64))
    return log_p - log_q


def cross_validated(
    config: ResolvedConfig, data: Prepared, progress: Progress, deadline: float = math.inf
) -> tuple[Gain, int]:
    """The gain by cross-validation, and the median of the numbers of updates at which early stopping ended.

    There are 5 folds, or 3 of many rows.

    In each fold the noise is fitted and the energy trained on the other rows, a fifth of which stop it.

    Args:
        config: resolved. A noise that takes gradient steps, but none in the run, takes them as `fit_in_place` does.
        data: what the run trains on; all rows are scored once.
        progress: told of every fold.
        deadline: of the fit, by `time.monotonic()`; each fold, and the fit to all rows, has an equal part of the time.

    Raises:
        ContrastiveError: if a fold cannot be fitted.
    """
    z = data.fitting
    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(config.run.seed)).to(z.device)
    folds = order.tensor_split(_FOLDS if len(z) <= _MANY_ROWS else _FEWER_FOLDS)
    patience = min(config.run.early_stopping, _PATIENCE)
    alone = {"run.out": "", "run.tensorboard": False, "run.early_stopping": patience}
    gains, updates = [], []
    for number, scored in enumerate(folds):
        progress.say(f"cross-validating the energy: fold {number + 1} of {len(folds)}")
        rest = torch.cat([*folds[:number], *folds[number + 1 :]])
        stopping, fitting = rest.split([round(len(rest) * _STOPPING), len(rest) - round(len(rest) * _STOPPING)])
        fold = _fold(data, fitting, stopping, scored)
        settings = changed(config, {**alone, "game.batch_size": fold.batch_size})
        estimator, _ = new_estimator(settings, fold)
        if learns_by_gradient(estimator.noise) and not settings.likelihood.steps:
            fit_in_place(estimator.noise, fold.fitting, sample_weight=fold.fitting_weight, seed=config.run.seed)
        ends = time.monotonic() + (deadline - time.monotonic()) / (len(folds) - number + 1)
        trainer = make_trainer(settings, estimator, fold, deadline=ends)
        trainer.run()
        gains.append(gains_at(estimator, fold.test, config.run.seed))
        updates.append(trainer.position.best_updates)
    return Gain.of(torch.cat(gains), len(folds), weights_of(data.fitting_weight, order)), round(median(updates))


def _fold(data: Prepared, fitting: Tensor, stopping: Tensor, scored: Tensor) -> Prepared:
    """Rows of one fold by number, in model coordinates, as data of their own."""
    z, weight = data.fitting, weights_of(data.fitting_weight, fitting)
    return replace(
        data,
        source=ArraySource(z[fitting], sample_weight=weight),
        scaling=Scaling.identity(data.event_shape),
        fitting=z[fitting],
        validation=z[stopping],
        test=z[scored],
        batch_size=min(data.batch_size, len(fitting)),
        fitting_weight=weight,
        validation_weight=weights_of(data.fitting_weight, stopping),
        test_weight=weights_of(data.fitting_weight, scored),
    )


class Judging(NamedTuple):
    """Rows in original units that say whether the energy is kept, and their weights where they have some."""

    x: Float[Tensor, "n *event"]
    sample_weight: Float[Tensor, " n"] | None


def split_validation(data: Prepared) -> tuple[Prepared, Judging]:
    """Half of the validation rows to stop by, and the other half to say whether the energy is kept."""
    even, odd = slice(None, None, 2), slice(1, None, 2)
    stopping = weights_of(data.validation_weight, even)
    judging = Judging(data.validation[odd], weights_of(data.validation_weight, odd))
    return replace(data, validation=data.validation[even], validation_weight=stopping), judging
