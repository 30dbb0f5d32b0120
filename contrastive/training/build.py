"""Models, estimator and trainer from a config, and the settings that depend on them."""

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch.distributions import Distribution

from contrastive.config import IMAGES_ON_LOG_Q, IMAGES_PLAIN, FitConfig
from contrastive.core.estimator import Estimator
from contrastive.data.images import require_pillow
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded
from contrastive.objectives import make_objective
from contrastive.protocols import (
    AdaptiveNoise,
    EnergyModel,
    FittableNoise,
    InitializableNoise,
    NoiseAwareEnergy,
    NoiseModel,
    is_discrete,
    trainable_parameters,
)
from contrastive.registry import available_noises, make_energy, make_noise
from contrastive.training.callbacks import Callback
from contrastive.training.execution import check_precision, compile_models
from contrastive.training.judging import make_judge, make_scorer
from contrastive.training.labelling import class_prior_of, with_classes
from contrastive.training.plan import plan_stages
from contrastive.training.prepared import Prepared
from contrastive.training.progress import Progress
from contrastive.training.run_directory import RunDirectory
from contrastive.training.sample_grids import SampleGrids
from contrastive.training.tensorboard import TensorBoard, require_tensorboard
from contrastive.training.terms import make_terms
from contrastive.training.trainer import Trainer

_DEFAULT_STEPS, _DEFAULT_PRETRAINING = 10_000, 5_000
_SMALL_TABLE, _SMALL_EVERY, _SMALL_PATIENCE = 5_000, 50, 20
_DEFAULT_SHARE = 0.1  # docs/explanation/recipes.md has the figures


def make_estimator(
    config: FitConfig,
    data: Prepared,
    kind: type[Estimator] = Estimator,
    *,
    energy: EnergyModel | None = None,
    noise: NoiseModel | Distribution | None = None,
    allow_import: bool = False,
) -> Estimator:
    """The untrained estimator that a resolved config describes.

    Args:
        config: resolved.
        data: what it is to be fitted to.
        kind: its class.
        energy: an energy to take in place of the one that the config names.
        noise: a noise, likewise.
        allow_import: whether options of the models may name code to import, which runs it.

    Raises:
        ContrastiveError: for unknown names or options, the energy `mlp` over images, or `method: fce` with a noise that
            cannot adapt.
    """
    config = with_classes(config, data, energy_is_given=energy is not None)
    if data.are_images and energy is None and config.energy == "mlp":
        raise ContrastiveError(
            "the energy 'mlp' does not see which pixels are neighbours: for images take --energy tilted, or conv"
        )
    with seeded(config.seed):
        given: dict[str, Any] = {"event_shape": data.event_shape, "allow_import": allow_import}
        if energy is None:
            energy = make_energy(config.energy, **given, **config.energy_options)
        if noise is None:
            noise = make_noise(config.noise, **given, **config.noise_options)
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
    estimator = kind(
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
    estimator: Estimator,
    data: Prepared,
    directory: RunDirectory | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[Callback] = (),
) -> Trainer:
    """The trainer of an estimator, its noise fitted or initialised on `data`."""
    estimator.scaling = data.scaling.to(estimator.log_normalizer.device)
    estimator.columns = tuple(data.columns) if data.named else None
    _introduce(estimator, data, config.seed)
    _defend(estimator, data, config.defensive_share or 0.0)
    averaged = copy.deepcopy(estimator).requires_grad_(False).eval()
    judge = make_judge(config, estimator, data)
    if config.compile:
        compile_models(estimator, energy=not config.gradient_penalty)
    return Trainer(
        estimator,
        averaged,
        data.source,
        plan_stages(config, estimator, averaged, make_terms(config, estimator, labelled=data.classes is not None)),
        judge,
        make_scorer(data) if config.early_stopping else None,
        batch_size=data.batch_size,
        seed=config.seed,
        evaluate_every=config.evaluate_every or 1,
        checkpoint_every=config.checkpoint_every or 1,
        early_stopping=config.early_stopping or 0,
        directory=directory,
        progress=progress,
        callbacks=[*_writers(config, data, directory), *callbacks],
    )


def _writers(config: FitConfig, data: Prepared, directory: RunDirectory | None) -> list[Callback]:
    """What is drawn at each evaluation, of a run that is kept.

    Raises:
        ContrastiveError: if `tensorboard` is asked of a run that is not.
    """
    if directory is None:
        if config.tensorboard:
            raise ContrastiveError("tensorboard needs a run that is kept: give out='runs/NAME'")
        return []
    grids = SampleGrids(directory.samples_path) if data.are_images else None
    writers: list[Callback] = [] if grids is None else [grids]
    return [*writers, TensorBoard(directory.tensorboard_path, grids)] if config.tensorboard else writers


def decided(config: FitConfig, estimator: Estimator, data: Prepared) -> FitConfig:
    """`config` with what depends on the data and the models decided.

    That is when to evaluate and stop, `pretrain_steps`, `defensive_share`, and two settings of the recipe of images.

    A flow that is to be held must be fitted first. A noise that is learned by gradient steps has the tails that its
    layers give it: over vectors it is defended. How the game on images is played depends on whether f has log q in it.

    Raises:
        ContrastiveError: if steps were asked for a noise that gradient steps cannot fit, or to defend discrete draws.
    """
    config = _with_models(config, estimator)
    return _paced(config, data)


