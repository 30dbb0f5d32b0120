"""The models of a run: which ones, built, and what of them the settings depend on."""

import inspect
from contextlib import suppress
from typing import Any

import torch
from torch.distributions import Distribution

from contrastive.config import FitConfig, ModelFacts, changed, choose_models
from contrastive.core.class_prior import parse_class_prior
from contrastive.core.estimator import Estimator
from contrastive.data.preparation import Prepared
from contrastive.energies.tilted import default_correction
from contrastive.errors import ContrastiveError
from contrastive.noises.conditional import make_noise_over
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import weights_of
from contrastive.objectives import make_objective
from contrastive.protocols import (
    AdaptiveNoise,
    EnergyModel,
    FittableNoise,
    NoiseAwareEnergy,
    NoiseModel,
    is_discrete,
    learns_by_gradient,
    prepare_noise,
    trainable_parameters,
)
from contrastive.registry import available_noises, energies, make_energy
from contrastive.training.execution import check_precision
from contrastive.training.run_directory import RunDirectory

_WITH_CLASSES = ("mlp", "tilted", "conv", "conv-small", "conv-large")


def models_for(config: FitConfig, data: Prepared, *, energy_is_given: bool = False) -> FitConfig:
    """`config` with its models as the recipe and the labels have them.

    With labels the energy gets one output a class, and a prior "labelled" becomes numbers.

    Args:
        config: as given.
        data: with or without classes to learn.
        energy_is_given: the energy is an object, whose classes are its own.

    Raises:
        ContrastiveError: if the energy or the method cannot learn classes, or was given another number of them, or as
            `choose_models`.
    """
    config = choose_models(config, images=data.are_images)
    if data.num_given and config.objective.name == "conditional":
        raise ContrastiveError(
            "the objective 'conditional' moves the given columns too: of a density that is given some take another, nce"
        )
    if data.num_given and config.objective.name == "ranking" and (config.objective.noise_reuse or 1) > 1:
        raise ContrastiveError("ranking compares rows of one context: of a density given some noise_reuse is 1")
    if data.classes is None:
        if config.labels.prior == "labelled":
            raise ContrastiveError("labels.prior 'labelled' needs labels: name their column with --label-column")
        return config
    if config.game.method == "mle":
        raise ContrastiveError("method mle fits the noise alone, which has no classes: leave out the labels")
    if config.labels.prior == "labelled":
        config = changed(config, {"labels.prior": _labelled_shares(data)})
    if energy_is_given:
        return config
    count = len(data.classes)
    given = config.energy.options.get("num_classes", count)
    if given != count:
        raise ContrastiveError(
            f"the labels name {count} classes, but num_classes of the energy is {given}: leave it out"
        )
    assert config.energy.name is not None
    if not _has_classes(config.energy.name, data.event_shape, config.energy.options):
        able = ", ".join(name for name in _WITH_CLASSES if name in energies.names())
        raise ContrastiveError(f"the energy {config.energy.name!r} cannot have classes; take one of {able}")
    return changed(config, {"energy.num_classes": count})


def _labelled_shares(data: Prepared) -> str:
    assert data.labels is not None
    assert data.classes is not None
    known = data.labels >= 0
    weight = weights_of(data.fitting_weight, known)
    shares = torch.bincount(data.labels[known], weight, minlength=len(data.classes)).double()
    return ", ".join(f"{share:.17g}" for share in (shares / shares.sum()).tolist())


def _has_classes(energy: str, event_shape: tuple[int, ...], options: dict[str, Any]) -> bool:
    if energy == "tilted":  # its correction has them
        energy = options.get("correction") or default_correction(event_shape)[0]
    return "num_classes" in inspect.signature(energies.load(energy)).parameters


def class_prior_of(config: FitConfig) -> list[float] | None:
    """The prior as numbers; None for equal shares."""
    return None if config.labels.prior == "equal" else parse_class_prior(config.labels.prior)


