"""The fits behind `paper.py`: settings of each row, their pace, and fits that end when their time is up."""

import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.device.graphs import captured
from benchmarks.lib.image_sets import load_split
from benchmarks.lib.image_tables import AHEAD, FCE, LIKELIHOOD, LONGER
from contrastive.config import FitConfig, ResolvedConfig, by_path, configure, resolve
from contrastive.core.estimator import Estimator
from contrastive.data.preparation import Prepared, prepare
from contrastive.io.checkpoints import read_checkpoint
from contrastive.training.build import make_trainer
from contrastive.training.models import facts_of, make_estimator, new_estimator
from contrastive.training.progress import Progress
from contrastive.training.run import conclude
from contrastive.training.run_directory import RunDirectory

#: Table 7 of Gao et al. (2020) for SVHN. With the paper's ReLU samples saturate (docs/explanation/fce-on-images.md).
PAPER_GLOW = {"preset": "svhn", "activation": "tanh"}
#: Adam's rate for 512 channels: at 1e-3 the first updates, without a warm-up, lose 4 bits; at 5e-4 none.
RATE = 5e-4
#: The noise's rate in FCE: 2e-3 was found for 32 channels, and an update of Adam moves what 512 channels sum to 16
#: times as far. At 5e-4 the first ten updates lose 0.7 bits, at 1.25e-4 none (batches of 16); at 2e-4 the samples of
#: the SVHN part came to share a pattern (docs/explanation/gpu.md). The energy begins alone, so that the first updates
#: have a direction.
GAME: dict[str, Any] = {"noise_learning_rate": 1e-4, "energy_steps": 200}
GAMES: dict[str, dict[str, Any]] = {"cifar10": GAME, "svhn-part": {**AHEAD, **GAME}, "shapes": GAME}
#: Of the time: CIFAR-10 is the harder set.
SHARES = {"cifar10": 0.6, "svhn-part": 0.4, "shapes": 1.0}
MIRRORED = {"cifar10"}


