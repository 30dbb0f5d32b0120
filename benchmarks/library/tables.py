"""Real tables by the default settings, beside what a user would fit instead.

    python -m benchmarks.library.tables --data-root /data   # tables/ of /data, and what scikit-learn ships
    python -m benchmarks.library.tables --quick

Each table is fitted by `contrastive.fit(table, seed=...)` with no other setting, on one or several splits. Of each
split the tenth of the rows that the library holds out for its figures judges; nothing is chosen by them. The rivals get
all other rows: one Gaussian, scikit-learn's mixtures by BIC and by held-out likelihood, its kernels, zuko's flows
(`benchmarks/lib/density_rivals.py`). Ties are dequantised for all alike (`benchmarks/lib/real_tables.py`).

Log-densities are in nats a row, in the table's own units; the default's is normalised by the upper end of the 95 %
interval of log Z. Differences are paired over the test rows of all splits, with their standard error. The best rival is
picked in hindsight, by its mean over the splits.

Every method on every split is kept as a file of its own in --out and read from there, failures too: delete a file to
have it made again. Outputs of several machines can be merged by copying; what is missing is a dash in the table.
Tables with a star are those on which settings were developed.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.lib.density_rivals import RIVALS, Effort
from benchmarks.lib.grid import benchmark_parser, provenance, run_all, run_or_explain
from benchmarks.lib.real_tables import known, read_table, table_names
from benchmarks.lib.table_summary import counts, in_words, main_table, noise_table, summarize
from benchmarks.lib.table_units import METHODS, NOISES, TILTS, Plan, Unit, measure, read_unit
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import write_json

GROUPS = {"rivals": tuple(RIVALS), "noises": NOISES, "tilts": TILTS}
_DEFAULT_METHODS = "default,rivals,noises"
_MANY_ROWS = 2_000
_QUICK = Effort(components=(1, 2, 3), bandwidths=(1.0, 0.5, 0.25), flow_seconds=1.0)


def main() -> None:
    """Measure every method on every split of every table, print the tables, write them."""
    run_or_explain(_run, _parser().parse_args())


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, "tables", "one small table, one split, few updates, all methods: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder with tables/ [scikit-learn's tables alone]")
    parser.add_argument("--tables", help="names, separated by commas [all that can be read]")
    parser.add_argument("--methods", default=_DEFAULT_METHODS, help=_methods_help())
    parser.add_argument("--seeds", type=int, default=5, help="splits of a table of fewer than 2,000 rows [5]")
    parser.add_argument("--large-seeds", type=int, default=1, help="splits of a larger one [1]")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first split [0]")
    parser.add_argument("--rows", type=int, default=20_000, help="most rows of a table, at random [20,000]")
    parser.add_argument("--flow-seconds", type=float, default=120.0, help="most seconds of a rival flow's fit [120]")
    parser.add_argument("--deadline", type=float, default=math.inf, help="seconds after which no fit is begun [none]")
    return parser


def _methods_help() -> str:
    return f"of {', '.join(METHODS)}; or groups: {', '.join(GROUPS)}; separated by commas [{_DEFAULT_METHODS}]"


def _run(arguments: argparse.Namespace) -> None:
    if arguments.quick:
        arguments.tables, arguments.seeds, arguments.jobs = "iris", 1, 1
        arguments.methods, arguments.results = ",".join(METHODS), arguments.out
    plan = Plan(
        arguments.data_root,
        arguments.out,
        rows=arguments.rows,
        effort=_QUICK if arguments.quick else Effort(flow_seconds=arguments.flow_seconds),
        steps=20 if arguments.quick else None,
        deadline=time.time() + arguments.deadline,
    )
    names = table_names(plan.data_root)
    if arguments.tables:
        names = known(arguments.tables.split(","), plan.data_root)
    units = units_of(names, methods_of(arguments.methods), arguments, plan)
    for _ in range(2):  # what follows the default may have come before it was made
        unmade = [(unit, plan) for unit in units if read_unit(unit, plan) is None]
        if unmade:
            run_all(measure, unmade, arguments.jobs, name="tables")
    report(names, units, plan, arguments.results)


def methods_of(names: str) -> list[str]:
    """The methods that names and groups, separated by commas, stand for.

    Raises:
        ContrastiveError: for an unknown one.
    """
    chosen = [method for name in names.split(",") for method in GROUPS.get(name, (name,))]
    for name in chosen:
        if name not in METHODS:
            raise ContrastiveError(f"no method {name!r}: there are {', '.join([*METHODS, *GROUPS])}")
    return [method for method in METHODS if method in chosen]


def units_of(tables: Sequence[str], methods: Sequence[str], arguments: argparse.Namespace, plan: Plan) -> list[Unit]:
    """What is to be measured, the longest first; what follows the default at the end."""
    units: list[tuple[bool, float, Unit]] = []
    for table in tables:
        shape = read_table(table, plan.data_root, plan.rows).frame.shape
        splits = arguments.seeds if shape[0] < _MANY_ROWS else arguments.large_seeds
        for seed in range(arguments.first_seed, arguments.first_seed + splits):
            for unit in (Unit(table, seed, method) for method in methods):
                units.append((unit.follows_default, -unit.cost(shape), unit))
    return [unit for _, _, unit in sorted(units, key=lambda found: found[:2])]


def report(tables: Sequence[str], units: Sequence[Unit], plan: Plan, results: Path) -> None:
    """Print and write the figures of whatever is kept."""
    from benchmarks.lib.table_plot import figure  # here alone: units can be made where there is no matplotlib

    kept = [(unit, read_unit(unit, plan)) for unit in units]
    records = [summarize(name, [found for unit, found in kept if found and unit.table == name]) for name in tables]
    fresh = [record for record in records if not record["developed"]]
    print(main_table(records), noise_table(records), sep="\n\n", end="\n\n")
    print(in_words(counts(records), "All tables"))
    print(in_words(counts(fresh), "Without those that settings were developed on (*)"))
    failed = [found for _, found in kept if found and "error" in found]
    unmade = sum(found is None for _, found in kept)
    print(f"{len(units)} units: {len(failed)} could not be measured (reasons in tables.json), {unmade} not made.")
    content: dict[str, Any] = {"counts": counts(records), "counts_not_developed_on": counts(fresh), "tables": records}
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / "tables.json", {**provenance(), **content})
    figure(records).savefig(results / "tables.png", dpi=130)


if __name__ == "__main__":
    main()
