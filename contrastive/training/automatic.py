"""`--noise auto`: the noise by held-out likelihood, and an energy that is kept only where it is ahead of it."""

import math
import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from contrastive.config import FitConfig, changed, with_part
from contrastive.core.estimator import Estimator
from contrastive.data.preparation import Prepared
from contrastive.errors import ContrastiveError
from contrastive.noises.conditional import make_noise_over
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import weights_of
from contrastive.protocols import learns_by_gradient
from contrastive.training.likelihood_fit import fit_noise
from contrastive.training.models import adaptive_noises
from contrastive.training.progress import Progress
from contrastive.training.selection import Selection, Trial, select_noise

_ROWS = 20_000  # by which the noise is chosen, at most
_SHOWN = 30
_SHARE_OF_BUDGET = 1 / 3
BOUND = 3.0  # nats, of the energy beside it
REUSE = 8  # updates in which a draw of the noise is used


@dataclass(frozen=True)
class ChosenNoise:
    """The noise that `auto` stands for.

    Attributes:
        config: with its name and options in the place of `auto`.
        candidates: what each candidate would have given, best first, as in summary.json.
        state: parameters of a noise that took gradient steps; empty for one that fits itself.
    """

    config: FitConfig
    candidates: list[dict[str, Any]]
    state: dict[str, Tensor]

    def hand_over(self, estimator: Estimator) -> None:
        """Give the estimator's noise the parameters that were learned already."""
        if self.state and isinstance(estimator.noise, nn.Module):
            estimator.noise.load_state_dict(self.state)


def choose_noise(config: FitConfig, data: Prepared, progress: Progress) -> ChosenNoise:
    """Choose the noise by its held-out likelihood on training rows.

    The energy begins as that noise, and is kept only if it is ahead of it, unless the number of updates or of
    evaluations is given.

    Args:
        config: as given, with the noise `auto`.
        data: whose training rows choose; of many, 20,000.
        progress: told of every candidate.

    Raises:
        ContrastiveError: if no noise can be fitted, or the data are images.
    """
    if data.are_images:
        raise ContrastiveError("noise 'auto' is for vectors: for images name one, such as --noise glow")
    if config.noise.options:
        raise ContrastiveError("noise 'auto' chooses the options too: name a noise, or leave its options out")
    # Log-densities in the table's own units; the scaling is affine, so its log-determinant is one number.
    log_det = float(data.scaling.log_det(data.test[:1]))
    selection = select_noise(
        data.fitting[:_ROWS],
        sample_weight=weights_of(data.fitting_weight, slice(_ROWS)),
        names=None if config.game.method == "nce" else adaptive_noises(data.event_shape, data.num_given),
        num_given=data.num_given,
        seed=config.run.seed,
        budget=config.run.budget * _SHARE_OF_BUDGET or None,
        progress=lambda trial: progress.say(_line(trial, log_det)),
    )
    chosen = selection.chosen
    skipped = f"; {selection.skipped} candidates were not tried for want of time" if selection.skipped else ""
    progress.say(f"noise: {chosen.label}, held-out log q {chosen.mean + log_det:.3f} nats a row{skipped}")
    config = with_part(config, "noise", chosen.name, chosen.options)
    if config.energy.name is None and config.game.method != "mle" and config.objective.name == "nce":
        config = with_part(config, "energy", "tilted", {"bound": BOUND, **config.energy.options})
    if config.objective.noise_reuse is None:
        once = bool(data.num_given) and config.objective.name == "ranking"  # it compares draws of one context
        config = changed(config, {"objective.noise_reuse": 1 if once else REUSE})
    state: dict[str, Tensor] = {}
    shape: dict[str, Any] = {"event_shape": data.event_shape, "num_given": data.num_given}
    with seeded(0):
        noise = make_noise_over(chosen.name, **shape, **chosen.options)
    left_open, few = may_be_left(config), selection.folds > 1
    if learns_by_gradient(noise) and config.likelihood.steps is None:
        progress.say(f"fitting {chosen.name} to all training rows")
        rows = data.with_validation_rows() if left_open and few else data
        ends = time.monotonic() + (config.run.budget * _SHARE_OF_BUDGET or math.inf)
        how: dict[str, Any] = {"sample_weight": rows.fitting_weight, "seed": config.run.seed, "deadline": ends}
        fitted = fit_noise(chosen.name, chosen.options, rows.fitting, num_given=data.num_given, **how)
        assert isinstance(fitted, nn.Module)
        state, config = fitted.state_dict(), changed(config, {"likelihood.steps": 0})
    if left_open:
        refit = few if config.data.refit is None else config.data.refit
        config = changed(config, {"game.energy.keep": "ahead", "data.refit": refit})
    return ChosenNoise(config, _rows(selection, log_det), state)


def may_be_left(config: FitConfig) -> bool:
    """Whether nothing that was given says how long the energy is to be trained, or what else it is for."""
    open_ended = config.game.steps is None and config.run.early_stopping is None and config.game.energy.keep is None
    density = config.labels.per_class < 0 and not config.labels.column and config.objective.name == "nce"
    return open_ended and density and config.game.method == "nce" and config.energy.name in (None, "tilted")


def _rows(selection: Selection, log_det: float) -> list[dict[str, Any]]:
    """The candidates, best first, their log q in the data's units."""
    columns = ("name", "options", "label", "log_q", "difference", "difference_error", "seconds", "error")
    rows = [{column: row[column] for column in columns} for row in selection.table()[:_SHOWN]]
    return [{**row, "log_q": None if row["log_q"] is None else row["log_q"] + log_det} for row in rows]


def _line(trial: Trial, log_det: float) -> str:
    result = f"log q {trial.mean + log_det:.3f}" if trial.error is None else f"failed: {trial.error}"
    return f"trying the noise {trial.label}: {result} ({trial.seconds:.1f} s)"
