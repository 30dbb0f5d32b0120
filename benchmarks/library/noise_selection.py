"""The noise chosen by held-out likelihood, beside what scikit-learn would have fitted.

    python -m benchmarks.library.noise_selection --data-root /data  # tables/ of /data, and what scikit-learn ships
    python -m benchmarks.library.noise_selection --quick

Of each table and split a tenth of the rows (a fifth, of fewer than 500) is held out for the figures; nothing is chosen
by them. `select_noise` and the rivals see the other rows alone, standardised: one Gaussian; scikit-learn's
`GaussianMixture` as it comes, 1 to 30 components, by held-out likelihood and by BIC; scikit-learn's `KernelDensity`,
its bandwidth by held-out likelihood. Held-out likelihood is that of the same folds, or of the same held-out part, as
in the selection. Figures are mean log-densities of the standardised test rows, in nats a
row; the gain is over the best rival, paired over rows, with its standard error.

A column with ties has no density, and a mixture on it grows without bound. Here the rows, test rows too, are
dequantised before anything sees them: where less than half of a column's values are distinct, each value is spread
uniformly over the smallest distance between two values. So every method models the same density.

The settings of `select_noise` were chosen on the tables marked "developed" alone.
"""

import argparse
import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import Tensor

from benchmarks.lib.grid import benchmark_parser, provenance, run_all
from contrastive.io.checkpoints import write_json
from contrastive.noises.candidates import ladder
from contrastive.training.likelihood_fit import fit_noise, log_prob_in_parts
from contrastive.training.selection import Part, held_out_parts, select_noise

SHIPPED = {
    "iris": datasets.load_iris,
    "wine-cultivars": datasets.load_wine,
    "diabetes": datasets.load_diabetes,
    "breast-cancer": datasets.load_breast_cancer,
}
DEVELOPED = ("wine-cultivars", "wine", "quakes", "diamonds5k", "protein", "seattle_weather")
RIVALS = ("gaussian", "mixture", "mixture_bic", "kernels")
_BANDWIDTHS = np.geomspace(0.05, 1.5, 15)
_MOST_KERNEL_ROWS = 10_000


def main() -> None:
    """Choose and compare on every table and split, print the tables, write them."""
    parser = benchmark_parser(__doc__, "noise-selection", "one table, one split: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder with tables/ [scikit-learn's tables alone]")
    parser.add_argument("--tables", help="names, separated by commas [all]")
    parser.add_argument("--seeds", type=int, default=3, help="splits of a table of fewer than 2,000 rows; else one [3]")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of a table, at most [20,000]")
    arguments = parser.parse_args()
    names = ["iris"] if arguments.quick else table_names(arguments)
    calls = []
    for name in names:
        few = len(read(name, arguments.data_root)) < 2_000
        splits = arguments.seeds if few and not arguments.quick else 1
        calls += [(name, seed, arguments.data_root, arguments.rows) for seed in range(splits)]
    splits = run_all(measure, calls, arguments.jobs, name="noise selection")
    rows = [summarized(name, [split for split in splits if split["table"] == name]) for name in names]
    print(table(rows))
    results = arguments.out if arguments.quick else arguments.results
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / "noise_selection.json", {**provenance(), "rows": rows})


def table_names(arguments: argparse.Namespace) -> list[str]:
    """The names that were asked for, or all that can be read; those developed on first."""
    if arguments.tables is not None:
        return list(arguments.tables.split(","))
    names = set(SHIPPED)
    if arguments.data_root is not None:
        root = arguments.data_root / "tables"
        names |= {path.stem for path in (root / "small").glob("*.csv")}
        names |= {path.parent.name for path in root.glob("*/data.csv.gz")} | {"galaxies"}
    return sorted(names, key=lambda name: (name not in DEVELOPED, name))


def read(name: str, data_root: Path | None) -> np.ndarray:
    """The numeric columns of a table that vary, rows without gaps."""
    if name in SHIPPED:
        frame = SHIPPED[name](as_frame=True).data
    else:
        assert data_root is not None, f"{name} needs --data-root"
        root = data_root / "tables"
        if (root / "small" / f"{name}.csv").exists():
            frame = pd.read_csv(root / "small" / f"{name}.csv")
        elif (root / f"{name}.parquet").exists():
            frame = pd.read_parquet(root / f"{name}.parquet")
        else:
            frame = pd.read_csv(root / name / "data.csv.gz", header=None)
    frame = frame.select_dtypes("number").dropna().astype(float)
    return frame.loc[:, frame.std() > 0].to_numpy()


