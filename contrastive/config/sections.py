"""The settings of a fit, in sections: keys of `config.yaml`, keywords of `contrastive.fit`, command-line options.

Every setting is declared here once, with its type, default, help and bound. `FitConfig` is what was given: an open
setting, one whose right value depends on the recipe, the data or the models, is None until somebody sets it.
`resolve` closes them all and gives a `ResolvedConfig`, the same class without a None.
"""

from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Never, TypeAlias

from contrastive.config.parsing import Seconds
from contrastive.config.schema import (
    AT_LEAST_0,
    AT_LEAST_1,
    FRACTION,
    POSITIVE,
    POSITIVE_FRACTION,
    TWICE_JSD,
    Bound,
    Open,
    section,
    setting,
)


@dataclass(frozen=True)
class Images:
    """How images are read."""

    root: str = setting("data", "folder of the named sets")
    size: int = setting(0, "height and width of images; 0: as they are, named sets 32", AT_LEAST_0)
    crop: Literal["center", "none"] = setting("center", "images that are not square: cut to a square, or squeeze")
    color: Literal["original", "rgb", "gray"] = setting("original", "colour, gray, or as the images are")
    bits: int = setting(8, "bits of a pixel value that are kept", Bound("1 to 8", lambda value: 1 <= value <= 8))
    flip: bool = setting(False, "mirror each with probability 1/2 in training")
    logit: float = setting(
        0.0,
        "a of the logit coordinates logit(a + (1 - 2a) x / 2^bits), such as 0.05; 0: none",
        Bound("in [0, 0.5)", lambda value: 0 <= value < 0.5),
    )


@dataclass(frozen=True)
class Data(Generic[Open]):
    """What to fit to, and which rows judge it."""

    source: str = setting(
        "8gaussians",
        "a density or image set by name (contrastive list), a .csv .tsv .parquet .npy .npz file, or a folder of images",
    )
    columns: str = setting("", "columns of a table, or the array of an .npz, comma-separated; empty: all numeric")
    given: str = setting(
        "", "columns of a table that the density is conditional on, comma-separated: p(others | given); empty: none"
    )
    weight_column: str = setting(
        "", "column of a table, or array of an .npz, that says how often each row counts; empty: all the same"
    )
    standardize: bool | Open = setting(None, "fit in standardised coordinates [tables: yes, densities: no]")
    dequantize: bool | Open = setting(
        None,
        "spread the values of columns with ties uniformly over the rounding step [table with noise auto: yes; else no]",
    )
    mixed: bool | Open = setting(
        None,
        "take a table as it is: words are categories, gaps are missing, tied whole numbers have masses "
        "(contrastive schema shows it) [yes where a column's kind is told, or the noise is mixed-made]",
    )
    categorical: str = setting("", "columns that are categories, comma-separated")
    integer: str = setting("", "columns of whole numbers, each with a mass")
    continuous: str = setting("", "columns of continuous numbers, whatever their ties")
    positive: str = setting("", "columns of positive numbers, modelled by their logarithm; 0 gets a mass of its own")
    bounded: str = setting("", "bounded columns as NAME:LOW:HIGH, by their logit; the ends get masses of their own")
    circular: str = setting("", "columns that close in a circle as NAME:LOW:HIGH, such as longitude:-180:180")
    validation: float | Open = setting(
        None,
        "share of the rows held out for early stopping [0.1, at most 10,000; a small table: 40, at most 0.2]",
        FRACTION,
    )
    test: float = setting(0.1, "share of a table's rows held out for the reported log-densities", FRACTION)
    test_rows: int = setting(0, "most held-out rows that are scored at the end; 0: all, of images 10,000", AT_LEAST_0)
    refit: bool | Open = setting(
        None,
        "choose the number of updates by cross-validation, then train on the validation rows too [up to 2,000 rows, "
        "where the energy is kept only if ahead: yes]",
    )
    workers: int = setting(0, "processes that load the items of a Dataset; 0: none beside this one", AT_LEAST_0)
    images: Images = section(Images)


@dataclass(frozen=True)
class VirtualAdversarial:
    """Virtual adversarial training (Miyato et al. 2018)."""

    weight: float = setting(0.0, "weight in the energy's loss; 0: none", AT_LEAST_0)
    epsilon: float = setting(0.0, "length of the perturbation, in model coordinates; 0: 0.05 sqrt(d)", AT_LEAST_0)
    power_iterations: int = setting(1, "power iterations for the direction of the perturbation", AT_LEAST_1)


@dataclass(frozen=True)
class Labels:
    """Classes to learn."""

    column: str = setting("", "column of a table, or array of an .npz, with the classes; empty: unlabelled")
    per_class: int = setting(
        -1,
        "labels of training rows that are kept per class, the rest hidden; 0: all; -1: all, but none of images and "
        "densities",
        Bound("at least 0", lambda value: value >= -1),
    )
    seed: int = setting(0, "seed of which labels are kept", AT_LEAST_0)
    prior: str = setting("equal", "share of each class, comma-separated; 'equal'; or 'labelled': of the labels")
    weight: float = setting(1.0, "weight of the labels' cross-entropy in the energy's loss", AT_LEAST_0)
    batch_size: int = setting(0, "labelled rows per update; 0: 64, or all of fewer", AT_LEAST_0)
    vat: VirtualAdversarial = section(VirtualAdversarial)


