"""The one way through a fit, behind `contrastive.fit`, `estimator.fit`, the command line and the benchmarks."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.distributions import Distribution

from contrastive.config import (
    AUTO,
    PARTS,
    FitConfig,
    ResolvedConfig,
    asks_for_auto,
    by_path,
    changed,
    default_threads,
    resolve,
    with_part,
    without_effect,
)
from contrastive.core.estimator import Estimator
from contrastive.data.images import require_pillow
from contrastive.data.preparation import (
    Prepared,
    prepare,
)
from contrastive.errors import ContrastiveError, warn
from contrastive.protocols import EnergyModel, NoiseModel, is_discrete, num_given
from contrastive.training.automatic import ChosenNoise, choose_noise
from contrastive.training.build import make_trainer
from contrastive.training.callbacks import Callback
from contrastive.training.execution import check_precision, eagerly, threads
from contrastive.training.gain import Gain, Judging, cross_validated, gains_at, split_validation
from contrastive.training.held_out import check_same_weights, keep_held_out
from contrastive.training.judging import fill_log_normalizer, summarize
from contrastive.training.mixed import with_mixed_models
from contrastive.training.models import facts_of, make_estimator, new_estimator
from contrastive.training.progress import Progress
from contrastive.training.remarks import remarks_on_rows, warn_of_ties
from contrastive.training.run_directory import RunDirectory
from contrastive.training.tensorboard import require_tensorboard
from contrastive.training.trainer import Trainer

_FEWEST_AUTOMATIC = 30  # rows


@dataclass(frozen=True)
class Trained:
    """A fit that came to its end.

    Attributes:
        estimator: with its averaged or best weights.
        summary: its figures, as in summary.json.
        config: all settings, resolved.
        directory: where the run is kept; None where it is not.
    """

    estimator: Estimator
    summary: dict[str, Any]
    config: ResolvedConfig
    directory: RunDirectory | None


def train(
    config: FitConfig,
    data: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    kind: type[Estimator] = Estimator,
    estimator: Estimator | None = None,
    energy: EnergyModel | None = None,
    noise: NoiseModel | Distribution | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
    allow_import: bool = False,
) -> Trained:
    """Prepare the data, build the models, train, and keep what the run directory should hold.

    Args:
        config: as given. A run is kept on disk where it names `out`.
        data: as in `contrastive.fit`.
        y: labels, likewise.
        sample_weight: weights of the rows, likewise.
        kind: class of the estimator to build.
        estimator: one to train in place, with its own models; else one is built.
        energy: for the estimator that is built, in place of the one that the config names; trained in place.
        noise: likewise.
        resume: go on from the last checkpoint of the run at `out`, whose settings are `config`.
        overwrite: replace the run at `out`.
        progress: what the user sees; nothing unless told.
        callbacks: see `Callback`.
        allow_import: as in `contrastive.fit`.

    Raises:
        ContrastiveError: if the data or the settings cannot work, or the place is taken.
    """
    directory = RunDirectory(config.run.out) if config.run.out else None
    if not resume:
        for name, why in without_effect(config).items():
            warn(f"{name} has no effect here: {why}")
        if directory is not None:
            directory.check_free(overwrite=overwrite, data=config.data.source)  # before the work of reading the data
    deadline = time.monotonic() + config.run.budget if config.run.budget else math.inf
    progress = progress or Progress(quiet=True)
    asked, objects = config, energy is not None or noise is not None
    if estimator is not None or objects or y is not None:
        config = _as_they_are(config)
    steps = directory.rounding_steps() if directory and resume else None
    prepared = prepare(data, config, y, rounding_steps=steps, sample_weight=sample_weight)
    if directory is not None and resume:
        check_same_weights(directory, prepared)
    with threads(default_threads(prepared.facts) if config.run.threads is None else config.run.threads):
        found = {} if resume else remarks_on_rows(prepared, progress)
        built = estimator is None
        if estimator is None:
            if not resume:
                config = with_mixed_models(config, prepared, energy=energy, noise=noise)
            models: dict[str, Any] = {"energy": energy, "noise": noise, "allow_import": allow_import}
            make = _built_again if resume else _built_anew
            estimator, config, more = make(config, prepared, kind, models, progress)
            found |= more
        _check_fits(estimator, prepared, config)
        settled = resolve(config, prepared.facts, facts_of(estimator))
        if asked.data.dequantize is None and not is_discrete(estimator.noise):
            warn_of_ties(prepared)
        settled, prepared, more = _decided(settled, prepared, progress, deadline)
        found |= more
        if directory is not None and resume:
            found = directory.read_found()
        elif directory is not None:
            directory.create(settled, overwrite=overwrite)
            directory.write_found(found)
            if sample_weight is not None or not isinstance(data, str | Path):
                keep_held_out(directory, prepared)
        judging = None
        if settled.game.energy.keep == "ahead":
            prepared, judging = split_validation(prepared)
        trainer = make_trainer(settled, estimator, prepared, directory, progress, callbacks, deadline=deadline)
        if resume:
            trainer.load()
        trainer.run()
        if judging is not None:
            found |= _judge_energy(trainer.estimator, judging, settled.run.seed)
        summary = conclude(settled, trainer, prepared, directory, found)
    estimator.config = settled if built and not objects else _with_own_models(settled, estimator)
    return Trained(estimator, summary, settled, directory)


def _built_again(
    config: FitConfig, data: Prepared, kind: type[Estimator], models: dict[str, Any], progress: Progress
) -> tuple[Estimator, FitConfig, dict[str, Any]]:
    """The estimator of a run that goes on; its settings name the models."""
    return make_estimator(config, data, kind, **models), config, {}


def _built_anew(
    config: FitConfig, data: Prepared, kind: type[Estimator], models: dict[str, Any], progress: Progress
) -> tuple[Estimator, FitConfig, dict[str, Any]]:
    """The estimator of a new run, its settings with the models chosen, and what was found in choosing."""
    _check_extras(config, data)
    found: dict[str, Any] = {}
    chosen = None
    if _is_automatic(config, data, **models):
        if config.noise.name == AUTO or len(data.fitting) >= _FEWEST_AUTOMATIC:
            chosen = _chosen(config, data, progress)
        else:
            config, found["rows_warning"] = _of_few_rows(config, data)
            warn(found["rows_warning"])
    estimator, config = new_estimator(chosen.config if chosen else config, data, kind, **models)
    if chosen is not None:
        chosen.hand_over(estimator)
        found["noise_candidates"] = chosen.candidates
    return estimator, config, found


def _decided(
    config: ResolvedConfig, data: Prepared, progress: Progress, deadline: float
) -> tuple[ResolvedConfig, Prepared, dict[str, Any]]:
    """Settings and rows of the fit to all rows, where cross-validation comes before it, and what that found."""
    if not config.data.refit:
        return config, data, {}
    data = data.with_validation_rows()
    if config.game.energy.keep != "ahead":
        return config, data, {}
    config, gain = _by_cross_validation(config, data, progress, deadline)
    return config, data, gain.figures()


def _as_they_are(config: FitConfig) -> FitConfig:
    """`config` of a fit whose noise is not chosen, as models or labels are given: unless asked, no value is changed."""
    if config.data.dequantize is None and config.noise.name != AUTO:
        return changed(config, {"data.dequantize": False})
    return config


def _is_automatic(config: FitConfig, data: Prepared, *, energy: Any, noise: Any, allow_import: bool) -> bool:
    """Whether the model is to be chosen: the noise is `auto`, or the data are a table and nothing else is given."""
    table = data.repeats and len(data.event_shape) == 1
    objects = energy is not None or noise is not None or data.classes is not None
    return config.noise.name == AUTO or (table and not objects and asks_for_auto(config))


def _of_few_rows(config: FitConfig, data: Prepared) -> tuple[FitConfig, str]:
    """Settings of a fit without an energy, to all rows but the test rows, and a warning that says so."""
    rows, d = len(data.fitting), data.event_shape[0]
    name, kind = (
        ("gaussian", "a Gaussian") if rows > 2 * d else ("diag-gaussian", "a Gaussian with independent columns")
    )
    warning = (
        f"{rows} training rows are too few to choose a noise by and to train an energy on, and {len(data.test)} held "
        f"out say little of the fit: the model is {kind}; give more rows, or name --noise and --energy"
    )
    config = with_part(with_part(config, "noise", name, {}), "energy", "tilted", {})
    alone = {"game.energy.keep": "never", "game.steps": 1, "run.early_stopping": 0, "data.refit": True}
    return changed(config, alone), warning


def _chosen(config: FitConfig, data: Prepared, progress: Progress) -> ChosenNoise | None:
    """The noise that `auto` stands for; None, with a warning, where nobody asked for `auto` and none can be fitted."""
    try:
        return choose_noise(config, data, progress)
    except ContrastiveError as error:
        if config.noise.name == AUTO:
            raise
        warn(f"{error}; the noise is a Gaussian, and the energy a network, instead")
        return None


def _by_cross_validation(
    config: ResolvedConfig, data: Prepared, progress: Progress, deadline: float
) -> tuple[ResolvedConfig, Gain]:
    """Settings whose number of updates, and whether the energy is trained at all, cross-validation has chosen."""
    gain, updates = cross_validated(config, data, progress, deadline)
    ahead = gain.is_ahead and updates > 0
    decided = {"game.energy.keep": "always" if ahead else "never", "run.early_stopping": 0}
    return changed(config, {**decided, "game.steps": max(updates, 1)}), gain


def _judge_energy(estimator: Estimator, judging: Judging, seed: int) -> dict[str, Any]:
    """The gain at rows that chose nothing; where it is none, the model becomes the noise itself."""
    gain = Gain.of(gains_at(estimator, judging.x, seed), sample_weight=judging.sample_weight)
    if not gain.is_ahead:
        estimator.restart_energy()
    return {**gain.figures(), "energy_kept": gain.is_ahead}


def _check_extras(config: FitConfig, data: Prepared) -> None:
    """Refuse what the run could not write for want of a package, before the work.

    Raises:
        ContrastiveError: naming the extra.
    """
    if config.run.tensorboard:
        require_tensorboard()
    if config.run.out and data.are_images:
        require_pillow()


def _with_own_models(config: ResolvedConfig, estimator: Estimator) -> ResolvedConfig | None:
    """`config` of a fit in place, the models described as before; None if they are not."""
    if estimator.config is None:
        return None
    share = estimator.defensive_share if estimator.defensive_component is not None else 0.0
    own = {path: value for path, value in by_path(estimator.config).items() if belongs_to_models(path)}
    return changed(config, {**own, "game.defensive_share": share})


def belongs_to_models(path: str) -> bool:
    """Whether a setting describes what an estimator that is there already has of its own."""
    return path.startswith(tuple(f"{part}." for part in PARTS)) or path in ("likelihood.init_noise", "labels.prior")


def conclude(
    config: ResolvedConfig,
    trainer: Trainer,
    data: Prepared,
    directory: RunDirectory | None,
    found: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Settle c, judge and keep what a trainer that has run ends with; returns the summary.

    Args:
        config: of the run.
        trainer: that has run.
        data: of the run.
        directory: where the run is kept.
        found: figures of what was decided before and after training, for the summary.
    """
    estimator = trainer.estimator
    if config.game.method == "mle":
        estimator.update_base_noise()
    if config.game.energy.keep == "never":
        estimator.restart_energy()
    with eagerly():
        fill_log_normalizer(estimator, data)
        kept = {"energy_kept": config.game.energy.keep != "never"}
        summary = summarize(config, trainer, data) | kept | dict(found or {})
    estimator.summary = summary
    if summary["noise_warning"]:
        warn(summary["noise_warning"])
    if directory is not None:
        directory.write_finished(config, estimator.state_dict(), summary)
    return summary


