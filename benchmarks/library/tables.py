"""Small real tables by the default settings, beside their own noise and a Gaussian mixture.

    python -m benchmarks.library.tables --data-root /data  # /data/tables/small/*.csv, and what scikit-learn ships
    python -m benchmarks.library.tables --quick

Each table is fitted by `contrastive.fit(table)` with no setting at all, on several splits. Of each split a tenth of the
rows is held out for the figures; nothing is chosen by them. Beside the energy's mean log-density there, with the
learned c and with the upper end of the interval of log Z: that of its own noise, which is chosen by held-out
likelihood, and that of
scikit-learn's `GaussianMixture`, its number of components by BIC, on the same rows (training and validation) in the
same units. The difference to the noise is over all held-out rows of all splits, with its standard error.
"""

import math
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.mixture import GaussianMixture

import contrastive
from benchmarks.lib.grid import benchmark_parser, provenance, run_all
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.io.checkpoints import write_json
from contrastive.training.run_directory import RunDirectory

SHIPPED = {"iris": load_iris, "wine": load_wine, "diabetes": load_diabetes, "breast-cancer": load_breast_cancer}
_MOST_COMPONENTS = 15


def main() -> None:
    """Fit every table on every split, print the table, write it."""
    parser = benchmark_parser(__doc__, "tables", "one table, few updates: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder with tables/small/*.csv [scikit-learn's tables alone]")
    parser.add_argument("--seeds", type=int, default=3, help="splits of each table [3]")
    parser.add_argument("--noise", help="noise of every fit, such as auto [that of the library]")
    parser.add_argument("--tables", help="names, separated by commas [all that can be read]")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first split [0]")
    arguments = parser.parse_args()
    asked = arguments.tables.split(",") if arguments.tables else table_names(arguments.data_root)
    names = ["iris"] if arguments.quick else asked
    seeds = range(arguments.first_seed, arguments.first_seed + (1 if arguments.quick else arguments.seeds))
    settings: dict[str, Any] = {"noise": "auto", "steps": 100} if arguments.quick else {}
    settings |= {"noise": arguments.noise} if arguments.noise else {}
    calls = [(name, seed, arguments.data_root, arguments.out, settings) for name in names for seed in seeds]
    splits = run_all(measure, calls, arguments.jobs, name="tables")
    rows = [summarized(name, [split for split in splits if split["table"] == name]) for name in names]
    print(table(rows))
    results = arguments.out if arguments.quick else arguments.results
    write_json(results / "tables.json", {**provenance(), "seeds": list(seeds), "rows": rows})


def table_names(data_root: Path | None) -> list[str]:
    """Names of the tables that can be read."""
    small = [] if data_root is None else sorted((data_root / "tables" / "small").glob("*.csv"))
    return [*SHIPPED, *(path.stem for path in small)]


def read(name: str, data_root: Path | None) -> pd.DataFrame:
    """The numeric columns of a table, rows without gaps."""
    if name in SHIPPED:
        return SHIPPED[name](as_frame=True).data
    assert data_root is not None
    return pd.read_csv(data_root / "tables" / "small" / f"{name}.csv").select_dtypes("number").dropna()


def measure(name: str, seed: int, data_root: Path | None, out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Mean held-out log-densities of one split, and each row's gain over the noise."""
    frame, path = read(name, data_root), out / f"{name}-seed{seed}"
    started = time.monotonic()
    if not RunDirectory(path).is_finished:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", contrastive.errors.ContrastiveWarning)
            contrastive.fit(frame, seed=seed, quiet=True, out=str(path), overwrite=True, **settings)
    seconds = time.monotonic() - started
    estimator, summary = contrastive.load(path), RunDirectory(path).read_summary()
    spread = bool(RunDirectory(path).read_config().data.dequantize)
    data = prepare(frame, configure(seed=seed, dequantize=spread))
    rest = torch.cat([data.scaling.inverse(data.row_source.z), data.validation])  # type: ignore[attr-defined]
    log_p, log_q = estimator.log_prob(data.test).double(), estimator.noise_log_prob(data.test).double()
    return {
        "table": name,
        "seed": seed,
        "rows": len(frame),
        "columns": frame.shape[1],
        "log_p": float(log_p.mean()),
        "log_p_upper": summary.get("test_log_prob_energy_normalized"),
        "log_q": float(log_q.mean()),
        "mixture": mixture_log_prob(rest.numpy(), data.test.numpy(), seed),
        "gains": (log_p - log_q).tolist(),
        "best_update": summary.get("best_update"),
        "noise": summary["noise"],
        "energy_kept": summary["energy_kept"],
        "stopped_early": summary["stopped_early"],
        "log_partition_verdict": summary.get("log_partition_verdict"),
        "seconds": seconds,
    }


def mixture_log_prob(fitting: np.ndarray, test: np.ndarray, seed: int) -> float:
    """Mean log-density at `test` of a full-covariance mixture fitted in standardised coordinates, components by BIC."""
    shift, scale = fitting.mean(0), fitting.std(0)
    z = (fitting - shift) / scale
    components = range(1, min(_MOST_COMPONENTS, len(z) // (2 * z.shape[1]) + 1) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence of some
        fits = [GaussianMixture(k, random_state=seed, n_init=2).fit(z) for k in components]
    best = min(fits, key=lambda fit: fit.bic(z))
    return float(best.score((test - shift) / scale) - np.log(scale).sum())


def summarized(name: str, splits: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table: means over splits, and the gain over the noise with its standard error."""
    means = {key: float(np.mean([split[key] for split in splits])) for key in ("log_p", "log_q", "mixture", "seconds")}
    gains = np.concatenate([split["gains"] for split in splits])
    upper = [split["log_p_upper"] for split in splits]
    return {
        "table": name,
        "rows": splits[0]["rows"],
        "columns": splits[0]["columns"],
        **means,
        "log_p_upper": None if None in upper else float(np.mean(upper)),
        "gain": float(gains.mean()),
        "gain_error": float(gains.std(ddof=1) / math.sqrt(len(gains))),
        "splits": [{key: value for key, value in split.items() if key != "gains"} for split in splits],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| table (rows x columns) | default | by upper log Z | its noise | default - noise | mixture (BIC) | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        upper = "–" if row["log_p_upper"] is None else f"{row['log_p_upper']:.2f}"
        lines.append(
            f"| {row['table']} ({row['rows']:,} x {row['columns']}) | {row['log_p']:.2f} | {upper} "
            f"| {row['log_q']:.2f} "
            f"| {row['gain']:+.2f} ± {row['gain_error']:.2f} | {row['mixture']:.2f} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
