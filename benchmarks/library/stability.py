"""A long game: FCE with Glow for 20,000 updates on three densities, three seeds each, without one NaN.

    python -m benchmarks.library.stability
    python -m benchmarks.library.stability --quick

Fails (exit code 1) if any metric of any evaluation is missing or not finite, or any update was skipped.
"""

import json
import math
import sys
from typing import Any

from benchmarks.lib.grid import Result, benchmark_parser, provenance, run_grid


def main() -> None:
    """Fit, count what was not finite, write the table."""
    parser = benchmark_parser(__doc__, "stability", quick="one seed, 200 updates, small flow, no results kept")
    parser.add_argument("--data", nargs="+", default=["8gaussians", "checkerboard", "two-spirals"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=128, help="[128]")
    arguments = parser.parse_args()
    fields: dict[str, Any] = {"noise": "glow", "method": "fce", "steps": arguments.steps}
    fields["batch_size"] = arguments.batch_size
    if arguments.quick:
        arguments.seeds, arguments.jobs, arguments.results = 1, 1, arguments.out
        fields |= {"steps": 200, "noise_options": {"depth": 2, "width": 16}, "batch_size": 100}
    grid = [("fce", {**fields, "data": data, "seed": s}) for data in arguments.data for s in range(arguments.seeds)]
    rows = [row(result) for result in run_grid(grid, arguments.out, arguments.jobs)]
    print(f"{'data':20} seed  not finite  skipped  energy/noise updates     EBM   flow KL")
    for r in rows:
        moves = f"{r['steps_energy']}/{r['steps_noise']}"
        print(
            f"{r['data']:20} {r['seed']:4} {r['not_finite']:11} {r['skipped_steps']:8}  {moves:>20} "
            f"{r['mse_log_prob_energy']:7.4f} {r['kl_noise']:9.4f}"
        )
    arguments.results.mkdir(parents=True, exist_ok=True)
    path = arguments.results / "stability.json"
    path.write_text(json.dumps({**provenance(), "rows": rows}, indent=2) + "\n")
    sys.exit(int(any(r["not_finite"] or r["skipped_steps"] for r in rows)))


def row(result: Result) -> dict[str, Any]:
    """What one run left: non-finite figures are null in its files."""
    keys = (
        "data",
        "seed",
        "steps_energy",
        "steps_noise",
        "skipped_steps",
        "mse_log_prob_energy",
        "kl_noise",
        "seconds",
    )
    lines = [*result.metrics, result.summary]
    wrong = sum(v is None or (isinstance(v, float) and not math.isfinite(v)) for line in lines for v in line.values())
    return {**{key: result.summary[key] for key in keys}, "not_finite": wrong}


if __name__ == "__main__":
    main()
