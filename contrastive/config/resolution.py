"""From what was given to what is run: first the models by name, then, once these are built, every open setting."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from contrastive.config.effects import is_gated
from contrastive.config.recipes import ENERGY_OPTIONS, IMAGES_ON_LOG_Q, IMAGES_PLAIN, RECIPES
from contrastive.config.sections import FitConfig, Noise, ResolvedConfig
from contrastive.config.settings import by_path, changed, read_config, with_part
from contrastive.errors import ContrastiveError

#: The noise that stands for the best of all candidates.
AUTO = "auto"
_NOISE = "gaussian"
_STEPS, _PRETRAINING = 10_000, 5_000
_SMALL_TABLE, _SMALL_EVERY, _SMALL_PATIENCE = 5_000, 50, 20
_CROSS_VALIDATED = 2_000  # rows, at most
_DEFENSIVE_SHARE = 0.1  # docs/recipes.md has the figures


@dataclass(frozen=True)
class DataFacts:
    """What settings depend on of the data.

    Attributes:
        images: whether they are images.
        vectors: whether an event is a vector.
        repeats: whether training sees the same rows again and again, and so can overfit them.
        rows: that the noise is fitted to.
        standardize: whether they are standardised.
        validation: share of the rows that is held out for early stopping.
        batch_size: rows per batch.
        dequantize: whether columns with ties are spread over their rounding step.
        mixed: whether a table is taken as it is.
    """

    images: bool
    vectors: bool
    repeats: bool
    rows: int
    standardize: bool
    validation: float
    batch_size: int
    dequantize: bool = False
    mixed: bool = False


@dataclass(frozen=True)
class ModelFacts:
    """What settings depend on of the models.

    Attributes:
        trainable: whether the noise has parameters for gradient steps.
        fits_itself: whether it has a maximum-likelihood fit of its own.
        discrete: whether its events are discrete.
        adapts: whether it is trained against the energy.
        reparameterizable: whether its draws have a gradient in its parameters.
        built_on_noise: whether the energy contains the noise's log-density.
    """

    trainable: bool
    fits_itself: bool
    discrete: bool
    adapts: bool
    reparameterizable: bool
    built_on_noise: bool


def asks_for_auto(config: FitConfig) -> bool:
    """Whether the noise of a table is to be chosen: it is asked for, or nothing that was given speaks against it."""
    if config.noise.name is not None:
        return config.noise.name == AUTO
    named = config.energy.name or config.noise.options or config.energy.options or config.likelihood.init_noise
    paced = config.game.steps or config.likelihood.steps or config.run.early_stopping is not None
    other = config.game.method != "nce" or config.objective.name != "nce" or config.run.recipe is not None
    return not (named or paced or other or config.labels.column or config.labels.per_class >= 0)


def default_threads(data: DataFacts) -> int:
    """CPU threads of a fit, 0 for as many as torch has."""
    # A batch of 1,000 vectors through 128 units took twice as long on two threads as on one: they wait for each other.
    return 1 if data.vectors else 0


def choose_models(config: FitConfig, *, images: bool) -> FitConfig:
    """The models that a config asks for: the noise of the run at `init_noise`, the energy as the recipe has it.

    Args:
        config: as given.
        images: whether the data are images, which decides the recipe where none is named.

    Raises:
        ContrastiveError: if `init_noise` is no run or has another noise, or an energy was asked of method mle.
    """
    if config.likelihood.init_noise:
        theirs = _noise_of(config.likelihood.init_noise, config.noise)
        config = with_part(config, "noise", theirs.name or _NOISE, theirs.options)
    config = with_part(config, "noise", config.noise.name or _NOISE, config.noise.options)
    if config.game.method == "mle":
        if config.energy.name not in (None, "mlp", "noise"):
            raise ContrastiveError(f"method mle fits the noise alone: leave out --energy {config.energy.name}")
        return with_part(config, "energy", "noise", {})
    name = config.energy.name or "mlp"
    preset = ENERGY_OPTIONS[_recipe(config, images)].get(name, {})
    return with_part(config, "energy", name, {**preset, **config.energy.options})


def resolve(config: FitConfig, data: DataFacts, models: ModelFacts) -> ResolvedConfig:
    """Decide every open setting, by the recipe, the data and the models; what was given stays.

    Raises:
        ContrastiveError: if a setting is one that these models cannot do.
    """
    config = with_recipe(config, images=data.images)
    of_images = IMAGES_ON_LOG_Q if models.built_on_noise else IMAGES_PLAIN
    by_models = _by_noise(config, data, models) | _kept(config, data, models)
    config = _filled(config, by_models | _by_data(config, data) | (of_images if config.run.recipe == "images" else {}))
    config = _filled(config, _pace(config, data))
    still_open = [path for path, value in by_path(config).items() if value is None and "." in path]
    assert not still_open, f"no rule decides {', '.join(still_open)}"
    _refuse_impossible(config, models)
    return cast(ResolvedConfig, config)


def with_recipe(config: FitConfig, *, images: bool) -> FitConfig:
    """The recipe's values where a setting is open; those that wait for data or models stay so."""
    recipe = _recipe(config, images)
    gate = {"game.schedule.name": "gate"} if is_gated(config) else {}
    return _filled(config, {"run.recipe": recipe, **RECIPES[recipe], **gate})


