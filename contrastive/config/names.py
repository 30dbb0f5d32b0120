"""Names of the settings: their paths in the sections, the flat aliases, and those of earlier versions."""

from collections.abc import Iterator, Mapping
from typing import Any

from contrastive.config.parsing import PARTS, refuse_taken
from contrastive.config.schema import Setting, walk
from contrastive.config.sections import Settings
from contrastive.errors import ContrastiveError, did_you_mean

#: Every setting by its path, in the order of files and of `--help`.
SETTINGS: dict[str, Setting] = {found.path: found for found in walk(Settings)}
ROOTS = tuple(dict.fromkeys(path.partition(".")[0] for path in SETTINGS))

#: Flat aliases of what people type all day, in the order of `--help`.
EVERYDAY = {
    "data": "data.source",
    "given": "data.given",
    "label_column": "labels.column",
    "weight_column": "data.weight_column",
    "image_size": "data.images.size",
    "noise": "noise.name",
    "energy": "energy.name",
    "method": "game.method",
    "objective": "objective.name",
    "noise_ratio": "objective.noise_ratio",
    "recipe": "run.recipe",
    "steps": "game.steps",
    "pretrain_steps": "likelihood.steps",
    "batch_size": "game.batch_size",
    "early_stopping": "run.early_stopping",
    "budget": "run.budget",
    "seed": "run.seed",
    "device": "run.device",
    "precision": "run.precision",
    "out": "run.out",
}

#: Names of earlier versions, in whose run directories and config files they stand; they are still read.
EARLIER = {
    "columns": "data.columns",
    "standardize": "data.standardize",
    "validation": "data.validation",
    "test": "data.test",
    "test_rows": "data.test_rows",
    "data_root": "data.images.root",
    "crop": "data.images.crop",
    "color": "data.images.color",
    "bits": "data.images.bits",
    "flip": "data.images.flip",
    "logit": "data.images.logit",
    "labels_per_class": "labels.per_class",
    "label_seed": "labels.seed",
    "class_prior": "labels.prior",
    "label_weight": "labels.weight",
    "labelled_batch_size": "labels.batch_size",
    "vat_weight": "labels.vat.weight",
    "vat_epsilon": "labels.vat.epsilon",
    "vat_power_iterations": "labels.vat.power_iterations",
    "noise_per_data": "objective.noise_per_data",
    "init_noise": "likelihood.init_noise",
    "pretrain_learning_rate": "likelihood.learning_rate",
    "accumulate": "game.accumulate",
    "contrast_weight": "game.contrast_weight",
    "defensive_share": "game.defensive_share",
    "momentum": "game.beta1",
    "game.momentum": "game.beta1",
    "decay": "game.decay",
    "clip_norm": "game.clip_norm",
    "energy_steps": "game.energy.steps",
    "optimizer": "game.energy.optimizer",
    "learning_rate": "game.energy.learning_rate",
    "ema": "game.energy.ema",
    "gradient_penalty": "game.energy.gradient_penalty",
    "restart_energy_every": "game.energy.restart_every",
    "noise_optimizer": "game.noise.optimizer",
    "noise_learning_rate": "game.noise.learning_rate",
    "noise_ema": "game.noise.ema",
    "noise_likelihood_weight": "game.noise.likelihood_weight",
    "hold_noise_after": "game.noise.freeze_after",
    "noise_gradient": "game.noise.gradient",
    "noise_loss": "game.noise.loss",
    "schedule": "game.schedule.name",
    "gate_on": "game.schedule.gate_on",
    "gate_accuracy": "game.schedule.accuracy",
    "gate_divergence": "game.schedule.divergence",
    "gate_memory": "game.schedule.ema",
    "gate_margin": "game.schedule.margin",
    "max_noise_run": "game.schedule.max_noise_steps",
    "min_energy_run": "game.schedule.min_energy_steps",
    "energy_updates": "game.schedule.energy_updates",
    "noise_updates": "game.schedule.noise_updates",
    "compile": "run.compile",
    "evaluate_every": "run.evaluate_every",
    "checkpoint_every": "run.checkpoint_every",
    "log_partition_draws": "run.log_partition_draws",
    "tensorboard": "run.tensorboard",
}
#: `data` being the first argument of `contrastive.fit`, settings of its section are flat there, as those of `EARLIER`.
OF_DATA = {
    name: f"data.{name}"
    for name in ("dequantize", "mixed", "categorical", "integer", "continuous", "positive", "bounded", "circular")
}
ALIASES = {**EVERYDAY, **OF_DATA, **EARLIER}
#: Settings that every config.yaml of version 0.1 has.
OF_0_1 = frozenset({*EVERYDAY.values(), *EARLIER.values()} - {"run.budget", "data.given", "data.weight_column"})
_EVERYDAY_OF = {path: name for name, path in EVERYDAY.items()}


def shown(path: str) -> str:
    """What a message calls a setting: its flat alias if it is one of the everyday ones, else its path."""
    return _EVERYDAY_OF.get(path, path)


def as_option(path: str) -> str:
    """What the command line calls a setting."""
    return f"--{shown(path).replace('_', '-')}"


def flattened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by path, and options of the parts (`"noise.width"`), from whatever mixture of names they are given in.

    Args:
        settings: nested sections (`{"game": {"steps": 100}}`), paths (`"game.steps"`), aliases (`"steps"`), options
            of the parts as `"noise.width"` or `noise_options={"width": 64}`.

    Raises:
        ContrastiveError: for a name that is none of these, or a setting that is given twice.
    """
    flat: dict[str, Any] = {}
    given_as: dict[str, str] = {}
    for name, value in _walked(settings):
        path = _path(name)
        if path in flat:
            names = "" if given_as[path] == name else f", as {given_as[path]} and as {name}"
            raise ContrastiveError(f"{shown(path)} is given twice{names}: leave one out")
        flat[path], given_as[path] = value, name
    return flat


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flattened`, in the order of `SETTINGS`; the options of a part come after its settings."""
    whole: dict[str, Any] = {}
    for path in [*(path for path in SETTINGS if path in flat), *(path for path in flat if path not in SETTINGS)]:
        *sections, last = path.split(".")
        inner = whole
        for name in sections:
            inner = inner.setdefault(name, {})
        inner[last] = flat[path]
    return whole


def _walked(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = str(key).replace("-", "_")
        part = name.removesuffix("_options")
        if part in PARTS and part != name:
            yield from ((f"{part}.{option}", given) for option, given in _options(name, value).items())
        elif isinstance(value, Mapping) and name in ROOTS:
            yield from _section(name, value)
        else:
            yield name, value


def _section(path: str, section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        inner = f"{path}.{str(key).replace('-', '_')}"
        if isinstance(value, Mapping) and any(known.startswith(f"{inner}.") for known in SETTINGS):
            yield from _section(inner, value)
        else:
            yield inner, value


def _options(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ContrastiveError(f"{name} must be a dictionary of options by name, got {value!r}")
    return value


def _path(name: str) -> str:
    """The path of the setting, or of the option of a part, that a name stands for.

    Raises:
        ContrastiveError: if it stands for none.
    """
    if name in SETTINGS:
        return name
    if name in ALIASES:
        return ALIASES[name]
    part, dot, option = name.partition(".")
    refuse_taken(name)
    if dot and part in PARTS and option:
        return name
    known = [*SETTINGS, *(f"{part}_options" for part in PARTS)] if dot else [*ALIASES, *ROOTS]
    raise ContrastiveError(f"unknown setting {name!r}; {did_you_mean(name, known)}")
