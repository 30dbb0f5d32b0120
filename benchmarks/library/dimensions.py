"""Where Gaussian NCE fails, and what does not: error of log p over the dimension, for every noise.

    python -m benchmarks.library.dimensions                       # 2 to 64 dimensions; about 70 minutes of one core
    python -m benchmarks.library.dimensions --dims 2 8 --noises gaussian nsf
    python -m benchmarks.library.dimensions --quick

The density is a product of two-mode mixtures (`mixtures.py`), 2^d modes. First, theory: the variance of NCE against the
moment-matched Gaussian over that of maximum likelihood, and what is found over replications. Then fits of a network:
each noise held and adapting, under an energy of its own (mlp) and under one that corrects the noise (tilted);
telescoping from the Gaussian. Noises with parameters are fitted once by maximum likelihood, and every fit begins there.
"""

import argparse
import json
from dataclasses import asdict
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.lib.grid import Result, benchmark_parser, provenance, run_grid
from benchmarks.lib.mixtures import Variance, measure_variance, product_of_mixtures, variance_ratio

NOISES: dict[str, dict[str, Any]] = {
    "gaussian": {"noise": "gaussian"},
    "glow": {"noise": "glow", "noise_options": {"depth": 4, "width": 64}},
    "nsf": {"noise": "nsf", "noise_options": {"structure": "coupling", "transforms": 2, "bins": 8}},
    "made": {"noise": "made"},
}
COLORS = {"gaussian": "#555555", "glow": "#D55E00", "nsf": "#0072B2", "made": "#009E73", "telescoping": "#CC79A7"}
METHODS = {"nce": "held", "fce": "adapting"}


