"""Fit and load in one call each."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data.images import PixelScaling
from contrastive.data.scaling import Coordinates, Scaling
from contrastive.errors import ContrastiveError
from contrastive.estimator import ContrastiveEstimator
from contrastive.objectives import make_objective
from contrastive.registry import make_energy, make_noise
from contrastive.training.execution import eagerly
from contrastive.training.judging import settle, summarize
from contrastive.training.labelling import class_prior_of
from contrastive.training.preparation import holds_images, prepare
from contrastive.training.prepared import Prepared, held_gaussian
from contrastive.training.progress import Progress
from contrastive.training.run_directory import RunDirectory
from contrastive.training.session import begin, decided, make_estimator, make_trainer
from contrastive.training.trainer import Trainer


def fit(
    data: Any, y: Any = None, *, quiet: bool = False, overwrite: bool = False, **settings: Any
) -> ContrastiveEstimator:
    """Fit an energy-based model to data by contrast with a noise.

    Args:
        data: array or tensor `(n, d)`, uint8 images `(n, C, H, W)`, `(n, H, W, C)` or `(n, H, W)`, a map-style
            `Dataset`, a density or its name, a file, or a folder of images.
        y: one label a row, whole numbers or words, for a density of each class and a classifier; -1 is unlabelled.
        quiet: show no progress.
        overwrite: replace the run at `out`.
        **settings: fields of `contrastive.config.FitConfig`, such as `noise="glow", method="fce", steps=5000`;
            options of the parts as dictionaries, `noise_options={"width": 64}`. With `out="runs/mine"` the run
            is kept on disk, else nothing is written.

    Returns:
        The fitted estimator; its methods speak the data's own units.

    Raises:
        ContrastiveError: if the data or the settings cannot work.

    Example:
        >>> import torch
        >>> estimator = fit("8gaussians", steps=20, quiet=True)
        >>> estimator.log_prob(torch.zeros(3, 2)).shape
        torch.Size([3])
    """
    unknown = set(settings) - {field.name for field in dataclasses.fields(FitConfig)}
    if unknown:
        FitConfig.from_flat(dict.fromkeys(unknown))  # raises, with the near names
    name = str(data) if isinstance(data, str | Path) else type(data).__name__
    images = holds_images(data, settings.get("columns"))
    config = FitConfig(**{"data": name, **settings}).resolved(images=images)
    prepared = prepare(data, config, y)
    estimator = make_estimator(config, prepared)
    config = begin(config, estimator, prepared)
    directory = None
    if config.out is not None:
        directory = RunDirectory(config.out)
        directory.create(config, overwrite=overwrite)
    run(config, estimator, prepared, directory, Progress(quiet=quiet))
    return estimator


def fit_estimator(
    estimator: ContrastiveEstimator, x: Any, y: Any = None, *, quiet: bool = False, **settings: Any
) -> dict[str, Any]:
    """Train a given estimator in place.

    Args:
        estimator: it brings its own energy, noise, objective and noise ratio; its scaling is set from `x`.
        x: data, as in `fit`.
        y: labels, as in `fit`, for an energy with as many classes.
        quiet: show no progress.
        **settings: training fields of `FitConfig` (`steps`, `batch_size`, `recipe`, ...).

    Returns:
        The run's summary.

    Raises:
        ContrastiveError: if `settings` name a model, or the data do not fit the noise's event shape.
    """
    models = {"energy", "noise", "energy_options", "noise_options", "init_noise", "class_prior"}
    own = (models | {"objective", "objective_options", "noise_ratio", "method"}) & set(settings)
    if own:
        raise ContrastiveError(f"the estimator has its own {', '.join(sorted(own))}: leave it out of fit()")
    config = FitConfig(
        data=type(x).__name__ if not isinstance(x, str | Path) else str(x),
        energy=type(estimator.energy).__name__,
        noise=type(estimator.noise).__name__,
        method="fce" if estimator.adapt_noise else "nce",
        noise_ratio=estimator.noise_ratio,
        **{"device": str(estimator.log_normalizer.device), **settings},
    ).resolved(images=holds_images(x, settings.get("columns")))
    prepared = prepare(x, config, y)
    if prepared.event_shape != tuple(estimator.noise.event_shape):
        raise ContrastiveError(
            f"data of shape {prepared.event_shape} a point, but the noise is over {tuple(estimator.noise.event_shape)}"
        )
    if prepared.classes is not None and len(prepared.classes) != estimator.num_classes:
        raise ContrastiveError(
            f"the labels name {len(prepared.classes)} classes, but num_classes of the energy is {estimator.num_classes}"
        )
    return run(decided(config, estimator), estimator, prepared, None, Progress(quiet=quiet))


def run(
    config: FitConfig,
    estimator: ContrastiveEstimator,
    prepared: Prepared,
    directory: RunDirectory | None,
    progress: Progress,
    *,
    resume: bool = False,
) -> dict[str, Any]:
    """Train to the end and keep what the directory should hold; returns the summary."""
    trainer = make_trainer(config, estimator, prepared, directory, progress)
    if resume:
        trainer.load()
    trainer.run()
    return conclude(config, trainer, prepared, directory)


def conclude(config: FitConfig, trainer: Trainer, prepared: Prepared, directory: RunDirectory | None) -> dict[str, Any]:
    """What is left to do when a trainer has run: settle c, judge, keep; returns the summary."""
    estimator = trainer.estimator
    if config.method == "mle":
        estimator.introduce_noise()
    with eagerly():
        settle(estimator, prepared)
        summary = summarize(config, trainer, prepared)
    if directory is not None:
        directory.write_model(estimator.state_dict(), {"config": config.to_flat(), "summary": summary})
        directory.write_summary(summary)
    return summary


def load(directory: str | Path, *, trainable: bool = False) -> ContrastiveEstimator:
    """The estimator of a finished run, on the CPU.

    Args:
        directory: of the run.
        trainable: leave the parameters so that they can learn on; else every one is frozen.

    Raises:
        ContrastiveError: if the directory is no finished run, or its files are damaged.
    """
    run_directory = RunDirectory(directory)
    config = run_directory.read_config()
    tensors = run_directory.read_model()
    scaling = _restored(tensors)
    event_shape = scaling.event_shape
    estimator = ContrastiveEstimator(
        make_energy(config.energy, event_shape=event_shape, **config.energy_options),
        make_noise(config.noise, event_shape=event_shape, **config.noise_options),
        objective=make_objective(config.objective, **config.objective_options),
        noise_ratio=config.noise_ratio,
        noise_per_data=config.noise_per_data,
        adapt_noise=config.method == "fce",
        scaling=scaling,
        defence=held_gaussian(event_shape) if config.defensive_share else None,
        defensive_share=config.defensive_share or 0.0,
        class_prior=class_prior_of(config),
    )
    try:
        estimator.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ContrastiveError(f"{directory} does not fit its own config.yaml: {reason}") from error
    return (estimator if trainable else estimator.requires_grad_(False)).eval()


def _restored(tensors: dict[str, Tensor]) -> Coordinates:
    """The coordinates that a run's tensors tell of."""
    if "scaling.layout" in tensors:
        return PixelScaling.restored(tensors["scaling.layout"], tensors["scaling.alpha"])
    return Scaling(tensors["scaling.shift"], tensors["scaling.scale"])
