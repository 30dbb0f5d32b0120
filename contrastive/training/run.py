"""The one way through a fit, behind `contrastive.fit`, `estimator.fit`, the command line and the benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.distributions import Distribution

from contrastive.config import FitConfig, without_effect
from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError, warn
from contrastive.protocols import EnergyModel, NoiseModel
from contrastive.training.build import begin, decided, make_estimator, make_trainer
from contrastive.training.callbacks import Callback
from contrastive.training.execution import check_precision, eagerly
from contrastive.training.held_out import keep_held_out
from contrastive.training.judging import fill_log_normalizer, summarize
from contrastive.training.preparation import holds_images, prepare
from contrastive.training.prepared import Prepared
from contrastive.training.progress import Progress
from contrastive.training.run_directory import RunDirectory
from contrastive.training.trainer import Trainer

#: Settings of which an estimator that is there already has its own, beside the method.
MODELS = ["energy", "noise", "energy_options", "noise_options", "init_noise", "class_prior"]
MODELS += ["objective", "objective_options", "noise_ratio", "noise_per_data"]


@dataclass(frozen=True)
class Trained:
    """A fit that came to its end.

    Attributes:
        estimator: with its averaged or best weights.
        summary: its figures, as in summary.json.
        config: all settings, decided.
        directory: where the run is kept; None where it is not.
    """

    estimator: Estimator
    summary: dict[str, Any]
    config: FitConfig
    directory: RunDirectory | None


def resolve(config: FitConfig, data: Any) -> FitConfig:
    """Fill in the recipe that the data ask for, and the noise of the run at `init_noise`.

    Warns of settings that would have no effect.
    """
    for name, why in without_effect(config).items():
        warn(f"{name} has no effect here: {why}")
    return config.resolved(images=holds_images(data, config.columns))


def train(
    config: FitConfig,
    data: Any,
    y: Any = None,
    *,
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
        config: resolved. A run is kept on disk where it names `out`.
        data: as in `contrastive.fit`.
        y: labels, likewise.
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
    directory = None if config.out is None else RunDirectory(config.out)
    if directory is not None and not resume:
        directory.check_free(overwrite=overwrite, data=config.data)  # before the work of reading the data
    prepared = prepare(data, config, y)
    if estimator is None:
        estimator = make_estimator(config, prepared, kind, energy=energy, noise=noise, allow_import=allow_import)
        _check_fits(estimator, prepared, config)
        config = config if resume else begin(config, estimator, prepared, energy_is_given=energy is not None)
        named = energy is None and noise is None
    else:
        _check_fits(estimator, prepared, config)
        config = decided(config, estimator, prepared)
        named = False
    if directory is not None and not resume:
        directory.create(config, overwrite=overwrite)
        if not isinstance(data, str | Path):
            keep_held_out(directory, prepared)
    trainer = make_trainer(config, estimator, prepared, directory, progress, callbacks)
    if resume:
        trainer.load()
    trainer.run()
    summary = conclude(config, trainer, prepared, directory)
    estimator.config = config if named else _with_own_models(config, estimator)
    return Trained(estimator, summary, config, directory)


def _with_own_models(config: FitConfig, estimator: Estimator) -> FitConfig | None:
    """`config` of a fit in place, the models described as before; None if they are not."""
    if estimator.config is None:
        return None
    share = estimator.defensive_share if estimator.defensive_component is not None else 0.0
    return replace(config, defensive_share=share, **{name: getattr(estimator.config, name) for name in MODELS})


def conclude(config: FitConfig, trainer: Trainer, data: Prepared, directory: RunDirectory | None) -> dict[str, Any]:
    """Settle c, judge and keep what a trainer that has run ends with; returns the summary."""
    estimator = trainer.estimator
    if config.method == "mle":
        estimator.update_base_noise()
    with eagerly():
        fill_log_normalizer(estimator, data)
        summary = summarize(config, trainer, data)
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
        **how: as in `train`.

    Raises:
        ContrastiveError: if `path` is no run, or one that is finished, or its data were in memory and are not given.
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
    return train(config.at(str(path)), config.data if data is None else data, y, resume=True, **how)


def _check_fits(estimator: Estimator, data: Prepared, config: FitConfig) -> None:
    """Refuse data or a precision that a given estimator cannot take."""
    check_precision(estimator, config.precision)
    if data.event_shape != tuple(estimator.noise.event_shape):
        raise ContrastiveError(
            f"data of shape {data.event_shape} a point, but the noise is over {tuple(estimator.noise.event_shape)}"
        )
    if data.classes is not None and len(data.classes) != estimator.num_classes:
        raise ContrastiveError(
            f"the labels name {len(data.classes)} classes, but num_classes of the energy is {estimator.num_classes}"
        )
