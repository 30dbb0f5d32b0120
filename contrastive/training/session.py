"""From a config to a trainer: the models are made, the noise is fitted, the stages are laid out."""

import copy
import math
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.errors import ContrastiveError
from contrastive.estimator import ContrastiveEstimator
from contrastive.metrics import classification, evaluate, noise_warning, partition_figures
from contrastive.normalizer import log_partitions
from contrastive.objectives import make_objective
from contrastive.objectives.protocol import learns_normalizer
from contrastive.protocols import (
    AdaptiveNoise,
    FittableNoise,
    InitializableNoise,
    NoiseAwareEnergy,
    trainable_parameters,
)
from contrastive.registry import available_noises, make_energy, make_noise
from contrastive.training.execution import check_precision, compile_models
from contrastive.training.labelling import class_prior_of, with_classes
from contrastive.training.players import Player
from contrastive.training.prepared import Prepared
from contrastive.training.progress import Progress
from contrastive.training.run_directory import RunDirectory
from contrastive.training.sample_grids import SampleGrids
from contrastive.training.schedules import Alternate, EnergyOnly, Gate, Schedule
from contrastive.training.stages import Game, MaximumLikelihood, Stage
from contrastive.training.tensorboard import TensorBoard, require_tensorboard
from contrastive.training.terms import EnergyTerm, make_terms
from contrastive.training.trainer import Trainer

_DEFAULT_PRETRAINING = 5_000
_DEFAULT_SHARE = 0.1  # docs/recipes.md has the figures
_NO_DENSITY = "the energy learned from the labels alone: it is a classifier, and its log p means nothing"
_INITIALIZATION_ROWS, _INITIALIZATION_NUMBERS = 10_000, 2_000_000
#: What early stopping goes by. V judges f and c against a held noise; against a moving one it says nothing, log p does.
_SCORES = {"nce": "value", "fce": "test_log_prob_energy", "mle": "test_log_prob_noise"}


