"""Settings that were given and have no effect beside the others."""

from typing import Any

from contrastive.config.names import SETTINGS, shown
from contrastive.config.recipes import IMAGES_ON_LOG_Q, IMAGES_PLAIN, RECIPES
from contrastive.config.sections import FitConfig
from contrastive.config.settings import by_path

_TURNS = ("game.schedule.energy_updates", "game.schedule.noise_updates")
_GATE = tuple(
    path for path in SETTINGS if path.startswith("game.schedule.") and path not in ("game.schedule.name", *_TURNS)
)
_NOISE_PLAYER = (
    "game.schedule.name",
    *(path for path in SETTINGS if path.startswith("game.noise.") and path != "game.noise.ema"),
)
_ENERGY_PLAYER = (
    "game.energy.optimizer",
    "game.energy.learning_rate",
    "game.beta1",
    "game.energy.ema",
    "game.energy.gradient_penalty",
    "labels.weight",
    "game.contrast_weight",
)
_CONTRAST = ("objective.noise_ratio", "objective.noise_per_data", "objective.name")


def is_gated(config: FitConfig) -> bool:
    """Whether a setting of the gate was given, which asks for the schedule `gate`."""
    values = by_path(config)
    return any(values[path] != SETTINGS[path].default for path in _GATE)


def without_effect(config: FitConfig) -> dict[str, str]:
    """Settings that were given and are not read, by the name that messages use, each with the reason.

    Args:
        config: as given, or as a run wrote it: values that a recipe sets are not counted.
    """
    unread: dict[str, str] = {}
    if config.game.method != "fce":
        reason = f"the noise is not updated in method {config.game.method}"
        unread |= dict.fromkeys((*_NOISE_PLAYER, *_GATE, *_TURNS), reason)
    elif config.game.schedule.name == "alternate":
        unread |= dict.fromkeys(_GATE, "schedule is alternate")
    elif config.game.schedule.name == "gate":
        unread |= dict.fromkeys(_TURNS, "schedule is gate")
    if config.game.schedule.gate_on == "accuracy":
        unread.setdefault("game.schedule.divergence", "gate_on is accuracy")
    else:
        unread.setdefault("game.schedule.accuracy", "gate_on is divergence")
    if config.game.method == "mle":
        unread |= dict.fromkeys((*_ENERGY_PLAYER, *_CONTRAST), "method mle fits the noise alone")
    if not config.labels.vat.weight:
        unread |= dict.fromkeys(("labels.vat.epsilon", "labels.vat.power_iterations"), "labels.vat.weight is 0")
    if config.labels.per_class < 0:
        unread["labels.seed"] = "labels.per_class is not set"
    values = by_path(config)
    return {shown(path): why for path, why in unread.items() if _is_given(path, values[path], config)}


def _is_given(path: str, value: Any, config: FitConfig) -> bool:
    """Whether a setting has neither its default nor a value that it gets where nothing was given."""
    filled: list[Any] = [recipe.get(path) for recipe in (*RECIPES.values(), IMAGES_ON_LOG_Q, IMAGES_PLAIN)]
    if path == "objective.noise_per_data":
        filled.append(config.objective.noise_ratio)
    return value not in (SETTINGS[path].default, *filled)
