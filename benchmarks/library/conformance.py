"""The conformance kit's own error rates: planted defects caught, false alarms on correct models, seconds a run.

    python -m benchmarks.library.conformance                       # 200 seeds a correct model, 20 a defect
    python -m benchmarks.library.conformance --models glow made    # registered noises besides the zoo
    python -m benchmarks.library.conformance --conditional         # noises q(x | y) instead
    python -m benchmarks.library.conformance --quick

Fails (exit code 1) on a false alarm, or if a defect is missed under any seed.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.lib import conditional_defects as conditional
from benchmarks.lib import defects as zoo
from benchmarks.lib.grid import benchmark_parser, provenance, run_all
from contrastive.testing import make_subject, outcomes_of

Task = tuple[str, str, tuple[int, ...], int, str | None]  # model, kind, event shape, seed, check (None: all)


def main() -> None:
    """Run the kit over and over, count, write the table."""
    parser = benchmark_parser(__doc__, "conformance", quick="one seed, one registered noise, no results kept")
    parser.add_argument("--conditional", action="store_true", help="conditional noises, and their defects")
    parser.add_argument("--models", nargs="*", help="[gaussian student-t made; given y gaussian made]")
    parser.add_argument("--seeds", type=int, default=200, help="of each correct model [200]")
    parser.add_argument("--defect-seeds", type=int, default=20, help="of each defect [20]")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds = arguments.defect_seeds = 1
        arguments.models, arguments.results = ["gaussian"], arguments.out
        arguments.jobs = 1
    kind, right, wrong = ("conditional", *_conditional_zoo()) if arguments.conditional else ("noise", *_zoo())
    models = arguments.models or ["gaussian", *([] if arguments.conditional else ["student-t"]), "made"]
    correct = [*right, *[(name, kind, (2,), None) for name in models]]
    rows = _run(correct, arguments.seeds, arguments.jobs, _correct_row)
    defects = _run(wrong, arguments.defect_seeds, arguments.jobs, _defect_row)
    print(f"{'correct model':16} {'runs':>5} {'checks':>7} {'false alarms':>13} {'median s':>9} {'largest s':>10}")
    for r in rows:
        print(
            f"{r['model']:16} {r['runs']:5} {r['checks']:7} {len(r['false_alarms']):13} {r['median_seconds']:9.2f} "
            f"{r['largest_seconds']:10.2f}"
        )
    missed = [d for d in defects if d["caught"] < d["runs"]]
    print(f"\n{len(defects) - len(missed)} of {len(defects)} defects caught under every seed")
    for d in missed:
        print(f"  {d['model']}: {d['check']} caught {d['caught']} of {d['runs']}")
    alarms = [alarm for r in rows for alarm in r["false_alarms"]]
    print(*alarms, sep="\n")
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = {**provenance(), "correct": rows, "defects": defects}
    name = "conformance-conditional" if arguments.conditional else "conformance"
    (arguments.results / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    sys.exit(int(bool(missed or alarms)))


def _zoo() -> tuple[list[Any], list[Any]]:
    """(model, kind, event shape, check) of what is right and of what is broken in the zoo."""
    shapes = {"noise": (2,), "energy": (2,), "bijection": (3,)}
    right = [("noise", model) for model in zoo.CORRECT] + [("energy", zoo.Energy), ("bijection", zoo.Layer)]
    wrong = {"noise": zoo.NOISE_DEFECTS, "energy": zoo.ENERGY_DEFECTS, "bijection": zoo.BIJECTION_DEFECTS}
    return (
        [(model.__name__, kind, shapes[kind], None) for kind, model in right],
        [(defect.name, kind, shapes[kind], defect.check) for kind, of_kind in wrong.items() for defect in of_kind],
    )


def _conditional_zoo() -> tuple[list[Any], list[Any]]:
    right = [(model.__name__, "conditional", (2,), None) for model in conditional.CONDITIONAL_CORRECT]
    return right, [(defect.name, "conditional", (2,), defect.check) for defect in conditional.CONDITIONAL_DEFECTS]


def _run(
    subjects: list[Any], seeds: int, jobs: int, row: Callable[[str, list[list[Any]]], dict[str, Any]]
) -> list[dict[str, Any]]:
    tasks = [((name, kind, shape, seed, check),) for name, kind, shape, check in subjects for seed in range(seeds)]
    runs = run_all(_outcomes, tasks, jobs, name="conformance")
    return [row(name, runs[i * seeds : (i + 1) * seeds]) for i, (name, *_) in enumerate(subjects)]


def _outcomes(task: Task) -> list[Any]:
    name, kind, shape, seed, check = task
    target = getattr(conditional if kind == "conditional" else zoo, name, name)
    return list(outcomes_of(make_subject(target, kind, shape, seed=seed), check and [check]))  # type: ignore[arg-type]


def _correct_row(name: str, runs: list[list[Any]]) -> dict[str, Any]:
    seconds = sorted(sum(outcome.seconds for outcome in run) for run in runs)
    return {
        "model": name,
        "runs": len(runs),
        "checks": sum(outcome.verdict == "passed" for outcome in runs[0]),
        "false_alarms": [
            f"{name}, seed {seed}: {outcome.check}: {outcome.reason}"
            for seed, run in enumerate(runs)
            for outcome in run
            if outcome.verdict == "failed"
        ],
        "median_seconds": seconds[len(seconds) // 2],
        "largest_seconds": seconds[-1],
    }


def _defect_row(name: str, runs: list[list[Any]]) -> dict[str, Any]:
    caught = sum(outcome.verdict == "failed" for run in runs for outcome in run)
    return {"model": name, "check": runs[0][0].check, "runs": len(runs), "caught": caught}


if __name__ == "__main__":
    main()
