"""Table 1 of Gao et al. (2020): how far samples of the flow are from data, by likelihood and by FCE.

    python -m benchmarks.paper.table1 --data-root DATA                # SVHN part, CIFAR-10, MNIST; two cores, 90 min
    python -m benchmarks.paper.table1 --data-root DATA --scale paper  # SVHN, CIFAR-10, CelebA; a GPU, days
    python -m benchmarks.paper.table1 --quick

DATA holds svhn-8885.npz or the official files. The measure is the Frechet distance in features of EfficientNet-Lite0
(docs/how-to/image-measures.md), and FID where InceptionV3's weights are named by --inception-weights. It falls with
the number of samples: compare within one table only. Every row's flow begins as the one of the first row; the second
goes on by likelihood for as long as FCE takes. Begun runs go on where they were stopped.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.lib.grid import Result, provenance
from benchmarks.lib.image_sets import load_split
from benchmarks.lib.image_tables import FCE, FLOWS, LIKELIHOOD, LONGER, chosen_scale, spread, table_parser, table_runs
from contrastive import load
from contrastive.data.images import PixelScaling, quantize
from contrastive.data.images.grids import image_grid, write_png
from contrastive.io.checkpoints import write_json
from contrastive.metrics.images import default_cache, image_distances, nearest_neighbours
from contrastive.plots import neighbours_figure

#: FID at paper scale, quoted from Gao et al. (2020), table 1.
QUOTED = {
    "svhn": {LIKELIHOOD: 41.70, FCE: 20.19},
    "cifar10": {LIKELIHOOD: 45.99, FCE: 37.30},
    "celeba": {LIKELIHOOD: 23.32, FCE: 12.21},
}
_SHOWN, _NEIGHBOURS, _AT_ONCE, _SEED = 64, 12, 100, 0


def main() -> None:
    """Fit, sample, measure, print the table, write it and the grids."""
    parser = table_parser(__doc__, "table1")
    parser.add_argument("--inception-weights", type=Path, help="for FID as well")
    arguments = parser.parse_args()
    scale, described = chosen_scale(arguments)
    rows = []
    for data in scale.data:
        runs = table_runs(arguments, scale, data, arguments.rows or FLOWS)
        reference = torch.from_numpy(load_split(data, arguments.data_root).x)
        for label in [label for label in FLOWS if label in runs]:
            for result in tqdm(runs[label], desc=f"samples of {label}", unit="run", leave=False):
                measure(result, reference, scale.samples, arguments.inception_weights)
            rows.append(row(data, label, runs[label]))
        draw_grids(arguments.results, data, runs, reference)
    print(table(rows))
    content = {**provenance(), **described, "rows": rows}
    write_json(arguments.results / "table1.json", content)


def measure(result: Result, reference: torch.Tensor, n: int, inception: Path | None) -> dict[str, float]:
    """Distances of `n` samples of a run's flow from the training images, kept beside the run."""
    path = result.path / f"distances-{n}{'-inception' if inception else ''}.json"
    if not path.exists():
        cache = default_cache()
        samples = samples_of(result.path, n)
        distances = image_distances(samples, reference, limit=n, cache=cache)
        if inception is not None:
            distances |= image_distances(samples, reference, "inception", limit=n, weights=inception, cache=cache)
        write_json(path, distances)
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return found


def samples_of(run: Path, n: int) -> torch.Tensor:
    """`n` images that the noise of a run draws, uint8."""
    estimator = load(run)
    assert isinstance(estimator.scaling, PixelScaling)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        parts = [estimator.sample_noise(min(_AT_ONCE, n - i)) for i in range(0, n, _AT_ONCE)]
    return quantize(torch.cat(parts), estimator.scaling.bits)


def row(data: str, label: str, results: list[Result]) -> dict[str, Any]:
    """One line of the table: what each seed gave."""
    distances = [json.loads(next(r.path.glob("distances-*.json")).read_text(encoding="utf-8")) for r in results]
    return {
        "data": data,
        "row": label,
        "quoted_fid": QUOTED.get(data, {}).get(label),
        "bits_per_dim_noise": [r.summary["bits_per_dim_noise"] for r in results],
        "seconds": [r.summary["seconds"] for r in results],
        "updates": [r.summary["steps"] for r in results],
        **{key: [d[key] for d in distances] for key in distances[0]},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as text: mean and deviation over seeds, and the ratio to the row by likelihood that went on for as long."""
    heads = {"fd": 17, "of longer": 11, "kd": 19, "bits/dim": 17, "seconds": 9, "FID, quoted": 13}
    lines = [f"{'data':10} {'flow':28}" + "".join(f"{name:>{width}}" for name, width in heads.items())]
    for r in rows:
        longer = [other for other in rows if other["data"] == r["data"] and other["row"] == LONGER]
        fd = r["fd_efficientnet_lite0"]
        cells = [
            spread(fd, 1),
            f"{np.mean(fd) / np.mean(longer[0]['fd_efficientnet_lite0']):.2f}" if longer else "–",
            spread(r["kd_efficientnet_lite0"], 4),
            spread(r["bits_per_dim_noise"], 3),
            f"{np.mean(r['seconds']):.0f}",
            str(r["quoted_fid"] or "–"),
        ]
        shown = "".join(f"{cell:>{width}}" for cell, width in zip(cells, heads.values()))
        lines.append(f"{r['data']:10} {r['row']:28}{shown}")
    return "\n".join(lines)


def draw_grids(folder: Path, data: str, runs: dict[str, list[Result]], reference: torch.Tensor) -> None:
    """Data, each flow's samples of the first seed side by side, and the nearest training images of FCE's."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [image_grid(reference[:_SHOWN])]
    pictures += [image_grid(samples_of(runs[label][0].path, _SHOWN)) for label in FLOWS if label in runs]
    gap = np.full((pictures[0].shape[0], 8, 3), 255, np.uint8)
    beside = [part for picture in pictures for part in (picture, gap)][:-1]
    write_png(folder / f"table1-{data}.png", np.concatenate(beside, axis=1))
    if FCE in runs:
        drawn = samples_of(runs[FCE][0].path, _NEIGHBOURS)
        nearest = nearest_neighbours(drawn, reference, k=5)
        neighbours_figure(drawn, reference[nearest.rows]).savefig(folder / f"table1-{data}-neighbours.png", dpi=110)


if __name__ == "__main__":
    main()