@dataclass(frozen=True)
class Noise(Generic[Open]):
    """The noise, by name, with its options."""

    name: str | Open = setting(
        None,
        "noise by name, with options as --noise.NAME VALUE; auto: of all that propose candidates, the one with the "
        "largest held-out likelihood [30 training rows or more of a table, where neither energy, labels nor steps are "
        "given: auto; else gaussian]",
    )
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Energy(Generic[Open]):
    """The energy, by name, with its options."""

    name: str | Open = setting(
        None, "energy by name; options as --energy.NAME VALUE [noise auto: tilted, bounded; else mlp]"
    )
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective(Generic[Open]):
    """The objective, by name, with its options."""

    name: str = setting("nce", "objective by name; options as --objective.NAME VALUE")
    noise_ratio: float = setting(1.0, "nu, the weight of the noise in the loss", POSITIVE)
    noise_per_data: float | Open = setting(None, "noise samples per data point [noise_ratio]", POSITIVE)
    noise_reuse: int | Open = setting(
        None,
        "updates in which each sample of a frozen noise is used, drawn and scored once [noise auto: 8; else 1]",
        AT_LEAST_1,
    )
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Likelihood(Generic[Open]):
    """Maximum likelihood of the noise, before the contrast."""

    init_noise: str = setting("", "a finished run whose noise to begin with, in place of pre-training")
    steps: int | Open = setting(
        None, "maximum-likelihood updates of the noise before [nce with a flow: 5000]", AT_LEAST_0
    )
    learning_rate: float | Open = setting(None, "learning rate of the noise in pre-training", POSITIVE)


@dataclass(frozen=True)
class EnergyPlayer(Generic[Open]):
    """Updates of the energy."""

    steps: int = setting(0, "fce: updates of the energy alone before the game, with the noise frozen", AT_LEAST_0)
    optimizer: Literal["adam", "adamax", "ngd"] | Open = setting(
        None, "optimiser of the energy; ngd: normalised gradient descent"
    )
    learning_rate: float | Open = setting(None, "learning rate of the energy", POSITIVE)
    ema: float | Open = setting(None, "decay of the moving average of the energy; 0: none", FRACTION)
    gradient_penalty: float | Open = setting(
        None,
        "gamma: half of it times the log-ratio's squared slope at the data is added to the energy's loss",
        AT_LEAST_0,
    )
    keep: Literal["always", "ahead", "never"] | Open = setting(
        None,
        "ahead: only if its mean log-density on held-out rows, by the upper end of log Z's interval, is above the "
        "noise's by more than a standard error, else the noise is the result; never: the noise alone [noise auto in "
        "nce: ahead, of fewer than 30 training rows never; else always]",
    )
    restart_every: int = setting(0, "reset a tilted energy to the noise every N updates; 0: never", AT_LEAST_0)


@dataclass(frozen=True)
class NoisePlayer(Generic[Open]):
    """Updates of the noise in FCE."""

    optimizer: Literal["adam", "adamax"] | Open = setting(None, "optimiser of the noise in fce")
    learning_rate: float | Open = setting(None, "learning rate of the noise in fce", POSITIVE)
    ema: float | Open = setting(None, "decay of the moving average of the noise; 0: none", FRACTION)
    likelihood_weight: float | Open = setting(
        None, "weight of the log-likelihood in the noise's loss in fce", AT_LEAST_0
    )
    freeze_after: float | Open = setting(
        None, "fce: fraction of the steps after which the noise is frozen; 1: never", POSITIVE_FRACTION
    )
    gradient: Literal["full", "path"] | Open = setting(
        None, "gradient estimator of the noise: of V, or its path derivative (less variance, biased while f is wrong)"
    )
    loss: Literal["value", "non-saturating"] | Open = setting(
        None, "noise loss in fce: minimax (value), or non-saturating (Goodfellow et al. 2014)"
    )


