"""The energies of images that several benchmarks look at: kept as runs, made where they are missing."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.lib.contrastive_divergence import fit_by_divergence
from benchmarks.lib.grid import benchmark_parser, run_grid
from benchmarks.lib.image_sets import SETS, training_pixels
from contrastive.config import configure, read_config
from contrastive.training.run_directory import RunDirectory

FLOW = "Glow, maximum likelihood"
#: How each energy is learned; the flow of two of them begins as the run `FLOW`, which has no energy of its own.
ENERGIES = ("FCE", "fixed-flow NCE", "fixed-flow NCE, plain", "Gaussian NCE", "persistent CD", "one-step CD")

#: The game of the kept figures: the recipe of images as it was before players took turns.
GATED = {
    "recipe": "images",
    "schedule": "gate",
    "learning_rate": 1e-3,
    "noise_learning_rate": 2e-4,
    "noise_likelihood_weight": 2e-4,
    "noise_loss": "value",
    "gradient_penalty": 0.0,
    "decay": "constant",
}


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        data: the set, unless another is asked for.
        conv: options of the energy `conv`, its detail too: the recipe of images would give one to the plain rows alone.
        tilted: f is log q0 and what `conv` adds to it (the energy `tilted`), but for the row `plain`. A plain f first
            has to learn log q itself, whose size varies by hundreds of nats from image to image: that takes thousands
            of updates, and until then its features are worse than those of random weights. Contrastive divergence has
            no q, so its f is always plain.
        gaussian: the noise of the row "Gaussian NCE"; without covariances where one of 3,072 pixels by 3,072 would take
            most of the time.
        glow: options of the flow.
        likelihood_steps: updates of the flow before it meets an energy.
        steps: updates of each energy, and of the flow with it in FCE.
        batch_size: images an update.
        seeds: of each energy.
        labels: numbers of labelled images of table 3.
        curve: those of figure 4.
        subsets: how many sets of labelled images.
        supervised_steps: updates of the supervised network.
        most_test: test images at most.
        fields: more fields of `FitConfig`, of every run.
        game: of the contrastive ones, for which they prevail.
    """

    data: str
    conv: dict[str, Any]
    tilted: bool
    gaussian: str
    glow: dict[str, Any]
    likelihood_steps: int
    steps: int
    batch_size: int
    seeds: int
    labels: tuple[int, ...]
    curve: tuple[int, ...]
    subsets: int
    supervised_steps: int
    most_test: int
    fields: dict[str, Any] = field(default_factory=dict)
    game: dict[str, Any] = field(default_factory=dict)


SCALES = {
    "quick": Scale(
        data="shapes",
        conv={"widths": [4, 6, 8], "detail": 0.0},
        tilted=True,
        gaussian="gaussian",
        glow={"levels": 1, "blocks": 1, "width": 8},
        likelihood_steps=5,
        steps=5,
        batch_size=20,
        seeds=1,
        labels=(30, 60),
        curve=(30, 60),
        subsets=2,
        supervised_steps=10,
        most_test=100,
        game=GATED,
    ),
    "cpu": Scale(
        data="svhn-part",
        conv={"widths": [16, 32, 64], "detail": 0.0},
        tilted=True,
        gaussian="diag-gaussian",
        glow={"levels": 3, "blocks": 2, "width": 32, "activation": "relu"},
        likelihood_steps=500,
        steps=600,
        batch_size=64,
        seeds=2,
        labels=(1000, 2000, 4000),
        curve=(100, 250, 500, 1000, 2000, 4000),
        subsets=3,
        supervised_steps=400,
        most_test=3000,
        # By likelihood the falling learning rate is the better one; the chains of contrastive divergence take it too.
        fields={"recipe": "default", "learning_rate": 2e-3},
        game=GATED,
    ),
    # Channels twice those of `conv`: 16 (128 + 256 + 512) = 14,336 features, the number in Gao et al. (2020).
    "paper": Scale(
        data="svhn",
        conv={"widths": [128, 256, 512]},
        tilted=False,
        gaussian="gaussian",
        glow={"preset": "svhn"},
        likelihood_steps=100_000,
        steps=100_000,
        batch_size=128,
        seeds=3,
        labels=(1000, 2000, 4000),
        curve=(100, 250, 500, 1000, 2000, 4000, 8000, 16_000),
        subsets=5,
        supervised_steps=10_000,
        most_test=26_032,
        fields={"recipe": "paper", "device": "cuda"},
    ),
}


_CHANGEABLE = {
    "likelihood_steps": "updates of the flow alone",
    "steps": "updates of each energy",
    "batch_size": "images an update",
    "seeds": "of each energy",
    "subsets": "sets of labelled images",
    "supervised_steps": "updates of the supervised network",
}


