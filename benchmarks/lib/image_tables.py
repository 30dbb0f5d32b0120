"""The runs behind tables 1 and 2: one set of images, one Glow, and what is made of it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.lib.grid import Result, benchmark_parser, run_grid
from benchmarks.lib.image_sets import SETS, training_pixels

LIKELIHOOD, LONGER, FCE = "Glow, maximum likelihood", "Glow, likelihood for longer", "FCE"
FIXED, GAUSSIAN = "fixed-flow NCE", "Gaussian NCE"
#: Rows that have a flow of their own to sample; the other two learn an energy against a noise that is held.
FLOWS = (LIKELIHOOD, LONGER, FCE)

#: The flow of all image benchmarks on two cores. With an unbounded activation samples saturate
#: (docs/explanation/fce-on-images.md).
SMALL_GLOW = {"levels": 3, "blocks": 2, "width": 32, "coupling": "affine", "activation": "tanh"}


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        data: sets of images.
        glow: options of the flow.
        widths: of the energy's convolutions.
        detail: gain of the energy's input channels for grain.
        tilted: f is log q and what the convolutions add; else it is the convolutions alone, as in the paper.
        likelihood_steps: updates of the flow before the game.
        steps: updates of both players in FCE.
        energy_steps: updates of the energies whose noise is held.
        longer_steps: updates by likelihood in place of the game, so many that they take as long as it.
        batch_size: images an update.
        seeds: of every row.
        samples: images of each model that are measured, against as many training images.
        test_rows: test images scored.
        fields: more fields of `FitConfig`, of every row.
        game: of the rows with an energy.
        own_game: the same of single sets, for which it prevails.
    """

    data: tuple[str, ...]
    glow: dict[str, Any]
    widths: tuple[int, ...]
    detail: float
    tilted: bool
    likelihood_steps: int
    steps: int
    energy_steps: int
    longer_steps: int
    batch_size: int
    seeds: int
    samples: int
    test_rows: int
    fields: dict[str, Any] = field(default_factory=dict)
    game: dict[str, Any] = field(default_factory=dict)
    own_game: dict[str, dict[str, Any]] = field(default_factory=dict)


#: On digits the flow may learn four times as fast as the energy; on CIFAR-10 it then collapses
#: (docs/explanation/fce-on-images.md).
AHEAD = {
    "learning_rate": 5e-4,
    "noise_learning_rate": 2e-3,
    "noise_likelihood_weight": 3e-3,
    "gradient_penalty": 0.02,
}

SCALES = {
    "quick": Scale(
        data=("shapes",),
        glow={"levels": 1, "blocks": 1, "width": 8},
        widths=(4, 6, 8),
        detail=16,
        tilted=True,
        likelihood_steps=6,
        steps=6,
        energy_steps=4,
        longer_steps=6,
        batch_size=20,
        seeds=1,
        samples=20,
        test_rows=40,
        game={"recipe": "images"},
    ),
    "cpu": Scale(
        data=("svhn-part", "cifar10", "mnist"),
        glow=SMALL_GLOW,
        widths=(32, 64, 128),
        detail=16,
        tilted=True,
        likelihood_steps=6_000,
        steps=6_000,
        energy_steps=600,
        longer_steps=12_000,
        batch_size=64,
        seeds=1,
        samples=2_000,
        test_rows=1_000,
        # By likelihood the falling learning rate is the better one.
        fields={"recipe": "default", "pretrain_learning_rate": 2e-3},
        game={"recipe": "images"},
        own_game={"svhn-part": AHEAD, "mnist": AHEAD},
    ),
    "paper": Scale(
        data=("svhn", "cifar10", "celeba"),
        glow={"preset": None},  # that of the set
        widths=(64, 128, 256),
        detail=0,
        tilted=False,
        likelihood_steps=200_000,
        steps=100_000,
        energy_steps=50_000,
        longer_steps=150_000,
        batch_size=64,
        seeds=1,
        samples=50_000,
        test_rows=10_000,
        fields={"recipe": "paper", "device": "cuda", "precision": "bf16"},
    ),
}


def table_parser(doc: str | None, name: str) -> argparse.ArgumentParser:
    """Options of both tables; their runs are the same ones."""
    parser = benchmark_parser(doc, "image-tables", quick="tiny drawn images, few updates, no results kept")
    parser.add_argument("--scale", choices=("cpu", "paper"), default="cpu", help="[cpu]")
    parser.add_argument("--data", nargs="+", choices=SETS, help="[those of the scale]")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="of the images [data]")
    parser.add_argument("--seeds", type=int, help="of every row [that of the scale]")
    parser.add_argument("--rows", nargs="+", choices=(*FLOWS, FIXED, GAUSSIAN), help=f"of {name} [all]")
    return parser


def chosen_scale(arguments: argparse.Namespace) -> tuple[Scale, dict[str, Any]]:
    """The scale asked for, and what a results file says of it."""
    name = "quick" if arguments.quick else arguments.scale
    given = {"data": arguments.data and tuple(arguments.data), "seeds": arguments.seeds}
    scale = Scale(**{**vars(SCALES[name]), **{key: value for key, value in given.items() if value}})
    if arguments.quick:
        arguments.results, arguments.jobs = arguments.out, 1
    return scale, {"scale": name, **vars(scale)}


def table_runs(arguments: argparse.Namespace, scale: Scale, data: str, rows: Sequence[str]) -> dict[str, list[Result]]:
    """Finished runs of each row, one a seed; those at `--out` are read, begun ones go on."""
    common: dict[str, Any] = {
        "data": data,
        "density": partial(training_pixels, data, arguments.data_root),
        "batch_size": scale.batch_size,
        "test_rows": scale.test_rows,
        **scale.fields,
    }
    glow = {**scale.glow, "preset": data} if "preset" in scale.glow else scale.glow
    convolutions = {"widths": list(scale.widths), "detail": scale.detail}
    game = {**scale.game, **scale.own_game.get(data, {})}
    energy: dict[str, Any] = {**game, "energy": "conv", "energy_options": convolutions}
    if scale.tilted:
        energy |= {"energy": "tilted", "energy_options": {"correction": "conv", **convolutions}}
    likelihood = {**common, "noise": "glow", "noise_options": glow, "method": "mle", "steps": scale.likelihood_steps}
    first = [(LIKELIHOOD, _paced({**likelihood, "seed": seed})) for seed in range(scale.seeds)]
    found = {LIKELIHOOD: run_grid(first, arguments.out, arguments.jobs)}
    settings: dict[str, dict[str, Any]] = {
        LONGER: {"method": "mle", "steps": scale.longer_steps},
        FCE: {"method": "fce", "steps": scale.steps, **energy},
        FIXED: {"method": "nce", "steps": scale.energy_steps, **energy},
        GAUSSIAN: {"method": "nce", "noise": "gaussian", "steps": scale.energy_steps, **energy},
    }
    later = []
    for label in (label for label in rows if label in settings):
        for seed in range(scale.seeds):
            start = {} if label == GAUSSIAN else {"init_noise": str(found[LIKELIHOOD][seed].path)}
            later.append((label, _paced({**common, **settings[label], **start, "seed": seed})))
    for result in run_grid(later, arguments.out, arguments.jobs) if later else []:
        found.setdefault(result.label, []).append(result)
    return found


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation over seeds as text."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def _paced(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "evaluate_every": max(1, fields["steps"] // 6), "checkpoint_every": max(1, fields["steps"] // 12)}