def _with_models(config: FitConfig, estimator: Estimator) -> FitConfig:
    noise = estimator.noise
    trainable = bool(trainable_parameters(noise))
    if config.pretrain_steps and not trainable:
        raise ContrastiveError(f"the noise {config.noise!r} has nothing to pre-train; leave out --pretrain-steps")
    if config.method == "mle":
        if config.pretrain_steps or config.defensive_share:
            raise ContrastiveError("method mle is all likelihood: leave out --pretrain-steps and --defensive-share")
        return replace(config, pretrain_steps=0, defensive_share=0.0)
    discrete = is_discrete(noise)
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
    return replace(config, pretrain_steps=steps, defensive_share=share, **_left_to_energy(config, estimator.energy))


def _paced(config: FitConfig, data: Prepared) -> FitConfig:
    """How long to train, when to evaluate, and when to stop early."""
    steps, patience = config.steps or _DEFAULT_STEPS, config.early_stopping
    # Held-out log-density falls by design while a flow trades it for better images.
    trades = data.are_images and config.method == "fce"
    watched = data.repeats and bool(config.contrast_weight) and not trades and len(data.validation) > 0
    # Few rows are overfitted within tens of updates, and soon scored.
    small = watched and patience is None and not data.are_images and len(data.fitting) <= _SMALL_TABLE
    every = config.evaluate_every or (_SMALL_EVERY if small else max(_SMALL_EVERY, steps // 40))
    if patience is None:
        longest = max(steps, config.pretrain_steps or 0, config.energy_steps)
        # Steps that were asked for are all made: no patience runs out, yet the best state is kept.
        enough = _SMALL_PATIENCE if small else max(1, longest // (4 * every))
        patience = 0 if not watched else enough if config.steps is None else longest // every + 1
    return replace(
        config,
        steps=steps,
        early_stopping=patience,
        evaluate_every=every,
        checkpoint_every=config.checkpoint_every or every,
    )


def _left_to_energy(config: FitConfig, energy: Any) -> dict[str, Any]:
    if config.recipe != "images":
        return {}
    values = IMAGES_ON_LOG_Q if isinstance(energy, NoiseAwareEnergy) else IMAGES_PLAIN
    return {name: value for name, value in values.items() if getattr(config, name) is None}


def begin(config: FitConfig, estimator: Estimator, data: Prepared, *, energy_is_given: bool = False) -> FitConfig:
    """Before a new run writes anything: take over the noise of `init_noise`, and decide what depends on the noise.

    Raises:
        ContrastiveError: if that noise cannot be had, a package is missing with which the run is to be written, or as
            `decided`.
    """
    if config.tensorboard:
        require_tensorboard()
    if config.out is not None and data.are_images:
        require_pillow()
    if config.init_noise is not None:
        _take_noise(config.init_noise, estimator, data)
    return decided(with_classes(config, data, energy_is_given=energy_is_given), estimator, data)


def _take_noise(run: str, estimator: Estimator, data: Prepared) -> None:
    """Give the estimator's noise the parameters of a finished run's.

    Raises:
        ContrastiveError: if the run is not finished, or was fitted in other coordinates.
    """
    tensors, _ = RunDirectory(run).read_model()
    same = {f"scaling.{name}": tensor for name, tensor in data.scaling.state_dict().items()}
    if any(name not in tensors or not torch.equal(tensors[name].cpu(), tensor.cpu()) for name, tensor in same.items()):
        raise ContrastiveError(
            f"the noise of {run} lives in other coordinates than these data: fit both to the same rows, with the same "
            + ("--image-size, --color, --bits and --logit" if data.are_images else "--seed and --standardize")
        )
    assert isinstance(estimator.noise, torch.nn.Module)
    own = {name.removeprefix("noise."): tensor for name, tensor in tensors.items() if name.startswith("noise.")}
    estimator.noise.load_state_dict(own)


def _introduce(estimator: Estimator, data: Prepared, seed: int) -> None:
    """Show the data to a noise that wants to see them first."""
    noise = estimator.noise
    if isinstance(noise, FittableNoise) and not noise.is_fitted:
        noise.fit(data.fitting)
    if isinstance(noise, InitializableNoise) and not noise.is_initialized:
        with seeded(seed):
            noise.initialize(data.first_rows)
    estimator.update_base_noise()


def _defend(estimator: Estimator, data: Prepared, share: float) -> None:
    if estimator.defence is not None or not share:
        return
    try:
        defence = copy.deepcopy(data.gaussian)
    except ContrastiveError as error:
        raise ContrastiveError(f"the noise has no Gaussian defence: {error}; or take --defensive-share 0") from error
    estimator.defence, estimator.defensive_share = defence.to(estimator.log_normalizer.device), share


def _adaptive_names(event_shape: tuple[int, ...]) -> list[str]:
    """Installed noises that can learn on such events; those that cannot be made are left out."""
    names = []
    for name in available_noises():
        with suppress(ContrastiveError):
            if trainable_parameters(make_noise(name, event_shape=event_shape)):
                names.append(name)
    return names