def main() -> None:
    """Replicate, fit, print the table, write table and plot."""
    parser = benchmark_parser(__doc__, "dimensions", quick="2 dimensions, two noises, few updates, no results kept")
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--steps", type=int, default=1_500, help="updates of both players [1500]")
    parser.add_argument("--likelihood-steps", type=int, default=1_500, help="of a noise, before [1500]")
    parser.add_argument("--batch-size", type=int, default=300, help="[300]")
    parser.add_argument("--replications", type=int, default=1_000, help="of the variances [1000]")
    arguments = parser.parse_args()
    replicated = [1, 5, 10, 20]
    if arguments.quick:
        arguments.dims, arguments.noises, arguments.results = [2], ["gaussian", "made"], arguments.out
        arguments.steps, arguments.likelihood_steps, arguments.batch_size = 20, 20, 100
        arguments.replications, arguments.jobs, replicated = 20, 1, [1]
    variances = [
        # Twenty dimensions take as many points as there is time for: fewer replications, and the error bar says so.
        measure_variance(
            dim, max(20, arguments.replications // (1 if dim < 10 else 10)), points=200 if dim < 20 else 30
        )
        for dim in tqdm(replicated, desc="variances", unit="dimension")
    ]
    rows = fits(arguments)
    print(f"{'d':>3} {'Var/CR predicted':>17} {'found':>8}")
    for v in variances:
        print(f"{v.dim:3} {v.predicted:17.2f} {v.found:8.2f}")
    print(table(rows))
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = {**provenance(), "variances": [asdict(v) for v in variances], "fits": rows}
    (arguments.results / "dimensions.json").write_text(json.dumps(content, indent=2) + "\n")
    figure(variances, rows).savefig(arguments.results / "dimensions.png", dpi=130)


def fits(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Fit the noises, then every energy with every noise; one row each."""
    common = {"batch_size": arguments.batch_size, "log_partition_draws": 0}
    noises, games = [], []
    for dim in arguments.dims:
        data = {"data": f"mixtures-{dim}", "density": partial(product_of_mixtures, dim)}
        own = {**common, **data, "steps": arguments.steps, "evaluate_every": max(1, arguments.steps // 5)}
        for name in arguments.noises:
            start = NOISES[name]
            if name != "gaussian":
                steps = arguments.likelihood_steps
                likelihood = {"method": "mle", "steps": steps, "evaluate_every": max(1, steps // 3)}
                noises.append((f"noise, {name}", {**common, **data, **start, **likelihood}))
                start = {"init_noise": str(arguments.out / f"noise, {name}" / f"mixtures-{dim}-seed0")}
            for method, moves in METHODS.items():
                for energy in ("mlp", "tilted"):
                    games.append((f"{energy}, {name}, {moves}", {**own, **start, "method": method, "energy": energy}))
        chain = {"noise": "gaussian", "objective": "telescoping", "energy": "bridges"}
        games.append(("bridges, telescoping, held", {**own, **chain}))
    run_grid(noises, arguments.out, arguments.jobs)
    return [row(result) for result in run_grid(games, arguments.out, arguments.jobs)]


def row(result: Result) -> dict[str, Any]:
    """One line of the table."""
    energy, noise, moves = result.label.split(", ")
    keys = ("mse_log_prob_energy", "kl_energy", "mse_log_prob_noise", "kl_noise", "steps_energy", "seconds")
    shown = {key: result.summary[key] for key in keys}
    return {"dim": result.summary["event_shape"][0], "energy": energy, "noise": noise, "moves": moves, **shown}


def table(rows: list[dict[str, Any]]) -> str:
    """Mean squared error of log p of every energy, and the noise's KL, one column a dimension."""
    dims = sorted({r["dim"] for r in rows})
    lines = [f"{'mean squared error of log p (nats²)':40}" + "".join(f"{'d = ' + str(dim):>18}" for dim in dims)]
    for label in dict.fromkeys((r["energy"], r["noise"], r["moves"]) for r in rows):
        own = {r["dim"]: r for r in rows if (r["energy"], r["noise"], r["moves"]) == label}
        cells = [f"{_shown(own[d]['mse_log_prob_energy'])} (KL {_shown(own[d]['kl_noise'])})" for d in dims if d in own]
        lines.append(f"{', '.join(label):40}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join([*lines, "(KL of the noise from the data, nats)"])


def figure(variances: list[Variance], rows: list[dict[str, Any]]) -> Figure:
    """Theory's variance beside the errors of the fits, plain and tilted, over the dimension."""
    plot = Figure(figsize=(13, 4.4), layout="constrained")
    theory, plain, tilted = plot.subplots(1, 3)
    dims = range(1, 65)
    theory.plot(dims, [variance_ratio(dim) for dim in dims], color=COLORS["gaussian"], label="theory")
    spread = [v.found * (2 / v.replications) ** 0.5 for v in variances]
    places, found = [v.dim for v in variances], [v.found for v in variances]
    theory.errorbar(places, found, yerr=spread, fmt="o", color=COLORS["glow"], label="found")
    theory.set(yscale="log", xlabel="dimension", title="Gaussian NCE: variance over\nmaximum likelihood's")
    theory.legend(frameon=False)
    _draw(plain, [r for r in rows if r["energy"] != "tilted"], "energy: a network of its own")
    _draw(tilted, [r for r in rows if r["energy"] == "tilted"], "energy: the noise, tilted")
    for panel in (theory, plain, tilted):
        panel.grid(alpha=0.25)
    return plot


def _draw(panel: Axes, rows: list[dict[str, Any]], title: str) -> None:
    for noise, moves in dict.fromkeys((r["noise"], r["moves"]) for r in rows):
        own = sorted((r["dim"], r["mse_log_prob_energy"]) for r in rows if (r["noise"], r["moves"]) == (noise, moves))
        own = [(dim, error) for dim, error in own if error is not None]
        style = "o-" if moves == "held" else "D--"
        panel.plot(*zip(*own), style, color=COLORS[noise], ms=4, lw=1.2, label=f"{noise}, {moves}")
    panel.set(xscale="log", yscale="log", xlabel="dimension", title=f"mean squared error of log p, nats²\n{title}")
    ticks = sorted({r["dim"] for r in rows})
    panel.set_xticks(ticks, ticks)
    panel.minorticks_off()
    panel.legend(frameon=False, fontsize=7)


def _shown(value: float | None) -> str:
    return "inf" if value is None else f"{value:.2g}"


if __name__ == "__main__":
    main()