def dequantized(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """`x`, with columns of ties spread uniformly over the smallest distance between two of their values."""
    x = x.copy()
    for column in x.T:
        values = np.unique(column)
        if len(values) < len(column) / 2:
            gaps = np.diff(values)
            column += gaps[gaps > 1e-6 * column.std()].min() * (generator.random(len(column)) - 0.5)
    return x


def split_table(name: str, seed: int, data_root: Path | None, most: int) -> tuple[Tensor, Tensor]:
    """Rows to fit and test rows, dequantised and standardised by the former, in float32."""
    generator = np.random.default_rng(seed)
    x = dequantized(read(name, data_root), generator)
    x = x[generator.permutation(len(x))][:most]
    test = len(x) // (5 if len(x) < 500 else 10)
    shift, scale = x[test:].mean(0), x[test:].std(0)
    fitting, held = (torch.from_numpy((part - shift) / scale).float() for part in (x[test:], x[:test]))
    return fitting, held


def measure(name: str, seed: int, data_root: Path | None, most: int) -> dict[str, Any]:
    """Test log-densities of the selected noise and of the rivals."""
    fitting, test = split_table(name, seed, data_root, most)
    started = time.monotonic()
    selection = select_noise(fitting, seed=seed)
    seconds = time.monotonic() - started
    noise = fit_noise(selection.chosen.name, selection.chosen.options, fitting, seed=seed)
    log_q = {"selected": log_prob_in_parts(noise, test).double().numpy()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence of some
        log_q |= rivals(fitting, test, held_out_parts(len(fitting), seed), seed)
    return {
        "table": name,
        "seed": seed,
        "rows": len(fitting) + len(test),
        "columns": test.shape[1],
        "chosen": selection.chosen.label,
        "selection": selection.table(),
        "seconds": seconds,
        "log_q": {method: values.tolist() for method, values in log_q.items()},
    }


def rivals(fitting: Tensor, test: Tensor, parts: list[Part], seed: int) -> dict[str, np.ndarray]:
    """Test log-densities of what scikit-learn's users would fit."""
    z, held = fitting.double().numpy(), test.double().numpy()
    gaussian = GaussianMixture(1).fit(z)
    components = [k for k in ladder(30) if k <= len(z) // 5]
    models = [GaussianMixture(k, random_state=seed) for k in components]
    by_bic = min((model.fit(z) for model in models), key=lambda model: model.bic(z))
    found = {"gaussian": gaussian.score_samples(held), "mixture_bic": by_bic.score_samples(held)}
    found["mixture"] = best_held_out(models, z, parts).score_samples(held)
    if len(z) <= _MOST_KERNEL_ROWS:
        kernels = [KernelDensity(bandwidth=bandwidth, rtol=1e-4) for bandwidth in _BANDWIDTHS]
        found["kernels"] = best_held_out(kernels, z, parts).score_samples(held)
    return found


def best_held_out(models: list[Any], z: np.ndarray, parts: list[Part]) -> Any:
    """The model with the largest held-out likelihood, fitted to all rows."""

    def held_out(model: Any) -> float:
        return float(np.sum([model.fit(z[a]).score_samples(z[b]).sum() for a, b in map(_as_arrays, parts)]))

    return max(models, key=held_out).fit(z)


def _as_arrays(part: Part) -> tuple[np.ndarray, np.ndarray]:
    return part[0].numpy(), part[1].numpy()


def summarized(name: str, splits: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table: means over splits, and the paired difference to the best rival with its standard error."""
    log_q = {method: np.concatenate([split["log_q"][method] for split in splits]) for method in splits[0]["log_q"]}
    means = {method: float(values.mean()) for method, values in log_q.items()}
    best = max((method for method in log_q if method != "selected"), key=means.__getitem__)
    gap = log_q["selected"] - log_q[best]
    return {
        "table": name,
        "developed": name in DEVELOPED,
        "rows": splits[0]["rows"],
        "columns": splits[0]["columns"],
        "chosen": [split["chosen"] for split in splits],
        "log_q": means,
        "best_rival": best,
        "gain": float(gap.mean()),
        "gain_error": float(gap.std(ddof=1) / math.sqrt(len(gap))),
        "seconds": float(np.mean([split["seconds"] for split in splits])),
        "selections": [split["selection"] for split in splits],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as Markdown, tables that settings were developed on first."""
    lines = [
        "| table (rows x columns) | chosen, by split | selected | Gaussian | mixture | by BIC | kernels | gain | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = [f"{row['log_q'][method]:.2f}" if method in row["log_q"] else "–" for method in ("selected", *RIVALS)]
        mark = " (developed)" if row["developed"] else ""
        lines.append(
            f"| {row['table']}{mark} ({row['rows']:,} x {row['columns']}) | {'; '.join(row['chosen'])} "
            f"| {' | '.join(figures)} | {row['gain']:+.2f} ± {row['gain_error']:.2f} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
