"""Sections of the settings: what a config file, nested keywords and dotted options call each field of `FitConfig`.

    noise: {name: glow, width: 64}
    game: {method: fce, steps: 10000, noise: {learning_rate: 1.0e-3}}

The names of the fields themselves, `noise_learning_rate`, are aliases: of every field in files, keywords and options;
of those in `EVERYDAY` in `contrastive fit --help`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from contrastive.config.parsing import PARTS
from contrastive.errors import ContrastiveError, did_you_mean

#: Path in the sections -> field, in the order in which files and `--help` have them.
FIELDS = {
    "data.source": "data",
    "data.columns": "columns",
    "data.standardize": "standardize",
    "data.validation": "validation",
    "data.test": "test",
    "data.test_rows": "test_rows",
    "data.images.root": "data_root",
    "data.images.size": "image_size",
    "data.images.crop": "crop",
    "data.images.color": "color",
    "data.images.bits": "bits",
    "data.images.flip": "flip",
    "data.images.logit": "logit",
    "labels.column": "label_column",
    "labels.per_class": "labels_per_class",
    "labels.seed": "label_seed",
    "labels.prior": "class_prior",
    "labels.weight": "label_weight",
    "labels.batch_size": "labelled_batch_size",
    "labels.vat.weight": "vat_weight",
    "labels.vat.epsilon": "vat_epsilon",
    "labels.vat.power_iterations": "vat_power_iterations",
    "noise.name": "noise",
    "energy.name": "energy",
    "objective.name": "objective",
    "objective.noise_ratio": "noise_ratio",
    "objective.noise_per_data": "noise_per_data",
    "likelihood.init_noise": "init_noise",
    "likelihood.steps": "pretrain_steps",
    "likelihood.learning_rate": "pretrain_learning_rate",
    "game.method": "method",
    "game.steps": "steps",
    "game.batch_size": "batch_size",
    "game.accumulate": "accumulate",
    "game.contrast_weight": "contrast_weight",
    "game.defensive_share": "defensive_share",
    "game.momentum": "momentum",
    "game.decay": "decay",
    "game.clip_norm": "clip_norm",
    "game.energy.steps": "energy_steps",
    "game.energy.optimizer": "optimizer",
    "game.energy.learning_rate": "learning_rate",
    "game.energy.ema": "ema",
    "game.energy.gradient_penalty": "gradient_penalty",
    "game.energy.restart_every": "restart_energy_every",
    "game.noise.optimizer": "noise_optimizer",
    "game.noise.learning_rate": "noise_learning_rate",
    "game.noise.ema": "noise_ema",
    "game.noise.likelihood_weight": "noise_likelihood_weight",
    "game.noise.freeze_after": "hold_noise_after",
    "game.noise.gradient": "noise_gradient",
    "game.noise.loss": "noise_loss",
    "game.schedule.name": "schedule",
    "game.schedule.gate_on": "gate_on",
    "game.schedule.accuracy": "gate_accuracy",
    "game.schedule.divergence": "gate_divergence",
    "game.schedule.ema": "gate_memory",
    "game.schedule.margin": "gate_margin",
    "game.schedule.max_noise_steps": "max_noise_run",
    "game.schedule.min_energy_steps": "min_energy_run",
    "game.schedule.energy_updates": "energy_updates",
    "game.schedule.noise_updates": "noise_updates",
    "run.recipe": "recipe",
    "run.seed": "seed",
    "run.device": "device",
    "run.precision": "precision",
    "run.compile": "compile",
    "run.early_stopping": "early_stopping",
    "run.evaluate_every": "evaluate_every",
    "run.checkpoint_every": "checkpoint_every",
    "run.log_partition_draws": "log_partition_draws",
    "run.tensorboard": "tensorboard",
    "run.out": "out",
}
PATHS = {field: path for path, field in FIELDS.items()}
ROOTS = tuple(dict.fromkeys(path.partition(".")[0] for path in FIELDS))

#: Fields that people type all day: they come first in `--help`, by their own names.
EVERYDAY = (
    *("data", "label_column", "image_size", "noise", "energy", "method", "objective", "noise_ratio", "recipe", "steps"),
    *("pretrain_steps", "batch_size", "early_stopping", "seed", "device", "precision", "out"),
)


def flattened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by field, as `FitConfig.from_flat` takes them, from sections, fields, or a mixture of both.

    Args:
        settings: nested sections (`{"game": {"steps": 100}}`), dotted paths (`"game.steps"`), fields (`"steps"`) and
            options of the parts (`"noise.width"`).

    Raises:
        ContrastiveError: for a name that a section does not have, or a setting that is given twice.
    """
    flat: dict[str, Any] = {}
    for name, value in _walked(settings):
        if name in flat:
            names = f", as {name} and as {PATHS[name]}" if name in PATHS else ""
            raise ContrastiveError(f"{name} is given twice{names}: leave one out")
        flat[name] = value
    return flat


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flattened`, in the order of `FIELDS`; the options of a part come after its settings."""
    whole: dict[str, Any] = {}
    for path, field in FIELDS.items():
        if field in flat:
            _put(whole, path, flat[field])
    for name, value in flat.items():
        if name not in PATHS:
            _put(whole, name, value)
    return whole


def _walked(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = str(key).replace("-", "_")
        if isinstance(value, Mapping) and name in ROOTS:
            yield from _section(name, value)
        else:
            yield _field(name), value


def _section(path: str, section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        inner = f"{path}.{str(key).replace('-', '_')}"
        is_section = any(known.startswith(f"{inner}.") for known in FIELDS)
        if isinstance(value, Mapping) and is_section:
            yield from _section(inner, value)
        else:
            yield _field(inner), value


def _field(name: str) -> str:
    """The field, or option of a part, that a path or field names."""
    root, dot, _ = name.partition(".")
    if name in FIELDS:
        return FIELDS[name]
    if dot and root not in PARTS:
        raise ContrastiveError(f"unknown setting {name!r}; {did_you_mean(name, FIELDS)}")
    return name


def _put(whole: dict[str, Any], path: str, value: Any) -> None:
    *sections, last = path.split(".")
    for section in sections:
        whole = whole.setdefault(section, {})
    whole[last] = value