def _filled(config: FitConfig, values: dict[str, Any]) -> FitConfig:
    """`config` with those of `values` that are open in it."""
    now = by_path(config)
    return changed(config, {path: value for path, value in values.items() if now[path] is None})


def _recipe(config: FitConfig, images: bool) -> str:
    return config.run.recipe or ("images" if images else "default")


def _noise_of(run: str, given: Noise[None]) -> Noise[None]:
    path = Path(run) / "config.yaml"
    if not path.exists():
        raise ContrastiveError(f"{run} is not a run to take a noise from: it has no config.yaml")
    theirs = read_config(path).noise
    if given.name not in (None, theirs.name) or (given.options and given.options != theirs.options):
        raise ContrastiveError(
            f"the noise of {run} is {theirs.name!r} with options {theirs.options}: leave out --noise and its options, "
            "or --init-noise"
        )
    return theirs


def _by_data(config: FitConfig, data: DataFacts) -> dict[str, Any]:
    return {
        "data.standardize": data.standardize,
        "data.dequantize": data.dequantize,
        "data.mixed": data.mixed,
        "data.validation": data.validation,
        "game.batch_size": data.batch_size,
        "objective.noise_per_data": config.objective.noise_ratio,
        "objective.noise_reuse": 1,
        "run.threads": default_threads(data),
    }


def _by_noise(config: FitConfig, data: DataFacts, models: ModelFacts) -> dict[str, Any]:
    """Updates of the noise by likelihood, and the defensive share.

    A flow that is to be frozen must be fitted first. A noise that is learned by gradient steps has the tails that its
    layers give it: over vectors it gets a defensive component.
    """
    steps, share = config.likelihood.steps, config.game.defensive_share
    if steps and not models.trainable:
        raise ContrastiveError(f"the noise {config.noise.name!r} has nothing to pre-train; leave out --pretrain-steps")
    if config.game.method == "mle":
        if steps or share:
            raise ContrastiveError("method mle is all likelihood: leave out --pretrain-steps and the defensive share")
        return {"likelihood.steps": 0, "game.defensive_share": 0.0}
    if share and models.discrete:
        raise ContrastiveError(f"the noise {config.noise.name!r} is discrete, a Gaussian cannot defend it")
    learned = models.trainable and (models.adapts or not models.fits_itself)
    begins_fitted = models.adapts or bool(config.likelihood.init_noise)
    defended = learned and not models.discrete and data.vectors and config.run.recipe == "default"
    return {
        "likelihood.steps": _PRETRAINING if learned and not begins_fitted else 0,
        "game.defensive_share": _DEFENSIVE_SHARE if defended else 0.0,
    }


def _kept(config: FitConfig, data: DataFacts, models: ModelFacts) -> dict[str, Any]:
    """Whether the energy must be ahead of its noise to be kept, and whether cross-validation says so."""
    keep = config.game.energy.keep or "always"
    small = data.repeats and data.vectors and data.rows <= _CROSS_VALIDATED
    # A noise that takes gradient steps would take them in every fold.
    return {"game.energy.keep": keep, "data.refit": keep == "ahead" and small and models.fits_itself}


def _refuse_impossible(config: FitConfig, models: ModelFacts) -> None:
    if config.data.dequantize and models.discrete:
        raise ContrastiveError(
            f"the noise {config.noise.name!r} is discrete, and dequantised values are not: leave out --data.dequantize"
        )
    player = config.game.noise
    for name, value, needs, instead in (
        ("gradient", player.gradient, "path", "full"),
        ("loss", player.loss, "non-saturating", "value"),
    ):
        if models.adapts and not models.reparameterizable and value == needs:
            raise ContrastiveError(
                f"the draws of the noise {config.noise.name!r} are not reparameterisable: take --game.noise.{name} "
                f"{instead}"
            )
    if config.game.energy.keep == "ahead" and (models.adapts or not models.built_on_noise):
        raise ContrastiveError(
            "game.energy.keep 'ahead' is for method nce with an energy that is built on the noise, such as 'tilted'"
        )
    if config.game.energy.restart_every and not (models.adapts and models.built_on_noise):
        raise ContrastiveError(
            "game.energy.restart_every is for method fce with an energy that is built on the noise, such as 'tilted'"
        )


def _pace(config: FitConfig, data: DataFacts) -> dict[str, Any]:
    """How long to train, when to evaluate, and when to stop early."""
    steps = config.game.steps or _STEPS
    # Held-out log-density falls by design while a flow trades it for better images.
    trades = data.images and config.game.method == "fce"
    watched = data.repeats and bool(config.game.contrast_weight) and not trades and bool(data.validation)
    # Few rows are overfitted within tens of updates, and soon scored.
    small = watched and config.run.early_stopping is None and not data.images and data.rows <= _SMALL_TABLE
    every = config.run.evaluate_every or (_SMALL_EVERY if small else max(_SMALL_EVERY, steps // 40))
    longest = max(steps, config.likelihood.steps or 0, config.game.energy.steps)
    patience = _SMALL_PATIENCE if small else max(1, longest // (4 * every))
    if config.game.steps is not None:  # all are made: no patience runs out, yet the best state is kept
        patience = longest // every + 1
    return {
        "game.steps": steps,
        "run.early_stopping": patience if watched else 0,
        "run.evaluate_every": every,
        "run.checkpoint_every": every,
    }