@dataclass(frozen=True)
class Schedule(Generic[Open]):
    """Who is updated next in FCE."""

    name: Literal["gate", "alternate"] | Open = setting(
        None, "schedule of the players in fce [by the recipe; gate where a setting of it is given]"
    )
    gate_on: Literal["accuracy", "divergence"] = setting(
        "accuracy", "quantity that the gate watches: discriminator accuracy, or 2 JSD in nats"
    )
    accuracy: float | Open = setting(
        None,
        "gate: the energy is updated until its discriminator accuracy exceeds this",
        Bound("in [0.5, 1)", lambda value: 0.5 <= value < 1),
    )
    divergence: float = setting(0.1, "gate: threshold where it watches the divergence, nats", TWICE_JSD)
    ema: float = setting(0.0, "gate: decay of a moving average of the watched quantity; 0: the last batch", FRACTION)
    margin: float = setting(0.0, "gate: hysteresis above and below the threshold", TWICE_JSD)
    max_noise_steps: int | Open = setting(None, "gate: most consecutive updates of the noise", AT_LEAST_1)
    min_energy_steps: int | Open = setting(None, "gate: fewest consecutive updates of the energy", AT_LEAST_1)
    energy_updates: int | Open = setting(None, "alternate: updates of the energy in a turn", AT_LEAST_1)
    noise_updates: int = setting(1, "alternate: updates of the noise in a turn", AT_LEAST_1)


@dataclass(frozen=True)
class Game(Generic[Open]):
    """The contrast of data with noise: NCE, or FCE where the noise is updated too."""

    method: Literal["nce", "fce", "mle"] = setting(
        "nce",
        "nce: the noise is frozen; fce: it is trained against the energy; mle: it alone is fitted, by likelihood",
    )
    steps: int | Open = setting(
        None,
        "updates of both players together; given, all are made, and the best state is still kept [10000]",
        AT_LEAST_1,
    )
    batch_size: int | Open = setting(
        None, "data points per update [1000, images 64, or all rows of a smaller table]", AT_LEAST_1
    )
    accumulate: int = setting(
        1, "a batch is taken in this many parts, whose gradients are summed: for less memory", AT_LEAST_1
    )
    contrast_weight: float = setting(
        1.0, "weight of the contrast in the energy's loss; 0: labels alone, in nce", AT_LEAST_0
    )
    defensive_share: float | Open = setting(
        None,
        "fraction of the energy's noise samples from a Gaussian fitted to the data [learned noise: 0.1; else 0]",
        FRACTION,
    )
    beta1: float | Open = setting(None, "Adam's first beta, of both players", FRACTION)
    decay: Literal["cosine", "constant"] | Open = setting(None, "learning rates over the run")
    clip_norm: float | Open = setting(None, "gradients are clipped to this norm", POSITIVE)
    energy: EnergyPlayer[Open] = section(EnergyPlayer)
    noise: NoisePlayer[Open] = section(NoisePlayer)
    schedule: Schedule[Open] = section(Schedule)


@dataclass(frozen=True)
class Run(Generic[Open]):
    """Where and how it runs, when it is evaluated and stopped, and what is kept."""

    recipe: Literal["default", "images", "paper"] | Open = setting(
        None, "default and images: measure best on vectors, on images; paper: Gao et al. 2020 [by the data]"
    )
    seed: int = setting(0, "seed of everything random", AT_LEAST_0)
    device: str = setting("cpu", "torch device")
    threads: int | Open = setting(
        None,
        "CPU threads of the fit; 0: as torch has it [vectors: 1, whose matrices are too small to share; images: 0]",
        AT_LEAST_0,
    )
    precision: Literal["float32", "bf16"] = setting("float32", "bf16: the networks run in it, log-densities never do")
    compile: bool = setting(False, "torch.compile the models: worth its minutes of compiling on a GPU")
    early_stopping: int | Open = setting(
        None,
        "stop after this many evaluations without gain on held-out rows, and end with the best state; 0: never "
        "[rows that repeat: 20 for a small table, else a quarter of the steps; fresh draws, fce over images: 0]",
        AT_LEAST_0,
    )
    budget: Seconds = setting(
        0.0,
        "time for the fit, such as 90s, 2m or 1h: a third of it to choose the noise, of noise auto; learning rates "
        "decay by the time that is used, and it ends with what it has; 0: no limit",
        AT_LEAST_0,
    )
    evaluate_every: int | Open = setting(
        None, "updates between evaluations [a fortieth of the steps, at least 50; 50 for a small table]", AT_LEAST_1
    )
    checkpoint_every: int | Open = setting(None, "updates between checkpoints [as evaluate_every]", AT_LEAST_1)
    log_partition_draws: int = setting(
        20_000,
        "noise draws for the interval of log Z at the end; 0: none",
        Bound("0, or at least 1000", lambda value: value == 0 or value >= 1000),
    )
    tensorboard: bool = setting(False, "write figures and sample grids for TensorBoard, to RUN/tensorboard")
    out: str = setting("", "run directory [runs/DATA-METHOD-NOISE]")


@dataclass(frozen=True)
class Settings(Generic[Open]):
    """All settings of a fit."""

    data: Data[Open] = section(Data)
    labels: Labels = section(Labels)
    noise: Noise[Open] = section(Noise)
    energy: Energy[Open] = section(Energy)
    objective: Objective[Open] = section(Objective)
    likelihood: Likelihood[Open] = section(Likelihood)
    game: Game[Open] = section(Game)
    run: Run[Open] = section(Run)


FitConfig: TypeAlias = Settings[None]
ResolvedConfig: TypeAlias = Settings[Never]