def go_on(path: str | Path, data: Any = None, y: Any = None, **how: Any) -> Trained:
    """Train an interrupted run to its end, from its last checkpoint.

    Args:
        path: of the run.
        data: what it was fitted to, where that was no name or file.
        y: labels, likewise.
        **how: as in `train`; `sample_weight`, where the run's weights were no column.

    Raises:
        ContrastiveError: if `path` is no run, or one that is finished, or its data were in memory and are not given, or
            its weights.
    """
    directory = RunDirectory(path)
    config = directory.read_config()
    if directory.is_finished:
        raise ContrastiveError(f"{path} is finished already; its figures are in {directory.summary_path}")
    # Where it is now: it may have been moved, or its config may name a relative path.
    if data is None and directory.held_out_path.exists():
        raise ContrastiveError(
            f"{path} was fitted to data in memory: go on in Python with contrastive.fit(data, resume={str(path)!r})"
        )
    here = changed(config, {"run.out": str(path)})
    return train(here, config.data.source if data is None else data, y, resume=True, **how)


def _check_fits(estimator: Estimator, data: Prepared, config: FitConfig) -> None:
    """Refuse data or a precision that a given estimator cannot take."""
    check_precision(estimator, config.run.precision)
    if data.event_shape != tuple(estimator.noise.event_shape):
        raise ContrastiveError(
            f"data of shape {data.event_shape} a point, but the noise is over {tuple(estimator.noise.event_shape)}"
        )
    if num_given(estimator.noise) != data.num_given:
        raise ContrastiveError(
            f"{data.num_given} columns are given, but the noise conditions on {num_given(estimator.noise)}: it must be "
            "a conditional noise (contrastive.joint_noise) over as many"
        )
    if data.classes is not None and len(data.classes) != estimator.num_classes:
        raise ContrastiveError(
            f"the labels name {len(data.classes)} classes, but num_classes of the energy is {estimator.num_classes}"
        )