def make_estimator(config: FitConfig, data: Prepared) -> ContrastiveEstimator:
    """The untrained estimator that a resolved config describes.

    Raises:
        ContrastiveError: for unknown names or options, the energy `mlp` over images, or `method: fce` with a noise that
            cannot adapt.
    """
    config = with_classes(config, data)
    if data.are_images and config.energy == "mlp":
        raise ContrastiveError(
            "the energy 'mlp' does not see which pixels are neighbours: for images take --energy tilted, or conv"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        energy = make_energy(config.energy, event_shape=data.event_shape, **config.energy_options)
        noise = make_noise(config.noise, event_shape=data.event_shape, **config.noise_options)
    if config.method != "nce" and not trainable_parameters(noise):
        raise ContrastiveError(
            f"method {config.method} needs a noise that can adapt, {config.noise!r} cannot; of the installed ones "
            f"{', '.join(_adaptive_names(data.event_shape))} can"
        )
    if config.method == "fce" and not isinstance(noise, AdaptiveNoise):
        for option, value, instead in (("noise_gradient", "path", "full"), ("noise_loss", "non-saturating", "value")):
            if getattr(config, option) == value:
                raise ContrastiveError(
                    f"the draws of the noise {config.noise!r} have no path to follow: take "
                    f"--{option.replace('_', '-')} {instead}"
                )
    if config.restart_energy_every and not (config.method == "fce" and isinstance(energy, NoiseAwareEnergy)):
        raise ContrastiveError(
            "restart_energy_every is for method fce with an energy that is built on the noise, such as 'tilted'"
        )
    estimator = ContrastiveEstimator(
        energy,
        noise,
        objective=make_objective(config.objective, **config.objective_options),
        noise_ratio=config.noise_ratio,
        noise_per_data=config.noise_per_data,
        adapt_noise=config.method == "fce",
        scaling=data.scaling,
        class_prior=class_prior_of(config),
    ).to(config.device)
    check_precision(estimator, config.precision)
    return estimator


def make_trainer(
    config: FitConfig,
    estimator: ContrastiveEstimator,
    data: Prepared,
    directory: RunDirectory | None = None,
    progress: Progress | None = None,
) -> Trainer:
    """The trainer of an estimator, its noise fitted or initialised on `data`."""
    estimator.scaling = data.scaling.to(estimator.log_normalizer.device)
    _introduce(estimator, data, config.seed)
    _defend(estimator, data, config.defensive_share or 0.0)
    averaged = copy.deepcopy(estimator).requires_grad_(False).eval()
    gaussian = _gaussian_log_prob(estimator, data, data.curve_rows)
    if config.compile:
        compile_models(estimator)

    def judge(candidate: ContrastiveEstimator, stage: str) -> dict[str, Any]:
        started = stage in ("energy", "contrast")
        if started:
            settle(candidate, data)
        metrics = evaluate(candidate, data.curve_rows, data.truth, energy=started) | gaussian
        if started:
            metrics |= _classification(candidate, data, len(data.curve_rows))
        if config.early_stopping and (started or config.method == "mle"):
            metrics["score"] = evaluate(candidate, data.validation, energy=started)[_SCORES[config.method]]
        return metrics

    return Trainer(
        estimator,
        averaged,
        data.source,
        _stages(config, estimator, averaged, make_terms(config, estimator, labelled=data.classes is not None)),
        judge,
        batch_size=data.batch_size,
        seed=config.seed,
        evaluate_every=config.evaluate_every or 1,
        checkpoint_every=config.checkpoint_every or 1,
        early_stopping=config.early_stopping,
        directory=directory,
        progress=progress,
        observers=_observers(config, data, directory),
    )


def _observers(config: FitConfig, data: Prepared, directory: RunDirectory | None) -> list[Any]:
    """What is drawn at each evaluation, of a run that is kept.

    Raises:
        ContrastiveError: if `tensorboard` is asked of a run that is not.
    """
    if directory is None:
        if config.tensorboard:
            raise ContrastiveError("tensorboard needs a run that is kept: give out='runs/NAME'")
        return []
    grids = SampleGrids(directory.samples_path) if data.are_images else None
    observers: list[Any] = [] if grids is None else [grids]
    return [*observers, TensorBoard(directory.tensorboard_path, grids)] if config.tensorboard else observers


def decided(config: FitConfig, estimator: ContrastiveEstimator) -> FitConfig:
    """`config` with what depends on the noise decided: `pretrain_steps` and `defensive_share`.

    A flow that is to be held must be fitted first. A noise that is learned by gradient steps has the tails that its
    layers give it: over vectors it is defended.

    Raises:
        ContrastiveError: if steps were asked for a noise that gradient steps cannot fit, or to defend discrete draws.
    """
    noise = estimator.noise
    trainable = bool(trainable_parameters(noise))
    if config.pretrain_steps and not trainable:
        raise ContrastiveError(f"the noise {config.noise!r} has nothing to pre-train; leave out --pretrain-steps")
    if config.method == "mle":
        if config.pretrain_steps or config.defensive_share:
            raise ContrastiveError("method mle is all likelihood: leave out --pretrain-steps and --defensive-share")
        return replace(config, pretrain_steps=0, defensive_share=0.0)
    discrete = getattr(noise, "is_discrete", False)
    if config.defensive_share and discrete:
        raise ContrastiveError(f"the noise {config.noise!r} is discrete, a Gaussian cannot defend it")
    learned = trainable and (estimator.adapt_noise or not isinstance(noise, FittableNoise))
    steps, share = config.pretrain_steps, config.defensive_share
    if steps is None:
        fitted = estimator.adapt_noise or config.init_noise is not None
        steps = _DEFAULT_PRETRAINING if learned and not fitted else 0
    if share is None:
        defended = learned and not discrete and len(noise.event_shape) == 1 and config.recipe in (None, "default")
        share = _DEFAULT_SHARE if defended else 0.0
    return replace(config, pretrain_steps=steps, defensive_share=share)


def begin(config: FitConfig, estimator: ContrastiveEstimator, data: Prepared) -> FitConfig:
    """Before a new run writes anything: take over the noise of `init_noise`, and decide what depends on the noise.

    Raises:
        ContrastiveError: if that noise cannot be had, TensorBoard is asked for and not there, or as `decided`.
    """
    if config.tensorboard:
        require_tensorboard()
    if config.init_noise is not None:
        _take_noise(config.init_noise, estimator, data)
    return decided(with_classes(config, data), estimator)


def _take_noise(run: str, estimator: ContrastiveEstimator, data: Prepared) -> None:
    """Give the estimator's noise the parameters of a finished run's.

    Raises:
        ContrastiveError: if the run is not finished, or was fitted in other coordinates.
    """
    tensors = RunDirectory(run).read_model()
    same = {f"scaling.{name}": tensor for name, tensor in data.scaling.state_dict().items()}
    if any(name not in tensors or not torch.equal(tensors[name].cpu(), tensor.cpu()) for name, tensor in same.items()):
        raise ContrastiveError(
            f"the noise of {run} lives in other coordinates than these data: fit both to the same rows, with the same "
            + ("--image-size, --color, --bits and --logit" if data.are_images else "--seed and --standardize")
        )
    assert isinstance(estimator.noise, torch.nn.Module)
    own = {name.removeprefix("noise."): tensor for name, tensor in tensors.items() if name.startswith("noise.")}
    estimator.noise.load_state_dict(own)


def settle(estimator: ContrastiveEstimator, data: Prepared) -> None:
    """Where the objective leaves c open, set it to NCE's optimum for f as it is. Leaves the random state as it was."""
    if learns_normalizer(estimator.objective):
        return
    device = estimator.log_normalizer.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        estimator.balance(data.fitting[: _initialization_rows(data.event_shape)])


def summarize(config: FitConfig, trainer: Trainer, data: Prepared) -> dict[str, Any]:
    """The figures of a finished run, all on the whole test set."""
    estimator, at = trainer.estimator, trainer.position
    started = time.monotonic()
    metrics = evaluate(estimator, data.test, data.truth) | _gaussian_log_prob(estimator, data, data.test)
    metrics |= _classification(estimator, data, len(data.test))
    metrics |= _partition(config, estimator, data)
    return {
        "data": config.data,
        "method": config.method,
        "noise": config.noise,
        "energy": config.energy,
        "objective": config.objective,
        "noise_ratio": config.noise_ratio,
        "recipe": config.recipe,
        "seed": config.seed,
        "steps": sum(at.moves.values()) + config.energy_steps,
        "steps_energy": at.moves["energy"] + config.energy_steps,
        "steps_noise": at.moves["noise"],
        "pretrain_steps": at.updates - sum(at.moves.values()) - config.energy_steps,
        "skipped_steps": sum(player.skipped for stage in trainer.stages for player in stage.players.values()),
        "stopped_early": at.stopped_early,
        "seconds": round(at.seconds, 2),
        "seconds_evaluation": round(time.monotonic() - started, 2),
        "device": config.device,
        "event_shape": list(data.event_shape),
        "columns": data.columns,
        "test_rows": len(data.test),
        **_label_figures(data),
        **metrics,
        "noise_warning": noise_warning(metrics) if config.contrast_weight else _NO_DENSITY,
    }


def _classification(estimator: ContrastiveEstimator, data: Prepared, rows: int) -> dict[str, float]:
    if data.classes is None or data.test_labels is None:
        return {}
    return classification(estimator, data.test[:rows], data.test_labels[:rows])


def _label_figures(data: Prepared) -> dict[str, Any]:
    if data.classes is None or data.labels is None:
        return {}
    figures = {"classes": data.classes, "labelled_rows": int((data.labels >= 0).sum())}
    return figures if data.test_labels is None else {**figures, "test_labels": int((data.test_labels >= 0).sum())}


def _partition(config: FitConfig, estimator: ContrastiveEstimator, data: Prepared) -> dict[str, Any]:
    """log Z with its interval beside the learned c, by importance sampling: the method that takes but a moment.

    `contrastive normalizer` goes on where that is doubtful. A model that gives no estimate still gets its summary.
    """
    if not config.log_partition_draws:
        return {}
    device = estimator.log_normalizer.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        try:
            settings: dict[str, Any] = {"draws": config.log_partition_draws, "data": data.curve_rows}
            return partition_figures(estimator, log_partitions(estimator, "importance", **settings), data.test)
        except ContrastiveError as error:
            return {"log_partition_verdict": f"doubtful because {error}"}


def _introduce(estimator: ContrastiveEstimator, data: Prepared, seed: int) -> None:
    """Show the data to a noise that wants to see them first."""
    noise = estimator.noise
    if isinstance(noise, FittableNoise) and not noise.is_fitted:
        noise.fit(data.fitting)
    if isinstance(noise, InitializableNoise) and not noise.is_initialized:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            noise.initialize(data.fitting[: _initialization_rows(data.event_shape)])
    estimator.introduce_noise()


def _defend(estimator: ContrastiveEstimator, data: Prepared, share: float) -> None:
    if estimator.defence is not None or not share:
        return
    try:
        defence = copy.deepcopy(data.gaussian)
    except ContrastiveError as error:
        raise ContrastiveError(f"the noise has no Gaussian defence: {error}; or take --defensive-share 0") from error
    estimator.defence, estimator.defensive_share = defence.to(estimator.log_normalizer.device), share


def _initialization_rows(event_shape: tuple[int, ...]) -> int:
    """Fewer of large events: a flow keeps many numbers for each of theirs."""
    return min(_INITIALIZATION_ROWS, max(100, _INITIALIZATION_NUMBERS // math.prod(event_shape)))


def _gaussian_log_prob(estimator: ContrastiveEstimator, data: Prepared, x: Tensor) -> dict[str, float]:
    """Mean log-density of a Gaussian of the data at `x`, original units: what a learned noise has to beat."""
    noise = estimator.noise
    if isinstance(noise, FittableNoise) or not trainable_parameters(noise) or getattr(noise, "is_discrete", False):
        return {}
    if len(data.event_shape) != 1:
        return {}
    try:
        gaussian = data.gaussian
    except ContrastiveError:  # too few rows: there is no Gaussian to beat
        return {}
    z = estimator.model_coordinates(x)
    with torch.no_grad():
        log_prob = gaussian.to(z.device).log_prob(z.float()).double().mean()
    return {"test_log_prob_gaussian": float(log_prob + estimator.scaling.log_det(x).mean())}


def _stages(
    config: FitConfig, estimator: ContrastiveEstimator, averaged: ContrastiveEstimator, terms: list[EnergyTerm]
) -> list[Stage]:
    noise_parameters = trainable_parameters(estimator.noise)
    noise_averages = _twins(averaged.noise, estimator.noise)
    common: dict[str, Any] = {"decay": config.decay, "clip_norm": config.clip_norm}
    execution: dict[str, Any] = {"accumulate": config.accumulate, "precision": config.precision}
    stages: list[Stage] = []
    likelihood_steps = config.steps if config.method == "mle" else config.pretrain_steps
    if likelihood_steps:
        pupil = Player(
            noise_parameters,
            noise_averages,
            learning_rate=config.pretrain_learning_rate or 1e-3,
            ema=config.noise_ema or 0.0,
            **common,
        )
        name = "likelihood" if config.method == "mle" else "pretrain"
        stages.append(MaximumLikelihood(estimator, pupil, likelihood_steps, name=name, **execution))
    if config.method == "mle":
        return stages
    own = trainable_parameters(estimator.energy)
    own_averages = _twins(averaged.energy, estimator.energy)
    if learns_normalizer(estimator.objective):
        own, own_averages = [estimator.log_normalizer, *own], [averaged.log_normalizer, *own_averages]

    def energy_player(**decay: Any) -> Player:
        return Player(
            own,
            own_averages,
            optimizer=config.optimizer or "adam",
            learning_rate=config.learning_rate or 1e-3,
            ema=config.ema or 0.0,
            momentum=0.9 if config.momentum is None else config.momentum,
            **{**common, **decay},
        )

    game: dict[str, Any] = {"averaged": averaged, "terms": terms, "contrast_weight": config.contrast_weight}
    game |= execution
    if config.energy_steps:
        # At its full rate: the game goes on from here.
        alone = {"energy": energy_player(decay="constant")}
        stages.append(Game(estimator, alone, EnergyOnly(), config.energy_steps, name="energy", **game))
    players = {"energy": energy_player()}
    schedule: Schedule = EnergyOnly()
    if estimator.adapt_noise:
        players["noise"] = Player(
            noise_parameters,
            noise_averages,
            optimizer=config.noise_optimizer or "adam",
            learning_rate=config.noise_learning_rate or 1e-3,
            ema=config.noise_ema or 0.0,
            momentum=0.9 if config.momentum is None else config.momentum,
            **common,
        )
        schedule = _schedule(config)
    main = Game(
        estimator,
        players,
        schedule,
        config.steps,
        likelihood_weight=config.noise_likelihood_weight or 0.0,
        hold_noise_after=config.hold_noise_after or 1.0,
        path_only=config.noise_gradient == "path",
        non_saturating=config.noise_loss == "non-saturating",
        restart_energy_every=config.restart_energy_every,
        goes_on=bool(config.energy_steps),
        **game,
    )
    return [*stages, main]


def _schedule(config: FitConfig) -> Schedule:
    if config.schedule == "alternate":
        return Alternate(config.energy_updates or 5, config.noise_updates)
    return Gate(
        (config.gate_accuracy or 0.6) if config.gate_on == "accuracy" else config.gate_divergence,
        config.max_noise_run or 50,
        config.min_energy_run or 1,
        measure=config.gate_on,
        memory=config.gate_memory,
        margin=config.gate_margin,
    )


def _twins(averaged: Any, module: Any) -> list[torch.nn.Parameter]:
    """The parameters of `averaged` that stand for the trainable ones of `module`."""
    if not isinstance(module, torch.nn.Module):
        return []
    return [twin for twin, own in zip(averaged.parameters(), module.parameters()) if own.requires_grad]


def _adaptive_names(event_shape: tuple[int, ...]) -> list[str]:
    """Installed noises that can learn on such events; those that cannot be made are left out."""
    names = []
    for name in available_noises():
        with suppress(ContrastiveError):
            if trainable_parameters(make_noise(name, event_shape=event_shape)):
                names.append(name)
    return names
