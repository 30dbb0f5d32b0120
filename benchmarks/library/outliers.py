"""Is log p low where there are no data? CIFAR-10 against SVHN both ways, constant and noise images.

    python -m benchmarks.library.outliers --data-root /data                  # small networks
    python -m benchmarks.library.outliers --runs runs/table3 --data-root /data
    python -m benchmarks.library.outliers --quick

Flows are known to find digits likelier than the objects they were fitted to (Nalisnick et al. 2019, "Do deep
generative models know what they don't know?"). For each set and each model: the AUROC of log p between its test images
and those of the other set, images of one colour, and images of uniform noise. 1 is all told apart, 0.5 is chance, 0 is
all the outliers likelier. The models: the energy of FCE and the flow it learned with, the energies of fixed-flow and of
Gaussian NCE, and the flow by maximum likelihood alone.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score
from torch import Tensor
from tqdm import tqdm

from benchmarks.lib.ebm_runs import FLOW, chosen_scale, energy_parser, energy_runs
from benchmarks.lib.grid import provenance
from benchmarks.lib.image_sets import load_split
from contrastive import ContrastiveEstimator, load
from contrastive.data.images import cell_centres
from contrastive.io.checkpoints import write_json

ENERGIES = ("FCE", "fixed-flow NCE", "Gaussian NCE")
MODELS = ("EBM of FCE", "Glow of FCE", "EBM of fixed-flow NCE", "EBM of Gaussian NCE", "Glow by likelihood")
_PAIR = {"svhn-part": "cifar10", "svhn": "cifar10", "cifar10": "svhn-part", "shapes": "shapes"}
_IMAGES, _ROWS = 2_000, 100


def main() -> None:
    """Make the models of both sets, score, print the table, write table and plot."""
    arguments = energy_parser(__doc__, "outliers").parse_args()
    scale, data, described = chosen_scale(arguments)
    rows: list[dict[str, Any]] = []
    for inside in dict.fromkeys((data, _PAIR[data])):
        runs = energy_runs(arguments, scale, inside, ENERGIES)
        rows += measure(runs, inside, data if inside != data else _PAIR[data], arguments)
    print(table(rows))
    write_json(arguments.results / "outliers.json", {**provenance(), **described, "rows": rows})
    figure(rows).savefig(arguments.results / "outliers.png", dpi=130)


def measure(
    runs: dict[str, list[Path]], inside: str, outside: str, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """One entry for each model and seed: its AUROC against each kind of outlier."""
    root = arguments.data_root
    own = torch.from_numpy(load_split(inside, root, most_test=_IMAGES).x_test)
    outliers = {
        "the other set": torch.from_numpy(load_split(outside, root, most_test=_IMAGES).x_test),
        "one colour": one_colour(own),
        "noise": torch.randint(0, 256, own.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)),
    }
    found = []
    for model in tqdm(MODELS, desc=inside, unit="model"):
        label = model.removeprefix("EBM of ").removeprefix("Glow of ") if model != "Glow by likelihood" else FLOW
        for seed, path in enumerate(runs[label]):
            log_prob = _log_prob(load(path), noise=model.startswith("Glow"))
            inner = log_prob(own)
            scores = {name: log_prob(images) for name, images in outliers.items()}
            entry = {name: auroc(inner, outer) for name, outer in scores.items()}
            means = {name: float(np.mean(outer)) for name, outer in {"own": inner, **scores}.items()}
            found.append(
                {"data": inside, "outside": outside, "model": model, "seed": seed, **entry, "mean_log_prob": means}
            )
    return found


def one_colour(like: Tensor) -> Tensor:
    """As many images of one random colour each."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(0, 256, (*like.shape[:2], 1, 1), dtype=torch.uint8, generator=generator)
    return colours.expand(like.shape)


def auroc(inner: np.ndarray, outer: np.ndarray) -> float:
    """The chance that an image of the set has a higher log p than an outlier; ties count half."""
    inside = np.concatenate([np.ones(len(inner)), np.zeros(len(outer))])
    # Infinite log-densities have an order, but scikit-learn refuses them.
    return float(roc_auc_score(inside, np.nan_to_num(np.concatenate([inner, outer]), nan=-1e300).clip(-1e300, 1e300)))


def _log_prob(estimator: ContrastiveEstimator, *, noise: bool) -> Callable[[Tensor], np.ndarray]:
    def of(images: Tensor) -> np.ndarray:
        score = estimator.noise_log_prob if noise else estimator.log_prob
        with torch.no_grad():
            return torch.cat([score(cell_centres(part)).double() for part in images.split(_ROWS)]).numpy()

    return of


def table(rows: list[dict[str, Any]]) -> str:
    """Means over seeds as text."""
    kinds = ("the other set", "one colour", "noise")
    lines = [f"{'AUROC of log p':34}" + "".join(f"{kind:>16}" for kind in kinds)]
    for data, model in dict.fromkeys((r["data"], r["model"]) for r in rows):
        own = [r for r in rows if (r["data"], r["model"]) == (data, model)]
        lines.append(f"{data + ', ' + model:34}" + "".join(f"{np.mean([r[k] for r in own]):16.3f}" for k in kinds))
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]]) -> Figure:
    """A group of bars for each kind of outlier, one panel a set."""
    plot = Figure(figsize=(10, 4), layout="constrained")
    sets = list(dict.fromkeys(r["data"] for r in rows))
    for panel, data in zip(plot.subplots(1, len(sets), squeeze=False, sharey=True)[0], sets):
        for place, model in enumerate(MODELS):
            own = [r for r in rows if (r["data"], r["model"]) == (data, model)]
            heights = [float(np.mean([r[k] for r in own])) for k in ("the other set", "one colour", "noise")]
            panel.bar(np.arange(3) + 0.16 * (place - 2), heights, 0.15, label=model)
        panel.axhline(0.5, color="#555555", lw=0.8, ls=":")
        panel.set_xticks(range(3), [own[0]["outside"], "one colour", "noise"])
        panel.set(title=f"fitted to {data}", ylim=(0, 1.02))
    plot.axes[0].set_ylabel("AUROC of log p")
    plot.legend(
        *plot.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=8
    )
    return plot


if __name__ == "__main__":
    main()
