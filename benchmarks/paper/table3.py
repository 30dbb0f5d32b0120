"""Table 3 of Gao et al. (2020): errors of a linear SVM on what an energy has learned, over the number of labels.

    python -m benchmarks.paper.table3 --data-root /data                # the SVHN part, small networks; about an hour
    python -m benchmarks.paper.table3 --data-root /data --data cifar10
    python -m benchmarks.paper.table3 --data-root /data --scale paper  # the whole SVHN, on a GPU
    python -m benchmarks.paper.table3 --runs runs/images               # with energies that are there already
    python -m benchmarks.paper.table3 --quick

Energies see the training images without labels. Then a squared-hinge SVM learns from the top three convolutional layers
at the labelled images (the DCGAN protocol: `estimator.features(x, "dcgan")`), and is judged at the test images. Its C
comes from cross-validation on the labelled images alone, at the smallest number of labels, whose images are among those
of the larger ones. Beside the energies: an energy with random weights, and the pixels. Every energy is a run, every
error is kept: a stopped benchmark goes on where it was.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.lib.ebm_runs import ENERGIES, Scale, chosen_scale, energy_parser, energy_runs
from benchmarks.lib.grid import provenance
from benchmarks.lib.image_sets import Split, label_subset, load_split
from benchmarks.lib.l2_svm import choose_l2_svm, fit_l2_svm
from contrastive import ContrastiveEstimator, load, make_energy, make_noise
from contrastive.data.images import PixelScaling
from contrastive.io.checkpoints import write_json

#: Quoted from Gao et al. (2020), table 3: whole SVHN, larger networks.
QUOTED = {"svhn-part": {"FCE, quoted from the paper": {1000: 0.2707, 2000: 0.2412, 4000: 0.2205}}}
RANDOM, PIXELS = "random weights", "pixels"
_RANDOM_SEEDS = 1_000


def main() -> None:
    """Make the energies, fit the machines, print the table, write table and plot."""
    arguments = energy_parser(__doc__, "table3").parse_args()
    scale, data, described = chosen_scale(arguments)
    runs = energy_runs(arguments, scale, data)
    split = load_split(data, arguments.data_root, most_test=scale.most_test)
    errors = measure(runs, scale, split, arguments.out / f"errors-{data}.json")
    rows = [row(label, errors) for label in (*ENERGIES, RANDOM, PIXELS)]
    quoted = QUOTED.get(data, {})
    print(table(rows, scale.labels, quoted))
    content = {**provenance(), **described, "rows": rows, "quoted": quoted, "errors": errors}
    stem = arguments.results / ("table3" if data in ("svhn-part", "shapes") else f"table3-{data}")
    write_json(stem.with_suffix(".json"), content)
    figure(rows, data).savefig(stem.with_suffix(".png"), dpi=130)


def measure(runs: dict[str, list[Path]], scale: Scale, split: Split, kept: Path) -> list[dict[str, Any]]:
    """One entry for each representation, its seed, the set of labelled images and their number."""

    def learned(path: Path) -> tuple[np.ndarray, np.ndarray]:
        return _features(load(path), split)

    def random(seed: int) -> tuple[np.ndarray, np.ndarray]:
        return _features(untrained(scale, split, seed), split)

    makers: list[tuple[str, int, Callable[[], tuple[np.ndarray, np.ndarray]]]] = []
    for label in ENERGIES:
        for seed, path in enumerate(runs[label]):
            makers.append((label, seed, partial(learned, path)))
    for seed in range(scale.seeds + 1):
        makers.append((RANDOM, seed, partial(random, seed)))
    makers.append((PIXELS, 0, lambda: (_flat(split.x), _flat(split.x_test))))
    errors: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    for label, seed, make in tqdm(makers, unit="representation"):
        have = {e["subset"] for e in errors if (e["features"], e["seed"]) == (label, seed)}
        missing = [subset for subset in range(scale.subsets) if subset not in have]
        if missing:
            x, x_test = make()
            for subset in missing:
                errors += [{"features": label, "seed": seed, **e} for e in _errors(x, x_test, scale, split, subset)]
                write_json(kept, errors)
    return errors


def untrained(scale: Scale, split: Split, seed: int) -> ContrastiveEstimator:
    """An energy as it is before its first update."""
    torch.manual_seed(_RANDOM_SEEDS + seed)
    shape = split.x.shape[1:]
    energy = make_energy("conv", event_shape=shape, **scale.conv)
    return ContrastiveEstimator(energy, make_noise("diag-gaussian", event_shape=shape), scaling=PixelScaling(shape))


def _features(estimator: ContrastiveEstimator, split: Split) -> tuple[np.ndarray, np.ndarray]:
    x, x_test = (estimator.features(torch.from_numpy(images), "dcgan").numpy() for images in (split.x, split.x_test))
    return x, x_test


def _flat(images: np.ndarray) -> np.ndarray:
    return (images.reshape(len(images), -1) / np.float32(255)).astype(np.float32)


def _errors(x: np.ndarray, x_test: np.ndarray, scale: Scale, split: Split, subset: int) -> list[dict[str, Any]]:
    found = []
    C: float | None = None
    for n in scale.labels:
        rows = label_subset(split.y, n, subset)
        machine = choose_l2_svm(x[rows], split.y[rows]) if C is None else fit_l2_svm(x[rows], split.y[rows], C)
        C = machine.C
        found.append({"subset": subset, "labels": n, "C": C, "error": machine.error(x_test, split.y_test)})
    return found


def row(label: str, errors: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation of the error over seeds and sets of labelled images, for each number of labels."""
    own = [e for e in errors if e["features"] == label]
    by_labels = {n: [e["error"] for e in own if e["labels"] == n] for n in dict.fromkeys(e["labels"] for e in own)}
    return {
        "features": label,
        "error": {n: mean(values) for n, values in by_labels.items()},
        "deviation": {n: stdev(values) if len(values) > 1 else None for n, values in by_labels.items()},
        "fits": {n: len(values) for n, values in by_labels.items()},
    }


def table(rows: list[dict[str, Any]], labels: tuple[int, ...], quoted: dict[str, dict[int, float]]) -> str:
    """Rows as text, errors in per cent."""
    lines = [f"{'test error, per cent':30}" + "".join(f"{f'{n} labels':>16}" for n in labels)]
    for r in rows:
        cells = [f"{100 * r['error'][n]:.1f} ± {100 * (r['deviation'][n] or 0):.1f}" for n in labels]
        lines.append(f"{r['features']:30}" + "".join(f"{cell:>16}" for cell in cells))
    for name, theirs in quoted.items():
        cells = [f"{100 * theirs[n]:.1f}" if n in theirs else "" for n in labels]
        lines.append(f"{name:30}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]], data: str) -> Figure:
    """Errors over labels, bars of one standard deviation."""
    plot = Figure(figsize=(7.6, 4.2), layout="constrained")
    panel = plot.subplots()
    for r in rows:
        labels = list(r["error"])
        bars = [100 * (r["deviation"][n] or 0) for n in labels]
        panel.errorbar(
            labels, [100 * r["error"][n] for n in labels], bars, fmt="o-", capsize=2, ms=4, label=r["features"]
        )
    panel.set(
        xscale="log", xlabel="labelled images", ylabel="test error, per cent", title=f"{data}: linear SVM on features"
    )
    panel.set_xticks(list(rows[0]["error"]), list(rows[0]["error"]))
    panel.minorticks_off()
    panel.grid(alpha=0.25)
    plot.legend(*panel.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize=8)
    return plot


if __name__ == "__main__":
    main()
