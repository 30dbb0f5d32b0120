"""Every noise that the registry knows, held and adapting, on one density: what each brings the energy, and its cost.

    python -m benchmarks.library.noises                                  # two spirals, 10,000 updates
    python -m benchmarks.library.noises --noises gaussian glow made --data checkerboard
    python -m benchmarks.library.noises --quick

A new plugin is in the table as soon as it is installed. Noises with parameters are pre-trained by maximum likelihood,
held or not; those that adapt do so along their paths, or by the score function where they have none.
"""

import json
from contextlib import suppress
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from benchmarks.lib.grid import Result, benchmark_parser, provenance, run_grid
from contrastive import AdaptiveNoise, ContrastiveError, available_noises, make_noise
from contrastive.protocols import is_discrete, trainable_parameters

#: Options of a name that make a noise of their own in the table.
VARIANTS: dict[str, dict[str, Any]] = {"glow, spline": {"noise": "glow", "noise_options": {"coupling": "spline"}}}


def main() -> None:
    """Fit, print the table, write table and plot."""
    parser = benchmark_parser(__doc__, "noises", quick="three noises, few updates, no results kept")
    parser.add_argument("--noises", nargs="+", help="[every one that can be made for points of the plane]")
    parser.add_argument("--data", default="two-spirals")
    parser.add_argument("--steps", type=int, default=10_000, help="updates of both players [10000]")
    parser.add_argument("--pretrain-steps", type=int, default=2_000, help="of a noise with parameters [2000]")
    parser.add_argument("--batch-size", type=int, default=256, help="[256]")
    arguments = parser.parse_args()
    common: dict[str, Any] = {"data": arguments.data, "steps": arguments.steps, "batch_size": arguments.batch_size}
    if arguments.quick:
        arguments.noises, arguments.results = ["uniform", "gaussian", "made"], arguments.out
        common |= {"steps": 40, "batch_size": 100}
        arguments.pretrain_steps, arguments.jobs = 20, 1
    grid, paths = [], {}
    for label, fields in _chosen(arguments.noises).items():
        model = make_noise(fields["noise"], event_shape=(2,), **fields.get("noise_options", {}))
        learns = bool(trainable_parameters(model))
        own = {**common, **fields, "pretrain_steps": arguments.pretrain_steps if learns else None}
        paths[label] = "path" if isinstance(model, AdaptiveNoise) else "score function"
        for method in ("nce", "fce") if learns else ("nce",):
            grid.append((f"{label}, {'held' if method == 'nce' else 'adapting'}", {**own, "method": method}))
    rows = [row(result, paths) for result in run_grid(grid, arguments.out, arguments.jobs)]
    print(f"{arguments.data}, {common['steps']} updates, batch {common['batch_size']}\n{table(rows)}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "noises.json").write_text(json.dumps({**provenance(), "rows": rows}, indent=2) + "\n")
    figure(rows, arguments.data).savefig(arguments.results / "noises.png", dpi=120)


def _chosen(names: list[str] | None) -> dict[str, dict[str, Any]]:
    """Settings by label: the names given, or every registered one over points of the plane, and the variants."""
    if names is not None:
        return {name: VARIANTS.get(name, {"noise": name}) for name in names}
    possible = {}
    for name in available_noises():
        with suppress(ContrastiveError):  # noises of images, and those that need options
            if not is_discrete(make_noise(name, event_shape=(2,))):
                possible[name] = {"noise": name}
    return {**possible, **{label: fields for label, fields in VARIANTS.items() if fields["noise"] in possible}}


def row(result: Result, paths: dict[str, str]) -> dict[str, Any]:
    """One line of the table."""
    label = result.label.rpartition(", ")[0]
    keys = ("mse_log_prob_energy", "kl_energy", "mse_log_prob_noise", "kl_noise")
    counts = ("steps_energy", "steps_noise", "skipped_steps", "seconds")
    return {
        "noise": label,
        "adapts": paths[label] if result.summary["method"] == "fce" else None,
        **{key: result.summary[key] for key in (*keys, *counts)},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as text, the best energy first."""
    head = f"{'noise':18} {'adapts by':15} {'EBM error':>10} {'EBM KL':>9} {'noise error':>12} {'noise KL':>9} "
    lines = [
        f"{r['noise']:18} {r['adapts'] or '–':15} {_number(r['mse_log_prob_energy']):>10} {_number(r['kl_energy']):>9} "
        f"{_number(r['mse_log_prob_noise']):>12} {_number(r['kl_noise']):>9} {r['steps_energy']:12} {r['seconds']:8.0f}"
        for r in sorted(rows, key=_error)
    ]
    return "\n".join([head + f"{'EBM updates':>12} {'seconds':>8}", *lines])


def figure(rows: list[dict[str, Any]], data: str) -> Figure:
    """Error of the energy beside the KL of its noise, one line a noise."""
    names = sorted({r["noise"] for r in rows}, key=lambda name: -min(_error(r) for r in rows if r["noise"] == name))
    plot = Figure(figsize=(9, 1.4 + 0.3 * len(names)), layout="constrained")
    panels = plot.subplots(1, 3, sharey=True)
    columns = {
        "mse_log_prob_energy": "energy: squared error of log p (nats²)",
        "kl_noise": "noise: KL from the data (nats)",
        "seconds": "seconds on one core",
    }
    for panel, (key, title) in zip(panels, columns.items()):
        for adapts, marker, color in ((False, "o", "#0072B2"), (True, "D", "#D55E00")):
            shown = [r for r in rows if bool(r["adapts"]) == adapts and r[key] is not None]
            places = [names.index(r["noise"]) for r in shown]
            label = "adapting (FCE)" if adapts else "held (NCE)"
            panel.plot([r[key] for r in shown], places, marker, color=color, label=label)
        panel.set(xscale="log", title=title)
        panel.title.set_size(9)
        panel.xaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.0, 0.3)))
        panel.xaxis.set_major_formatter(LogFormatter())
        panel.tick_params(axis="x", which="both", labelsize=7)
        panel.grid(alpha=0.25)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].legend(frameon=False, fontsize=8)
    plot.suptitle(data)
    return plot


def _error(row: dict[str, Any]) -> float:
    return float("inf") if row["mse_log_prob_energy"] is None else row["mse_log_prob_energy"]


def _number(value: float | None) -> str:
    return "inf" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