@dataclass(frozen=True)
class Mode:
    """How an update runs.

    Attributes:
        precision: of the networks, "float32" or "bf16".
        tf32: whether convolutions in float32 may be rounded to TF32.
        channels_last: memory format of weights and images; None takes the one that was faster.
        compile: whether the models go through `torch.compile`.
        graphs: whether the flow's passes are CUDA graphs.
    """

    precision: str = "float32"
    tf32: bool = True
    channels_last: bool | None = False
    compile: bool = False
    graphs: bool = False


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        glow: options of the flow.
        widths: of the energy's convolutions.
        batch_size: images an update.
        samples: images of each flow that are measured, against as many training images.
        images: read at most.
        timed: updates that a pace is measured over, after as many to warm up.
        fields: more fields of `FitConfig`, of every row.
        game: of FCE, prevailing over that of the set.
    """

    glow: dict[str, Any]
    widths: tuple[int, ...]
    batch_size: int
    samples: int
    images: int
    timed: int
    fields: dict[str, Any] = field(default_factory=dict)
    game: dict[str, Any] = field(default_factory=dict)


def read_pixels(data: str, root: Path, most: int) -> NDArray[np.uint8]:
    """Images of a set in random order, uint8: `DATA-part.npz` with an array x where it is there, else as `load_split`.

    Of the SVHN part all 8,885; a tenth of what is returned is held out by the fit.
    """
    part = root / f"{data.removesuffix('-part')}-part.npz"
    if part.exists():
        with np.load(part) as arrays:
            pixels = arrays["x"]
        return pixels[np.random.default_rng(0).permutation(len(pixels))[:most]]
    split = load_split(data, root)
    return (np.concatenate([split.x, split.x_test]) if data == "svhn-part" else split.x)[:most]


def row_fields(data: str, label: str, size: Size, device: str, mode: Mode) -> dict[str, Any]:
    """Fields of `FitConfig` of a row, without its updates."""
    common: dict[str, Any] = {
        "data": data,
        "device": device,
        "batch_size": size.batch_size,
        "validation": 0.0,
        "flip": data in MIRRORED,
        "log_partition_draws": 0,
        "noise": "glow",
        "noise_options": size.glow,
        "precision": mode.precision,
        "compile": mode.compile,
        **size.fields,
    }
    if label in (LIKELIHOOD, LONGER):
        return {**common, "method": "mle", "recipe": "default", "pretrain_learning_rate": RATE}
    convolutions = {"correction": "conv", "widths": list(size.widths), "detail": 16.0}
    game = {**GAMES[data], **size.game}
    return {**common, "method": "fce", "recipe": "images", "energy": "tilted", "energy_options": convolutions, **game}


def prepared(fields: dict[str, Any], pixels: NDArray[np.uint8]) -> Prepared:
    """The images ready to train on; the same for every row of a set."""
    return prepare(pixels, configure(**fields))


def fit(
    path: Path, fields: dict[str, Any], data: Prepared, *, mode: Mode, most_seconds: float
) -> tuple[dict[str, Any], bool]:
    """Fit into a run directory, going on with a begun run; its summary, and whether it came to its end in time.

    A fit that did not ends as its moving averages are. `--resume` of the command line goes on with it.
    """
    directory = RunDirectory(path)
    if directory.is_finished:
        return directory.read_summary(), True
    resume = directory.checkpoint_path.exists()
    if resume:
        config = directory.read_config()
        estimator = make_estimator(config, data)
    else:
        estimator, config = new_estimator(configure(**fields, out=str(path)), data)
    settled = _ready(estimator, config, data, mode)
    if not resume:
        directory.create(settled, overwrite=True)
    trainer = make_trainer(settled, estimator, data, directory, Progress(lines=True))
    if resume:
        trainer.load()
    try:
        with limited(most_seconds):
            with _graphs(settled, estimator, data, mode):
                trainer.run()
            return conclude(settled, trainer, data, directory), True
    except KeyboardInterrupt:
        if not directory.checkpoint_path.exists():
            raise
    tensors, state = read_checkpoint(directory.checkpoint_path)
    averaged = {k.removeprefix("averaged."): v for k, v in tensors.items() if k.startswith("averaged.")}
    directory.write_model(averaged, {"config": by_path(settled)})
    lines = directory.read_metrics()
    return {**(lines[-1] if lines else {}), "steps": state["position"]["step"], **state["position"]}, False


def pace(
    fields: dict[str, Any], data: Prepared, *, mode: Mode, updates: int, most_seconds: float = 120.0
) -> dict[str, Any]:
    """Seconds an update, after as many to warm up, what the warming up took, and the peak of memory.

    Raises:
        KeyboardInterrupt: where that takes more than `most_seconds`.
    """
    steps = 2 * updates + 1  # the last one's time holds an evaluation
    fields = {**fields, "steps": steps, "evaluate_every": steps, "checkpoint_every": steps}
    estimator, config = new_estimator(configure(**fields), data)
    settled = _ready(estimator, config, data, mode)
    clock = _Clock()
    trainer = make_trainer(settled, estimator, data, None, clock)
    cuda = torch.device(settled.run.device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    with limited(most_seconds), _graphs(settled, estimator, data, mode):
        trainer.run()
    times = clock.times
    seconds = (times[2 * updates] - times[updates]) / updates
    return {
        "seconds_an_update": seconds,
        "images_a_second": data.batch_size / seconds,
        "seconds_to_warm_up": times[updates] - times[0],
        "peak_gigabytes": torch.cuda.max_memory_allocated() / 1e9 if cuda else None,
    }


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Ctrl-C after `seconds`: a trainer then saves, and stops between two updates."""

    def ring(number: int, frame: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Clock(Progress):
    """When each update was done; an update ends by looking at its gradient's norm, so the device is done too."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.times: list[float] = []

    def start(self, stage: str, total: int, done: int) -> None:
        """The first time is that of the start."""
        super().start(stage, total, done)
        self.times = [time.perf_counter()]

    def update(self, done: int, mover: str) -> None:
        """One more update was made."""
        self.times.append(time.perf_counter())


def _ready(estimator: Estimator, config: FitConfig, data: Prepared, mode: Mode) -> ResolvedConfig:
    """The resolved settings; the estimator is laid out as the mode says."""
    if mode.channels_last:
        estimator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own keyword
    return resolve(config, data.facts, facts_of(estimator))


def _graphs(config: ResolvedConfig, estimator: Estimator, data: Prepared, mode: Mode) -> AbstractContextManager[None]:
    if not mode.graphs:
        return nullcontext()
    return captured(estimator.noise, data.batch_size, config.run.precision, draws=config.game.method == "fce")


__all__ = [
    "FCE",
    "LIKELIHOOD",
    "LONGER",
    "PAPER_GLOW",
    "SHARES",
    "Mode",
    "Size",
    "fit",
    "limited",
    "pace",
    "prepared",
    "read_pixels",
    "row_fields",
]
