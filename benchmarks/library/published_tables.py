"""POWER, GAS, HEPMASS, MINIBOONE and BSDS300 by the default settings, beside the published figures of flows.

    python -m benchmarks.library.published_tables --data-root /data/maf --sets power,miniboone
    python -m benchmarks.library.published_tables --quick

The data are the "maf data" (https://zenodo.org/records/1161203), preprocessed as there; which files of it are read says
`benchmarks/lib/published_sets.py`. `contrastive.fit` gets the training rows, of which it holds out its own for early
stopping, and at most 1,000 for figures that are not used here; the published validation rows stay unused. Judged are
the published test rows: mean log-density in nats, standardised columns, log Z at the upper end of its 95 % interval. A
Gaussian is fitted to the same training rows.

Every set is kept as a file in --out and read from there.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import contrastive
from benchmarks.lib.density_rivals import fit_rival
from benchmarks.lib.grid import benchmark_parser, provenance, run_all, run_or_explain
from benchmarks.lib.published_sets import SETS, read_set
from benchmarks.lib.table_units import upper_log_probs
from contrastive.errors import ContrastiveError, ContrastiveWarning
from contrastive.io.checkpoints import write_json
from contrastive.numerics.statistics import mean_with_error

#: Mean test log-densities in nats, as Huang et al. (2018) and Oliva et al. (2018) list them.
PUBLISHED = {
    "MAF(5)": {"power": 0.14, "gas": 9.07, "hepmass": -17.70, "miniboone": -11.75, "bsds300": 155.69},
    "NAF": {"power": 0.62, "gas": 11.91, "hepmass": -15.09, "miniboone": -8.86, "bsds300": 157.73},
    "TAN": {"power": 0.60, "gas": 12.06, "hepmass": -13.78, "miniboone": -11.01, "bsds300": 159.80},
}
_MOST_UNUSED = 1_000
_QUICK_ROWS = 400


def main() -> None:
    """Fit every set, print the table, write it."""
    parser = benchmark_parser(__doc__, "published-tables", "small files of the same form, few updates: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder with power/, gas/, hepmass/, miniboone/, BSDS300/")
    parser.add_argument("--sets", default=",".join(SETS), help="separated by commas [all five]")
    parser.add_argument("--seed", type=int, default=0, help="[0]")
    run_or_explain(_run, parser.parse_args())


def _run(arguments: argparse.Namespace) -> None:
    names = arguments.sets.split(",")
    if not arguments.quick and arguments.data_root is None:
        raise ContrastiveError("--data-root names the folder with power/, gas/, hepmass/, miniboone/ and BSDS300/")
    with tempfile.TemporaryDirectory() as folder:
        root, jobs, settings = arguments.data_root, arguments.jobs, dict[str, Any]()
        if arguments.quick:
            root, jobs, arguments.results = Path(folder), 1, arguments.out
            settings = {"noise": "gaussian", "energy": "tilted", "steps": 20}
            write_small_sets(root)
        calls = [
            (name, root, arguments.out / f"{name}-seed{arguments.seed}.json", arguments.seed, settings)
            for name in names
        ]
        rows = run_all(measure, calls, jobs, name="published tables")
    print(table(rows))
    arguments.results.mkdir(parents=True, exist_ok=True)
    write_json(arguments.results / "published_tables.json", {**provenance(), "published": PUBLISHED, "sets": rows})


def measure(name: str, root: Path, path: Path, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Figures of one set, fitted or read from `path`."""
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["settings"] != settings:
            raise ContrastiveError(f"{path} was made with other settings: name another --out, or delete it")
        return kept
    splits, started = read_set(name, root), time.monotonic()
    unused = min(0.1, _MOST_UNUSED / len(splits.train))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContrastiveWarning)
        estimator = contrastive.fit(splits.train, seed=seed, quiet=True, **{"data.test": unused, **settings})
    seconds = time.monotonic() - started
    scored = upper_log_probs(estimator, torch.from_numpy(splits.test))
    log_p, log_q = (torch.tensor(scored[key], dtype=torch.float64) for key in ("log_prob", "log_q"))
    summary = estimator.summary or {}
    found = {
        "set": name,
        "seed": seed,
        "settings": settings,
        "rows": [len(part) for part in splits],
        "columns": splits.train.shape[1],
        "default": mean_with_error(log_p),
        "its_noise": mean_with_error(log_q),
        "gain": mean_with_error(log_p - log_q),
        "gaussian": float(fit_rival("gaussian", splits.train)(splits.test).mean()),
        "noise": summary["noise"],
        "noise_candidates": summary.get("noise_candidates"),
        "energy_kept": summary["energy_kept"],
        "log_partition_verdict": summary["log_partition_verdict"],
        "seconds": seconds,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found)
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as a Markdown table, the standard error of the mean beside those that were measured here."""
    names = ["set (rows x columns)", "default", "its noise", "gain of the energy", "Gaussian", *PUBLISHED]
    lines = [f"| {' | '.join([*names, 'log Z', 'seconds'])} |", "|" + "---|" * (len(names) + 2)]
    for row in rows:
        cells = [f"{row['set'].upper()} ({row['rows'][0]:,} x {row['columns']})"]
        cells += [f"{row[key][0]:.2f} ± {row[key][1]:.2f}" for key in ("default", "its_noise")]
        cells += [f"{row['gain'][0]:+.2f} ± {row['gain'][1]:.2f}", f"{row['gaussian']:.2f}"]
        cells += [f"{figures[row['set']]:.2f}" for figures in PUBLISHED.values()]
        cells += [row["log_partition_verdict"].partition(" ")[0], f"{row['seconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_small_sets(root: Path, rows: int = _QUICK_ROWS) -> None:
    """Files of the form of the five sets, of random rows, for tests."""
    generator = np.random.default_rng(0)
    x = {name: generator.normal(size=(rows, columns)) for name, columns in _SMALL_COLUMNS.items()}
    for name, (folder, _) in SETS.items():
        (root / folder).mkdir(parents=True)
        if name in ("power", "miniboone"):
            np.save(root / folder / "data.npy", x[name])
    sensors = pd.DataFrame(x["gas"], columns=["Time", "Meth", "Eth", *(f"s{i}" for i in range(5))])
    sensors["s1"] = sensors["s0"] + 0.01 * sensors["s1"]  # of two that go together the first goes
    sensors.to_csv(root / "gas" / "ethylene_CO.csv", index=False)
    for part in ("train", "test"):
        physics = pd.DataFrame(x["hepmass"], columns=["# label", *(f"f{i}" for i in range(4))])
        physics["# label"] = (generator.random(rows) < 0.8).astype(float)
        physics["f2"] = (physics["f2"] > 0).astype(float)  # a column with ties
        lines = physics.assign(**({"more": 0.0} if part == "test" else {}))
        lines.to_csv(root / "hepmass" / f"1000_{part}.csv", index=False)
    for part, share in zip(("train", "validation", "test"), (x["bsds300"], x["bsds300"][:100], x["bsds300"][100:150])):
        np.save(root / "BSDS300" / f"{part}.npy", share)


_SMALL_COLUMNS = {"power": 8, "gas": 8, "hepmass": 5, "miniboone": 6, "bsds300": 7}


if __name__ == "__main__":
    main()