def make_estimator(
    config: FitConfig,
    data: Prepared,
    kind: type[Estimator] = Estimator,
    *,
    energy: EnergyModel | None = None,
    noise: NoiseModel | Distribution | None = None,
    allow_import: bool = False,
) -> Estimator:
    """The untrained estimator that a config describes.

    Args:
        config: with the models that `models_for` chose.
        data: what it is to be fitted to.
        kind: its class.
        energy: an energy to take in place of the one that the config names.
        noise: a noise, likewise.
        allow_import: whether options of the models may name code to import, which runs it.

    Raises:
        ContrastiveError: for unknown names or options, the energy `mlp` over images, or `method: fce` with a noise that
            cannot adapt.
    """
    assert config.energy.name is not None
    assert config.noise.name is not None
    if data.are_images and energy is None and config.energy.name == "mlp":
        raise ContrastiveError(
            "the energy 'mlp' does not see which pixels are neighbours: for images take --energy tilted, or conv"
        )
    with seeded(config.run.seed):
        given: dict[str, Any] = {"event_shape": data.event_shape, "allow_import": allow_import}
        if energy is None:
            energy = make_energy(config.energy.name, **given, **config.energy.options)
        if noise is None:
            given["num_given"] = data.num_given
            noise = make_noise_over(config.noise.name, **given, **config.noise.options)
    if config.game.method != "nce" and not trainable_parameters(noise):
        raise ContrastiveError(
            f"method {config.game.method} needs a noise that can adapt, {config.noise.name!r} cannot; of the installed "
            f"ones {', '.join(adaptive_noises(data.event_shape, data.num_given))} can"
        )
    estimator = kind(
        energy,
        noise,
        objective=make_objective(config.objective.name, **config.objective.options),
        noise_ratio=config.objective.noise_ratio,
        noise_per_data=config.objective.noise_per_data,
        adapt_noise=config.game.method == "fce",
        scaling=data.scaling,
        class_prior=class_prior_of(config),
    ).to(config.run.device)
    check_precision(estimator, config.run.precision)
    return estimator


def new_estimator(
    config: FitConfig,
    data: Prepared,
    kind: type[Estimator] = Estimator,
    *,
    energy: EnergyModel | None = None,
    noise: NoiseModel | Distribution | None = None,
    allow_import: bool = False,
) -> tuple[Estimator, FitConfig]:
    """The estimator of a new run, its noise that of the run at `init_noise`, and the settings with its models chosen.

    Raises:
        ContrastiveError: as `models_for` and `make_estimator`, or if that noise cannot be had.
    """
    config = models_for(config, data, energy_is_given=energy is not None)
    estimator = make_estimator(config, data, kind, energy=energy, noise=noise, allow_import=allow_import)
    if config.likelihood.init_noise:
        take_noise(config.likelihood.init_noise, estimator, data)
    return estimator, config


def facts_of(estimator: Estimator) -> ModelFacts:
    """What settings depend on of the models."""
    return ModelFacts(
        trainable=bool(trainable_parameters(estimator.noise)),
        fits_itself=isinstance(estimator.noise, FittableNoise) and not learns_by_gradient(estimator.noise),
        discrete=is_discrete(estimator.noise),
        adapts=estimator.adapt_noise,
        reparameterizable=isinstance(estimator.noise, AdaptiveNoise),
        built_on_noise=isinstance(estimator.energy, NoiseAwareEnergy),
    )


def take_noise(run: str, estimator: Estimator, data: Prepared) -> None:
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


def show_data_to_noise(estimator: Estimator, data: Prepared, seed: int) -> None:
    """Fit or initialise a noise that needs data before its first use; the energy's base becomes what it is then."""
    with seeded(seed):
        prepare_noise(estimator.noise, data.fitting, first=data.first_rows, sample_weight=data.fitting_weight)
    estimator.update_base_noise()


def adaptive_noises(event_shape: tuple[int, ...], num_given: int = 0) -> list[str]:
    """Installed noises that can learn on such events; those that cannot be made are left out."""
    names = []
    for name in available_noises():
        with suppress(ContrastiveError), seeded(0):
            if trainable_parameters(make_noise_over(name, event_shape=event_shape, num_given=num_given)):
                names.append(name)
    return names
