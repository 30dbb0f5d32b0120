"""Simulation-based inference by the default settings, beside sbi's NPE and NRE: C2ST against reference posteriors.

    python -m benchmarks.library.simulators --data-root /data   # the files of the package sbibm, below /data
    python -m benchmarks.library.simulators --quick

Tasks, observations and reference samples are those of the public benchmark of Lueckmann et al. (2021). For every task
and number of simulations each method is fitted once to the same draws of (theta, x) and asked for samples of
p(theta | x) at each observation. C2ST is the held-out accuracy of a classifier between these and the reference samples:
0.5 where they cannot be told apart, 1 at worst. What the methods are, and how draws outside the prior's support are
treated, says `benchmarks/lib/simulator_methods.py`; the classifier, `benchmarks/lib/c2st.py`. Nothing is chosen by the
observations or by the reference samples.

The published benchmark takes 10,000 samples an observation. --draws takes fewer, of the reference too: the classifier
is then weaker and every C2ST a little lower, so compare within one table alone.

Every fit is kept in --out, its samples beside its figures, and read from there; what is missing is a dash.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.lib.grid import benchmark_parser, provenance, run_all, run_or_explain
from benchmarks.lib.simulator_files import tasks_folder, write_small_files
from benchmarks.lib.simulator_methods import METHODS, has_sbi
from benchmarks.lib.simulator_summary import figure, in_words, main_table, summarize
from benchmarks.lib.simulator_units import Plan, Unit, measure, read_unit
from benchmarks.lib.simulators import TASKS, make_task
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import write_json

RIVALS = ("npe", "nre")
_DRAWS, _OBSERVATIONS = 10_000, 10


def main() -> None:
    """Measure every method on every task, print the table, write it."""
    run_or_explain(_run, _parser().parse_args())


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, "simulators", "one task, few simulations, draws and updates: does it run?")
    parser.add_argument("--data-root", type=Path, help="folder of the unpacked package sbibm [where it is installed]")
    parser.add_argument("--tasks", default=",".join(TASKS), help="separated by commas [all seven]")
    parser.add_argument("--simulations", default="1000,10000", help="separated by commas [1000,10000]")
    parser.add_argument("--methods", default=",".join(METHODS), help=f"separated by commas [{','.join(METHODS)}]")
    parser.add_argument("--observations", type=int, default=_OBSERVATIONS, help="the first so many of ten [10]")
    parser.add_argument("--draws", type=int, default=_DRAWS, help="samples of each posterior [10,000]")
    parser.add_argument("--seed", type=int, default=0, help="of simulations and fits [0]")
    parser.add_argument("--deadline", type=float, default=math.inf, help="seconds after which no fit is begun [none]")
    return parser


def _run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if arguments.quick:
            _make_small(arguments, Path(folder))
        plan = Plan(
            tasks_folder(arguments.data_root),
            arguments.out,
            observations=arguments.observations,
            draws=arguments.draws,
            steps=10 if arguments.quick else None,
            deadline=time.time() + arguments.deadline,
        )
        units = units_of(arguments)
        unmade = [(unit, plan) for unit in units if not read_unit(unit, plan).is_complete(plan)]
        if unmade:
            run_all(measure, unmade, arguments.jobs, name="simulators")
        failed = report(units, plan, arguments.results)
        if arguments.quick and failed:
            raise ContrastiveError("; ".join(failed))


def _make_small(arguments: argparse.Namespace, root: Path) -> None:
    arguments.tasks, arguments.simulations, arguments.jobs = "two_moons", "300", 1
    arguments.observations, arguments.draws = 2, 50
    arguments.data_root, arguments.results = root, arguments.out
    write_small_files(root, "two_moons", observations=2, draws=50)


def units_of(arguments: argparse.Namespace) -> list[Unit]:
    """What is to be measured; sbi's methods are left out, which is said, where it is not installed.

    Raises:
        ContrastiveError: for an unknown task or method.
    """
    methods = arguments.methods.split(",")
    for method in methods:
        if method not in METHODS:
            raise ContrastiveError(f"no method {method!r}: there are {', '.join(METHODS)}")
    if not has_sbi() and set(methods) & set(RIVALS):
        print("sbi is not installed: NPE and NRE are left out (pip install sbi)")
        methods = [method for method in methods if method not in RIVALS]
    numbers = [int(number) for number in arguments.simulations.split(",")]
    tasks = arguments.tasks.split(",")
    closed = {name for name in tasks if make_task(name).exact_posterior is not None}
    return [
        Unit(task, n, arguments.seed, method)
        for n, method, task in product(numbers, methods, tasks)
        if method != "exact" or (task in closed and n == numbers[0])
    ]


def report(units: Sequence[Unit], plan: Plan, results: Path) -> list[str]:
    """Print and write the figures of whatever is kept; returns what failed, a line each."""
    kept = [found for unit in units for found in read_unit(unit, plan).figures]
    records = summarize(kept)
    failed = [f"{found['method']} on {found['task']}: {found['error']}" for found in kept if "error" in found]
    print(main_table(records), in_words(records), *failed, sep="\n\n")
    content: dict[str, Any] = {"draws": plan.draws, "observations": plan.observations, "tasks": records}
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / "simulators.json", {**provenance(), **content})
    figure(records).savefig(results / "simulators.png", dpi=130)
    return failed


if __name__ == "__main__":
    main()