def energy_parser(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Options of a benchmark of energies of images."""
    parser = benchmark_parser(doc, name, quick="tiny drawn images, few updates, no results kept")
    parser.add_argument("--scale", choices=("cpu", "paper"), default="cpu", help="[cpu]")
    parser.add_argument("--data", choices=SETS, help="[that of the scale]")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="of the images [data]")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="finished runs to take, as tables 1 and 2 leave them")
    for name, meaning in _CHANGEABLE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N", help=f"{meaning} [that of the scale]")
    return parser


def chosen_scale(arguments: argparse.Namespace) -> tuple[Scale, str, dict[str, Any]]:
    """The scale asked for, the name of the set, and what a results file says of both."""
    name = "quick" if arguments.quick else arguments.scale
    changed = {key: getattr(arguments, key) for key in _CHANGEABLE if getattr(arguments, key) is not None}
    scale = Scale(**{**vars(SCALES[name]), **changed})
    if arguments.quick:
        arguments.results, arguments.jobs = arguments.out, 1
    data = arguments.data or scale.data
    if arguments.runs is not None:
        scale = replace(scale, conv=_conv_of(arguments.runs) or scale.conv)
    return scale, data, {"scale": name, "data": data, **{k: v for k, v in vars(scale).items() if k != "data"}}


def energy_runs(
    arguments: argparse.Namespace, scale: Scale, data: str, labels: tuple[str, ...] = ENERGIES
) -> dict[str, list[Path]]:
    """Finished runs of each label, one a seed: those at `--runs`, else made at `--out`; `FLOW` has one."""
    pixels = partial(training_pixels, data, arguments.data_root)
    places = places_of(arguments, data)
    common: dict[str, Any] = {
        "data": data,
        "density": pixels,
        "batch_size": scale.batch_size,
        "test_rows": 200,
        "log_partition_draws": 0,
        **scale.fields,
    }
    common |= {"evaluate_every": max(1, scale.steps // 2), "checkpoint_every": max(1, scale.steps // 4)}
    flow = {**common, "noise": "glow", "noise_options": scale.glow, "method": "mle", "steps": scale.likelihood_steps}
    run_grid(list(places.missing(FLOW, 1, flow)), arguments.out, 1)
    start = {"init_noise": str(places.path(FLOW, 0))}
    chains = {**common, "energy": "conv", "energy_options": scale.conv, "steps": scale.steps}
    plain = {**chains, **scale.game}
    tilted = {"energy": "tilted", "energy_options": {"correction": "conv", **scale.conv}}
    energy = {**plain, **tilted} if scale.tilted else plain
    settings = {
        "FCE": {**energy, **start, "method": "fce"},
        "fixed-flow NCE": {**energy, **start},
        "fixed-flow NCE, plain": {**plain, **start},
        "Gaussian NCE": {**energy, "noise": scale.gaussian},
    }
    games = [
        run for label in labels if label in settings for run in places.missing(label, scale.seeds, settings[label])
    ]
    run_grid(games, arguments.out, arguments.jobs)
    del chains["density"]
    for label in [label for label in labels if label not in settings]:
        persistent = 1_000 if label == "persistent CD" else 0
        for name, fields in tqdm(list(places.missing(label, scale.seeds, chains)), desc=label, unit="fit"):
            path = places.path(name, fields["seed"])
            fit_by_divergence(pixels(), configure(**fields), path, persistent=persistent)
    return {
        label: [places.path(label, seed) for seed in range(1 if label == FLOW else scale.seeds)] for label in labels
    } | {FLOW: [places.path(FLOW, 0)]}


def _conv_of(runs: Path) -> dict[str, Any] | None:
    """Options of the energies there: what is made beside them (random weights, a supervised network) is to be alike."""
    found: list[dict[str, Any]] = []
    configs = [path for label in ENERGIES for path in runs.glob(f"{label}/*/config.yaml")]
    for path in (path for path in configs if RunDirectory(path.parent).is_finished):
        options = {key: value for key, value in read_config(path).energy.options.items() if key != "correction"}
        if options not in found:
            found.append(options)
    if len(found) > 1:
        raise SystemExit(f"the energies at {runs} differ, {found}: they cannot be compared")
    return found[0] if found else None


@dataclass(frozen=True)
class Places:
    """Where runs are and where they are made.

    Attributes:
        out: runs are made here.
        given: finished runs are taken from here; None is nowhere.
        data: name of the set.
    """

    out: Path
    given: Path | None
    data: str

    def path(self, label: str, seed: int) -> Path:
        """Of a run: the given one if it is finished, else where it is to be made."""
        name = Path(label) / f"{self.data}-seed{seed}"
        there = None if self.given is None else self.given / name
        return there if there is not None and RunDirectory(there).is_finished else self.out / name

    def missing(self, label: str, seeds: int, fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is to be made of a label, as `run_grid` takes it."""
        for seed in range(seeds):
            if not RunDirectory(self.path(label, seed)).is_finished:
                yield label, {**fields, "seed": seed}


def places_of(arguments: argparse.Namespace, data: str) -> Places:
    """Those that were asked for."""
    return Places(arguments.out, arguments.runs, data)
