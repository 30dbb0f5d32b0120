"""Figure 2 of Gao et al. (2020): error of log p over the updates of the energy, for four kinds of noise.

    python -m benchmarks.paper.figure2                                  # 8 Gaussians and the tight ones, three seeds
    python -m benchmarks.paper.figure2 --data 8gaussians --seeds 1
    python -m benchmarks.paper.figure2 --quick

Every fit is a run under --out; a stopped benchmark goes on where it was.
"""

import json
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from benchmarks.lib.grid import Result, benchmark_parser, provenance, run_grid

_GLOW: dict[str, Any] = {"noise": "glow"}
SETTINGS: dict[str, dict[str, Any]] = {
    "Gaussian NCE": {"noise": "gaussian"},
    "fixed-flow NCE": {**_GLOW, "pretrain_steps": 2000},
    "FCE, random flow": {**_GLOW, "method": "fce", "pretrain_steps": 0},
    "FCE, pre-trained flow": {**_GLOW, "method": "fce", "pretrain_steps": 2000},
}
#: The paper's network and rates, as a row of its own.
PAPER = {"Gaussian NCE, paper's recipe": {"noise": "gaussian", "recipe": "paper"}}
#: On 8 Gaussians.
GOALS = {"Gaussian NCE": 0.0025, "fixed-flow NCE": 0.0025, "FCE, random flow": 0.002, "FCE, pre-trained flow": 0.002}
_COLORS = ["#E69F00", "#009E73", "#0072B2", "#D55E00", "#999999"]


def main() -> None:
    """Fit, print the table, write table and plot."""
    parser = benchmark_parser(__doc__, "figure2", quick="one seed, few updates, small flow, no results kept")
    parser.add_argument("--data", nargs="+", default=["8gaussians", "8gaussians-tight"])
    names = [*SETTINGS, *PAPER]
    parser.add_argument("--settings", nargs="+", choices=names, metavar="NAME", help="rows to make [all]")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10_000, help="updates of both players [10000]")
    arguments = parser.parse_args()
    settings = {**SETTINGS, **PAPER}
    if arguments.settings:
        settings = {name: settings[name] for name in arguments.settings}
    common: dict[str, Any] = {"steps": arguments.steps, "batch_size": 1000}
    if arguments.quick:
        arguments.seeds, arguments.data, arguments.jobs = 1, ["8gaussians"], 1
        arguments.results = arguments.out
        common = {"steps": 40, "batch_size": 200}
        small = {"noise_options": {"depth": 2, "width": 16}, "pretrain_steps": 20}
        settings = {name: {**s, **small} if "flow" in name else s for name, s in settings.items()}
    grid = [
        (name, {**common, **fields, "data": data, "seed": seed})
        for data in arguments.data
        for seed in range(arguments.seeds)
        for name, fields in settings.items()
    ]
    results = run_grid(grid, arguments.out, arguments.jobs)
    for data in arguments.data:
        of_data = [result for result in results if result.summary["data"] == data]
        rows = [row(name, [r for r in of_data if r.label == name]) for name in settings]
        print(f"\n{data}: mean squared error of log p, median of {arguments.seeds} seeds\n{table(rows)}")
        arguments.results.mkdir(parents=True, exist_ok=True)
        stem = arguments.results / f"figure2-{data}"
        stem.with_suffix(".json").write_text(json.dumps({**provenance(), "rows": rows}, indent=2) + "\n")
        figure(of_data, data).savefig(stem.with_suffix(".png"), dpi=130)


def row(name: str, results: list[Result]) -> dict[str, Any]:
    """One line of the table: medians over seeds, and every seed's error."""
    summaries = [result.summary for result in results]
    keys = (
        "mse_log_prob_energy",
        "kl_energy",
        "mse_log_prob_noise",
        "kl_noise",
        "steps_energy",
        "skipped_steps",
        "seconds",
    )
    return {
        "setting": name,
        **{key: median(s[key] for s in summaries) for key in keys},
        "errors": [s["mse_log_prob_energy"] for s in summaries],
        "goal": GOALS.get(name) if results[0].summary["data"] == "8gaussians" else None,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as text."""
    head = f"{'setting':30} {'EBM':>9} {'goal':>7} {'flow KL':>9} {'EBM updates':>12} {'seconds':>8}   each seed"
    lines = [
        f"{r['setting']:30} {r['mse_log_prob_energy']:9.5f} {r['goal'] or '–':>7} {r['kl_noise']:9.4f} "
        f"{r['steps_energy']:12.0f} {r['seconds']:8.0f}   {' '.join(f'{e:.5f}' for e in r['errors'])}"
        for r in rows
    ]
    return "\n".join([head, *lines])


def figure(results: list[Result], data: str) -> Figure:
    """Error over updates of the energy; thin lines are seeds."""
    plot = Figure(figsize=(6.4, 4.2), layout="constrained")
    panel = plot.subplots()
    for name, color in zip([*SETTINGS, *PAPER], _COLORS):
        label: str | None = name
        for result in results:
            if result.label == name:
                lines = [line for line in result.metrics if line["stage"] == "contrast"]
                x, y = [line["updates_energy"] for line in lines], [line["mse_log_prob_energy"] for line in lines]
                panel.plot(x, y, color=color, label=label, linewidth=1.2, alpha=0.8)
                label = None
    panel.set(yscale="log", xlabel="updates of the energy", ylabel="mean squared error of log p (nats²)", title=data)
    panel.grid(alpha=0.25, which="both")
    panel.legend(frameon=False)
    return plot


if __name__ == "__main__":
    main()
