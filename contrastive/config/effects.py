"""Settings that were given and have no effect beside the others."""

from dataclasses import fields
from typing import Any

from contrastive.config.recipes import IMAGES_ON_LOG_Q, IMAGES_PLAIN, RECIPES
from contrastive.config.settings import FitConfig

_GATE = ("gate_on", "gate_accuracy", "gate_divergence", "gate_memory", "gate_margin", "max_noise_run", "min_energy_run")
_TURNS = ("energy_updates", "noise_updates")
_NOISE_PLAYER = (
    "schedule",
    "hold_noise_after",
    "noise_gradient",
    "noise_loss",
    "noise_optimizer",
    "noise_learning_rate",
    "noise_likelihood_weight",
)
_ENERGY_PLAYER = (
    "optimizer",
    "learning_rate",
    "momentum",
    "ema",
    "gradient_penalty",
    "label_weight",
    "contrast_weight",
)
_CONTRAST = ("noise_ratio", "noise_per_data", "objective")


def without_effect(config: FitConfig) -> dict[str, str]:
    """Settings that differ from their defaults and are not read, each with the reason.

    Args:
        config: before the recipe fills it, or as a run wrote it: what the recipe itself has set is not counted.
    """
    unread: dict[str, str] = {}
    if config.method != "fce":
        unread |= dict.fromkeys((*_NOISE_PLAYER, *_GATE, *_TURNS), "the noise does not move in method " + config.method)
    elif config.schedule == "alternate":
        unread |= dict.fromkeys(_GATE, "schedule is alternate")
    elif config.schedule == "gate":
        unread |= dict.fromkeys(_TURNS, "schedule is gate")
    if config.gate_on == "accuracy":
        unread.setdefault("gate_divergence", "gate_on is accuracy")
    else:
        unread.setdefault("gate_accuracy", "gate_on is divergence")
    if config.method == "mle":
        unread |= dict.fromkeys((*_ENERGY_PLAYER, *_CONTRAST), "method mle fits the noise alone")
    if not config.vat_weight:
        unread |= dict.fromkeys(("vat_epsilon", "vat_power_iterations"), "vat_weight is 0")
    if config.labels_per_class is None:
        unread["label_seed"] = "labels_per_class is not set"
    return {name: why for name, why in unread.items() if _is_told(config, name)}


def _is_told(config: FitConfig, name: str) -> bool:
    """Whether a setting has neither its default nor a value that a recipe gives it."""
    default = next(field.default for field in fields(FitConfig) if field.name == name)
    filled: list[Any] = [recipe.get(name) for recipe in (*RECIPES.values(), IMAGES_ON_LOG_Q, IMAGES_PLAIN)]
    return getattr(config, name) not in (default, *filled)
