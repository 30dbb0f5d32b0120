"""The settings of a fit: fields here are the options of `contrastive fit` and the keys of `config.yaml`."""

import dataclasses
import functools
import math
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from contrastive.config.parsing import PARTS, Options, as_options, coerced, refuse_taken
from contrastive.config.reading import read_flat
from contrastive.config.recipes import ENERGY_OPTIONS, RECIPES
from contrastive.config.sections import nested
from contrastive.errors import ContrastiveError, did_you_mean


def option(default: Any, help: str) -> Any:
    """A field with its help text."""
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class FitConfig:
    """What to fit and how. A field left at None is filled by the recipe when the run starts."""

    data: str = option(
        "8gaussians",
        "a density or image set by name (contrastive list), a .csv .tsv .parquet .npy .npz file, or a folder of images",
    )
    columns: str | None = option(None, "columns of a table, or the array of an .npz, comma-separated; all numeric")
    standardize: bool | None = option(None, "fit in standardised coordinates [tables: yes, densities: no]")
    validation: float | None = option(
        None,
        "share of the rows held out for early stopping [0.1, at most 10,000; a small table: 40, at most 0.2]",
    )
    test: float = option(0.1, "share of a table's rows held out for the reported log-densities")
    label_column: str | None = option(
        None, "column of a table, or array of an .npz, with the classes; empty: unlabelled"
    )
    labels_per_class: int | None = option(None, "hide all labels of the training rows but this many a class; 0 is none")
    label_seed: int = option(0, "seed of which labels stay")
    class_prior: str | None = option(None, "share of each class, comma-separated; or 'labelled': of the labels [equal]")

    data_root: str = option("data", "images: folder of the named sets")
    image_size: int | None = option(None, "images: height and width [named sets: 32; else as they are]")
    crop: Literal["center", "none"] = option("center", "images that are not square: cut to a square, or squeeze")
    color: Literal["rgb", "gray"] | None = option(None, "images: colour or gray [as they are]")
    bits: int = option(8, "images: bits of a pixel value that are kept")
    flip: bool = option(False, "images: mirror each with probability 1/2 in training")
    logit: float | None = option(
        None, "images: a of the logit coordinates logit(a + (1 - 2a) x / 2^bits), such as 0.05 [none]"
    )

    energy: str = option("mlp", "energy by name; options as --energy.NAME VALUE")
    noise: str = option("gaussian", "noise by name; options as --noise.NAME VALUE")
    method: Literal["nce", "fce", "mle"] = option(
        "nce",
        "nce: the noise is frozen; fce: it is trained against the energy; mle: it alone is fitted, by likelihood",
    )
    init_noise: str | None = option(None, "a finished run whose noise to begin with, in place of pre-training")
    objective: str = option("nce", "objective by name; options as --objective.NAME VALUE")
    noise_ratio: float = option(1.0, "nu, the weight of the noise in the loss")
    noise_per_data: float | None = option(None, "noise samples per data point [noise_ratio]")

    defensive_share: float | None = option(
        None, "fraction of the energy's noise samples from a Gaussian fitted to the data [learned noise: 0.1; else 0]"
    )

    recipe: Literal["default", "images", "paper"] | None = option(
        None, "default and images: measure best on vectors, on images; paper: Gao et al. 2020 [by the data]"
    )
    steps: int | None = option(
        None, "updates of both players together; given, all are made, and the best state is still kept [10000]"
    )
    energy_steps: int = option(0, "fce: updates of the energy alone before the game, with the noise frozen")
    pretrain_steps: int | None = option(None, "maximum-likelihood updates of the noise before [nce with a flow: 5000]")
    batch_size: int | None = option(None, "data points an update [1000, images 64, or all rows of a smaller table]")
    seed: int = option(0, "seed of everything random")
    device: str = option("cpu", "torch device")
    precision: Literal["float32", "bf16"] = option("float32", "bf16: the networks run in it, log-densities never do")
    compile: bool = option(False, "torch.compile the models: worth its minutes of compiling on a GPU")
    accumulate: int = option(1, "a batch is taken in this many parts, whose gradients are summed: for less memory")

    schedule: Literal["gate", "alternate"] | None = option(
        None, "schedule of the players in fce [by the recipe; gate where a setting of it is given]"
    )
    gate_on: Literal["accuracy", "divergence"] = option(
        "accuracy", "quantity that the gate watches: discriminator accuracy, or 2 JSD in nats"
    )
    gate_accuracy: float | None = option(None, "gate: the energy moves until its discriminator accuracy exceeds this")
    gate_divergence: float = option(0.1, "gate: threshold where it watches the divergence, nats")
    gate_memory: float = option(0.0, "gate: decay of a moving average of the watched quantity; 0: the last batch alone")
    gate_margin: float = option(0.0, "gate: hysteresis above and below the threshold")
    max_noise_run: int | None = option(None, "gate: most consecutive moves of the noise")
    min_energy_run: int | None = option(None, "gate: fewest consecutive moves of the energy")
    energy_updates: int | None = option(None, "alternate: updates of the energy in a turn")
    noise_updates: int = option(1, "alternate: updates of the noise in a turn")
    hold_noise_after: float | None = option(
        None, "fce: fraction of the steps after which the noise is frozen; 1: never"
    )
    noise_gradient: Literal["full", "path"] | None = option(
        None, "gradient estimator of the noise: of V, or its path derivative (less variance, biased while f is wrong)"
    )
    noise_loss: Literal["value", "non-saturating"] | None = option(
        None, "noise loss in fce: minimax (value), or non-saturating (Goodfellow et al. 2014)"
    )
    gradient_penalty: float | None = option(
        None, "gamma: half of it times the log-ratio's squared slope at the data is added to the energy's loss"
    )
    restart_energy_every: int = option(0, "reset a tilted energy to the noise every N updates; 0: never")

    label_weight: float = option(1.0, "weight of the labels' cross-entropy in the energy's loss")
    labelled_batch_size: int | None = option(None, "labelled rows an update [64, or all of fewer]")
    contrast_weight: float = option(1.0, "weight of the contrast in the energy's loss; 0: labels alone, in nce")
    vat_weight: float = option(0.0, "weight of virtual adversarial training in the energy's loss; 0 is none")
    vat_epsilon: float | None = option(
        None, "virtual adversarial training: length of the perturbation, in model coordinates [0.05 sqrt(d)]"
    )
    vat_power_iterations: int = option(
        1, "virtual adversarial training: power iterations for the direction of the perturbation"
    )

    optimizer: Literal["adam", "adamax", "ngd"] | None = option(
        None, "optimiser of the energy; ngd: normalised gradient descent"
    )
    learning_rate: float | None = option(None, "learning rate of the energy")
    noise_optimizer: Literal["adam", "adamax"] | None = option(None, "optimiser of the noise in fce")
    noise_learning_rate: float | None = option(None, "learning rate of the noise in fce")
    noise_likelihood_weight: float | None = option(None, "weight of the log-likelihood in the noise's loss in fce")
    pretrain_learning_rate: float | None = option(None, "learning rate of the noise in pre-training")
    momentum: float | None = option(None, "Adam's first beta in the game")
    decay: Literal["cosine", "constant"] | None = option(None, "learning rates over the run")
    ema: float | None = option(None, "moving average of the energy; 0 is none")
    noise_ema: float | None = option(None, "moving average of the noise; 0 is none")
    clip_norm: float | None = option(None, "gradients are clipped to this norm")

    early_stopping: int | None = option(
        None,
        "stop after this many evaluations without gain on held-out rows, and end with the best state; 0: never "
        "[rows that repeat: 20 for a small table, else a quarter of the steps; fresh draws, fce over images: 0]",
    )
    evaluate_every: int | None = option(
        None, "updates between evaluations [a fortieth of the steps, at least 50; 50 for a small table]"
    )
    checkpoint_every: int | None = option(None, "updates between checkpoints [as evaluate_every]")
    test_rows: int | None = option(None, "most held-out rows that are scored at the end [images: 10,000; else all]")
    log_partition_draws: int = option(20_000, "noise draws for the interval of log Z at the end; 0 leaves it out")
    tensorboard: bool = option(False, "write figures and sample grids for TensorBoard, to RUN/tensorboard")
    out: str | None = option(None, "run directory [runs/DATA-METHOD-NOISE]")

    energy_options: Options = option({}, "")
    noise_options: Options = option({}, "")
    objective_options: Options = option({}, "")

    def __post_init__(self) -> None:
        self._coerce()
        for part in PARTS:
            refuse_taken(part, getattr(self, f"{part}_options"))
        for name in ("steps", "batch_size", "energy_updates", "noise_updates", "max_noise_run", "min_energy_run"):
            _require(self, name, lambda v: v >= 1, "at least 1")
        for name in ("evaluate_every", "checkpoint_every", "accumulate", "image_size", "test_rows"):
            _require(self, name, lambda v: v >= 1, "at least 1")
        for name in ("noise_likelihood_weight", "pretrain_steps", "early_stopping", "seed", "restart_energy_every"):
            _require(self, name, lambda v: v >= 0, "at least 0")
        for name in ("noise_ratio", "noise_per_data", "clip_norm"):
            _require(self, name, lambda v: 0 < v < float("inf"), "positive")
        for name in ("learning_rate", "noise_learning_rate", "pretrain_learning_rate"):
            _require(self, name, lambda v: 0 < v < float("inf"), "positive")
        for name in ("ema", "noise_ema", "momentum", "validation", "test", "gate_memory"):
            _require(self, name, lambda v: 0 <= v < 1, "in [0, 1)")
        for name in ("label_weight", "contrast_weight", "vat_weight", "gradient_penalty"):
            _require(self, name, lambda v: 0 <= v < float("inf"), "at least 0")
        for name in ("labelled_batch_size", "vat_power_iterations"):
            _require(self, name, lambda v: v >= 1, "at least 1")
        for name in ("labels_per_class", "label_seed", "energy_steps"):
            _require(self, name, lambda v: v >= 0, "at least 0")
        _require(self, "vat_epsilon", lambda v: 0 < v < float("inf"), "positive")
        if self.method != "nce" and not self.contrast_weight:
            raise ContrastiveError("contrast_weight 0 is for method nce: without contrast the noise cannot play")
        if self.energy_steps and self.method != "fce":
            raise ContrastiveError("energy_steps is for method fce: in nce the noise is held anyway")
        _require(self, "hold_noise_after", lambda v: 0 < v <= 1, "in (0, 1]")
        _require(self, "defensive_share", lambda v: 0 <= v < 1, "in [0, 1)")
        _require(self, "log_partition_draws", lambda v: v == 0 or v >= 1000, "0, or at least 1000")
        for name in ("gate_divergence", "gate_margin"):
            _require(self, name, lambda v: 0 <= v < math.log(4), "in [0, log 4)")
        _require(self, "gate_accuracy", lambda v: 0.5 <= v < 1, "in [0.5, 1)")
        _require(self, "bits", lambda v: 1 <= v <= 8, "1 to 8")
        _require(self, "logit", lambda v: 0 < v < 0.5, "in (0, 0.5)")
        if (held_out := (self.validation or 0.0) + self.test) >= 1:
            raise ContrastiveError(f"validation + test is {held_out:g}, nothing is left to fit")

    def _coerce(self) -> None:
        """Give every field its type: a keyword, a line of YAML and an option of the command line all come here."""
        for name, hint in _hints().items():
            value = getattr(self, name)
            object.__setattr__(self, name, as_options(name, value) if hint == Options else coerced(name, value, hint))

    def resolved(self, *, images: bool = False) -> "FitConfig":
        """This config with the recipe's values where a field is None, and the noise of the run at `init_noise`.

        What depends on the data or the models too is decided when the run begins (`training.build.decided`).

        Args:
            images: whether the data are images, which decides the recipe where none is named.

        Raises:
            ContrastiveError: if that is no run or has another noise, or an energy was asked of method mle.
        """
        if self.init_noise is not None:
            self = self._with_noise_of(self.init_noise)
        if self.method == "mle":
            if self.energy not in ("mlp", "noise"):
                raise ContrastiveError(f"method mle fits the noise alone: leave out --energy {self.energy}")
            self = dataclasses.replace(self, energy="noise", energy_options={})
        name = self.recipe or ("images" if images else "default")
        if self.schedule is None and any(getattr(self, name) != getattr(FitConfig, name) for name in _GATE):
            self = dataclasses.replace(self, schedule="gate")
        filled = {key: value for key, value in RECIPES[name].items() if getattr(self, key) is None}
        return dataclasses.replace(
            self,
            **filled,
            recipe=name,
            energy_options={**ENERGY_OPTIONS[name].get(self.energy, {}), **self.energy_options},
        )

    def _with_noise_of(self, run: str) -> "FitConfig":
        path = Path(run) / "config.yaml"
        if not path.exists():
            raise ContrastiveError(f"{run} is not a run to take a noise from: it has no config.yaml")
        theirs = read_config(path)
        if self.noise not in (FitConfig.noise, theirs.noise) or (
            self.noise_options and self.noise_options != theirs.noise_options
        ):
            raise ContrastiveError(
                f"the noise of {run} is {theirs.noise!r} with options {theirs.noise_options}: leave out --noise and "
                "its options, or --init-noise"
            )
        return dataclasses.replace(self, noise=theirs.noise, noise_options=theirs.noise_options)

    def with_options(self, part: str, given: Any) -> "FitConfig":
        """The same settings with options of a part, `part` being "noise_options" or the like.

        Raises:
            ContrastiveError: if there is no such part, or `given` is no dictionary.
        """
        if part.removesuffix("_options") not in PARTS:
            raise ContrastiveError(f"unknown setting {part!r}; {did_you_mean(part, (f'{p}_options' for p in PARTS))}")
        changed: dict[str, Any] = {part: {**getattr(self, part), **as_options(part, given)}}
        return dataclasses.replace(self, **changed)

    def at(self, out: str | None) -> "FitConfig":
        """The same settings for a run at `out`."""
        return dataclasses.replace(self, out=out)

    def to_flat(self) -> dict[str, Any]:
        """Keys as on the command line: `noise.width` for an option of the noise."""
        flat = {f.name: getattr(self, f.name) for f in fields(self) if not f.name.endswith("_options")}
        for part in PARTS:
            flat |= {f"{part}.{key}": value for key, value in getattr(self, f"{part}_options").items()}
        return flat

    def to_sections(self) -> dict[str, Any]:
        """Nested sections, as config.yaml has them."""
        return nested(self.to_flat())

    @classmethod
    def from_flat(cls, flat: dict[str, Any]) -> "FitConfig":
        """The inverse of `to_flat`; absent keys keep their defaults.

        Raises:
            ContrastiveError: for an unknown key or a value of the wrong type.
        """
        known = {f.name for f in fields(cls) if not f.name.endswith("_options")}
        values: dict[str, Any] = {f"{part}_options": {} for part in PARTS}
        for key, value in flat.items():
            part, dot, name = str(key).partition(".")
            name = name.replace("-", "_")
            key = str(key).replace("-", "_")
            if dot and part in PARTS and name:
                values[f"{part}_options"][name] = value
            elif key == "allow_import":
                refuse_taken(None, [key])
            elif key in known:
                values[key] = value
            else:
                raise ContrastiveError(f"unknown setting {key!r}; {did_you_mean(key, known)}")
        return cls(**values)


_GATE = [f.name for f in fields(FitConfig) if f.name.startswith("gate_")] + ["max_noise_run", "min_energy_run"]


def read_config(path: str | Path) -> FitConfig:
    """Settings from a YAML file.

    Raises:
        ContrastiveError: if it is missing, not YAML, or names an unknown setting.
    """
    return FitConfig.from_flat(read_flat(path))


@functools.cache
def _hints() -> dict[str, Any]:
    return typing.get_type_hints(FitConfig)


def _require(config: FitConfig, name: str, holds: Any, bound: str) -> None:
    value = getattr(config, name)
    if value is not None and not holds(value):
        raise ContrastiveError(f"{name} must be {bound}, got {value:g}")
