"""Figure 4 of Gao et al. (2020): a linear classifier on an energy's top layer against the same network, supervised.

    python -m benchmarks.paper.figure4 --data-root /data                   # the SVHN part, small networks
    python -m benchmarks.paper.figure4 --runs runs/table3 --data-root /data    # with the energies of table 3
    python -m benchmarks.paper.figure4 --quick

Over the number of labels: a squared-hinge SVM on the last hidden layer of the energy of FCE, of fixed-flow and of
Gaussian NCE, and of one with random weights; beside them a network of the energy's architecture with one output a
class, trained from scratch on the same labelled images by cross-entropy (Adam, 1e-3 falling to 0). The SVM's C is
chosen by cross-validation on the labelled images.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from benchmarks.lib.ebm_runs import Scale, chosen_scale, energy_parser, energy_runs
from benchmarks.lib.grid import provenance
from benchmarks.lib.image_sets import Split, label_subset, load_split
from benchmarks.lib.l2_svm import choose_l2_svm
from benchmarks.paper.table3 import RANDOM, row, table, untrained
from contrastive import ContrastiveEstimator, load, make_energy
from contrastive.data.images import PixelScaling, cell_centres
from contrastive.io.checkpoints import write_json

SUPERVISED = "supervised, same network"
ENERGIES = ("FCE", "fixed-flow NCE", "Gaussian NCE")
_ROWS = 500  # at once
_SUPERVISED_BATCH, _SUPERVISED_RATE = 64, 1e-3


def main() -> None:
    """Make the energies, train the networks, print the table, write table and plot."""
    arguments = energy_parser(__doc__, "figure4").parse_args()
    scale, data, described = chosen_scale(arguments)
    runs = energy_runs(arguments, scale, data, ENERGIES)
    split = load_split(data, arguments.data_root, most_test=scale.most_test)
    errors = measure(runs, scale, split, arguments.out / f"curve-{data}.json")
    rows = [row(label, errors) for label in (*ENERGIES, RANDOM, SUPERVISED)]
    print(table(rows, scale.curve, {}))
    stem = arguments.results / ("figure4" if data in ("svhn-part", "shapes") else f"figure4-{data}")
    write_json(stem.with_suffix(".json"), {**provenance(), **described, "rows": rows, "errors": errors})
    figure(rows, data).savefig(stem.with_suffix(".png"), dpi=130)


def measure(runs: dict[str, list[Path]], scale: Scale, split: Split, kept: Path) -> list[dict[str, Any]]:
    """One entry for each learner, its seed, the set of labelled images and their number; kept as they are found."""
    errors: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []

    def add(label: str, seed: int, judge: Callable[[np.ndarray, int], float]) -> None:
        have = {(e["subset"], e["labels"]) for e in errors if (e["features"], e["seed"]) == (label, seed)}
        for subset in range(scale.subsets):
            for n in scale.curve:
                if (subset, n) not in have:
                    error = judge(label_subset(split.y, n, subset), subset)
                    errors.append({"features": label, "seed": seed, "subset": subset, "labels": n, "error": error})
                    write_json(kept, errors)

    def svm_error(x: np.ndarray, x_test: np.ndarray, rows: np.ndarray, _: int) -> float:
        return choose_l2_svm(x[rows], split.y[rows]).error(x_test, split.y_test)

    estimators: list[tuple[str, int, Callable[[], ContrastiveEstimator]]] = [
        (RANDOM, seed, partial(untrained, scale, split, seed)) for seed in range(scale.seeds + 1)
    ]
    estimators += [(label, seed, partial(load, path)) for label in ENERGIES for seed, path in enumerate(runs[label])]
    for label, seed, make in tqdm(estimators, unit="energy"):
        estimator = make()
        x, x_test = (estimator.features(torch.from_numpy(images)).numpy() for images in (split.x, split.x_test))
        add(label, seed, partial(svm_error, x, x_test))
    add(SUPERVISED, 0, lambda rows, subset: supervised_error(scale, split, rows, subset))
    return errors


def supervised_error(scale: Scale, split: Split, rows: np.ndarray, seed: int) -> float:
    """Test error of the energy's network with an output a class, trained on these images alone."""
    torch.manual_seed(seed)
    shape, classes = split.x.shape[1:], int(split.y.max()) + 1
    network = make_energy("conv", event_shape=shape, **scale.conv, num_classes=classes)
    scaling, pixels = PixelScaling(shape), torch.from_numpy(split.x[rows])
    y = torch.from_numpy(split.y[rows])
    optimizer = torch.optim.Adam(network.parameters(), _SUPERVISED_RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, scale.supervised_steps)
    for _ in range(scale.supervised_steps):
        batch = torch.randint(len(y), (min(_SUPERVISED_BATCH, len(y)),))
        loss = cross_entropy(network(scaling(cell_centres(pixels[batch]))), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    with torch.no_grad():
        parts = torch.from_numpy(split.x_test).split(_ROWS)
        found = torch.cat([network(scaling(cell_centres(part))).argmax(1) for part in parts])
    return float((found.numpy() != split.y_test).mean())


def figure(rows: list[dict[str, Any]], data: str) -> Figure:
    """Accuracy over labels; bands of one standard deviation."""
    plot = Figure(figsize=(6.4, 4.4), layout="constrained")
    panel = plot.subplots()
    for r in rows:
        labels = list(r["error"])
        accuracy = np.array([100 * (1 - r["error"][n]) for n in labels])
        spread = np.array([100 * (r["deviation"][n] or 0) for n in labels])
        style = "s--" if r["features"] == SUPERVISED else "o-"
        (line,) = panel.plot(labels, accuracy, style, ms=4, label=r["features"])
        panel.fill_between(labels, accuracy - spread, accuracy + spread, color=line.get_color(), alpha=0.15, lw=0)
    panel.set(xscale="log", xlabel="labelled images", ylabel="test accuracy, per cent", title=f"{data}: top layer")
    panel.set_xticks(list(rows[0]["error"]), list(rows[0]["error"]))
    panel.minorticks_off()
    panel.grid(alpha=0.25)
    panel.legend(frameon=False, fontsize=8)
    return plot


if __name__ == "__main__":
    main()
