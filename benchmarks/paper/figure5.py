"""Figure 5 of Gao et al. (2020): two spirals, seven labels a class; densities of both classes, and who else finds them.

    python -m benchmarks.paper.figure5                                  # five seeds
    python -m benchmarks.paper.figure5 --seeds 1
    python -m benchmarks.paper.figure5 --quick

The goal: at least 99 % of 10,000 fresh points right, median over the seeds. A seed picks other labels and other
starts. Every fit is a run under --out; a stopped benchmark goes on where it was. scikit-learn's methods get the same
14 labels and 10,000 unlabelled points, where contrast sees fresh ones at every update.
"""

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.lib.few_labels import PEERS, peer_errors
from benchmarks.lib.grid import Result, benchmark_parser, provenance, read_result, run_all
from contrastive.config import configure
from contrastive.core.estimator import Estimator
from contrastive.data.densities import make_density
from contrastive.data.preparation import prepare, read_rows
from contrastive.training.callbacks import Callback, Running
from contrastive.training.run import go_on, train
from contrastive.training.run_directory import RunDirectory

_FLOW: dict[str, Any] = {"noise": "glow", "noise_options": {"depth": 6, "width": 64}, "pretrain_steps": 300}
_GAME: dict[str, Any] = {**_FLOW, "method": "fce", "energy_steps": 300, "steps": 1000}
_SMOOTH = {"vat_weight": 1.0, "vat_epsilon": 0.3}
_ALONE: dict[str, Any] = {"noise": "gaussian", "contrast_weight": 0.0, "steps": 1300}
SETTINGS: dict[str, dict[str, Any]] = {
    "supervised": _ALONE,
    "VAT": {**_ALONE, **_SMOOTH},
    "FCE": _GAME,
    "FCE + VAT": {**_GAME, **_SMOOTH},
}
MAIN, GOAL = "FCE + VAT", 0.01
_TEST, _UNLABELLED, _UNLABELLED_SEED = 10_000, 10_000, 77
_PIXELS, _SHOWN = 120, 4


def main() -> None:
    """Fit, print the table, write table and picture."""
    parser = benchmark_parser(__doc__, "figure5", quick="one seed, few updates, small flow, no results kept")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), metavar="NAME", help="rows to make [all]")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    settings = {name: SETTINGS[name] for name in arguments.settings or SETTINGS}
    unlabelled = _UNLABELLED
    if arguments.quick:
        arguments.seeds, arguments.jobs, arguments.results, unlabelled = 1, 1, arguments.out, 300
        small = {"steps": 8, "batch_size": 50, "energy_options": {"widths": [16]}, "evaluate_every": 4}
        flow = {"noise_options": {"depth": 2, "width": 8}, "pretrain_steps": 4, "energy_steps": 4}
        settings = {name: {**s, **small, **(flow if "FCE" in name else {})} for name, s in settings.items()}
    results = _run(settings, arguments)
    peers = [_peers(seed, unlabelled) for seed in range(arguments.seeds)]
    rows = [_row(name, [r for r in results if r.label == name]) for name in settings]
    rows += [_summary(name, [errors[name] for errors in peers]) for name in PEERS]
    print(_table(rows, arguments.seeds))
    arguments.results.mkdir(parents=True, exist_ok=True)
    content = {**provenance(), "goal": GOAL, "labels_per_class": 7, "test_points": _TEST, "rows": rows}
    (arguments.results / "figure5.json").write_text(json.dumps(content, indent=2) + "\n")
    shown = next((r for r in results if r.label == MAIN), None)
    if shown is not None:
        _figure(shown).savefig(arguments.results / "figure5.png", dpi=130)


def _run(settings: dict[str, dict[str, Any]], arguments: Any) -> list[Result]:
    common = {
        "data": "two-spirals", "labels_per_class": 7, "batch_size": 400, "evaluate_every": 250,
        "test_rows": _TEST, "log_partition_draws": 0,
    }  # fmt: skip
    labels, calls = [], []
    for seed in range(arguments.seeds):
        for name, fields in settings.items():
            path = arguments.out / name.replace(" ", "") / f"two-spirals-seed{seed}"
            own = {**common, **fields, "seed": seed, "label_seed": seed}
            labels.append(name)
            calls.append((own, path, name == MAIN and seed == 0))
    run_all(_fit, calls, arguments.jobs, name="figure5")
    return [read_result(name, path) for name, (_, path, _) in zip(labels, calls)]


def _fit(fields: dict[str, Any], path: Path, pictured: bool) -> None:
    directory = RunDirectory(path)
    if directory.is_finished:
        return
    callbacks = [_Pictures(path)] if pictured else []
    if directory.config_path.exists():
        go_on(path, callbacks=callbacks)
    else:
        train(configure(**fields, out=str(path)), fields["data"], callbacks=callbacks)


class _Pictures(Callback):
    """Keeps what the models look like at each evaluation, the moving ones rather than their averages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_evaluation(self, trainer: Running, metrics: dict[str, Any]) -> None:
        """One file an evaluation."""
        if metrics["stage"] != "pretrain":
            trainer.estimator.eval()
            pictures = _densities(trainer.estimator)
            trainer.estimator.train()
            np.savez(self.path / f"picture-{metrics['updates']:06}.npz", **pictures)


def _grid() -> torch.Tensor:
    extent = make_density("two-spirals").extent
    lines = [torch.linspace(low, high, _PIXELS, dtype=torch.float64) for low, high in (extent[:2], extent[2:])]
    return torch.cartesian_prod(*lines)


@torch.no_grad()
def _densities(estimator: Estimator) -> dict[str, Any]:
    points = _grid()
    classes = estimator.class_log_prob(points)
    pictures = {
        "mixture": estimator.log_prob(points),
        "flow": estimator.noise_log_prob(points),
        "class 0": classes[:, 0],
        "class 1": classes[:, 1],
    }
    return {name: log_p.double().exp().reshape(_PIXELS, _PIXELS).T.numpy() for name, log_p in pictures.items()}


def _peers(seed: int, unlabelled: int) -> dict[str, float | None]:
    """scikit-learn's methods on the labels of this seed."""
    few = prepare("two-spirals", configure(labels_per_class=7, label_seed=seed, batch_size=14)).source
    batch = next(few.batches(14, 0, 0)).labelled
    assert batch is not None
    torch.manual_seed(_UNLABELLED_SEED + seed)
    more = make_density("two-spirals").sample(torch.Size([unlabelled]))
    x = torch.cat([batch.z, more]).double().numpy()
    y = np.concatenate([batch.y.numpy(), np.full(unlabelled, -1)])
    fresh, fresh_y = read_rows("two-spirals", configure(), (2,), classes=[0, 1])
    assert fresh_y is not None
    return peer_errors(x, y, fresh[:_TEST].double().numpy(), fresh_y[:_TEST].numpy())


def _row(name: str, results: list[Result]) -> dict[str, Any]:
    keys = ("test_log_loss", "test_calibration_error", "mse_log_prob_energy", "kl_noise", "seconds")
    trained = "FCE" in name  # without contrast the energy is no density
    figures = {
        key: median(r.summary[key] for r in results) for key in keys if trained or not key.startswith(("mse", "kl"))
    }
    return {**_summary(name, [r.summary["test_error"] for r in results]), **figures}


def _summary(name: str, errors: list[float | None]) -> dict[str, Any]:
    known = [math.inf if error is None else error for error in errors]
    return {"setting": name, "median_error": median(known), "errors": errors}


def _table(rows: list[dict[str, Any]], seeds: int) -> str:
    lines = [f"two spirals, 7 labels a class, {_TEST} fresh points, median of {seeds} seeds"]
    lines.append(f"{'':34} {'error':>8}   each seed")
    for r in rows:
        each = " ".join("–" if error is None else f"{error:.4f}" for error in r["errors"])
        lines.append(f"{r['setting']:34} {r['median_error']:8.4f}   {each}")
    return "\n".join(lines)


def _figure(result: Result) -> Figure:
    """Rows: mixture of the energy, flow, both classes; columns: updates."""
    files = sorted(result.path.glob("picture-*.npz"))
    chosen = sorted({round(i) for i in np.linspace(0, len(files) - 1, _SHOWN)})
    names = {
        "mixture": "energy, both classes",
        "flow": "flow",
        "class 0": "energy, class 0",
        "class 1": "energy, class 1",
    }
    density = make_density("two-spirals")
    top = float(density.log_prob(_grid()).exp().quantile(0.999))
    few = next(prepare("two-spirals", configure(labels_per_class=7)).source.batches(14, 0, 0)).labelled
    assert few is not None
    figure = Figure(figsize=(2.4 * len(chosen), 9.6), layout="constrained")
    panels = figure.subplots(4, len(chosen), squeeze=False, sharex=True, sharey=True)
    errors = {line["updates"]: line.get("test_error") for line in result.metrics}
    for column, index in enumerate(chosen):
        pictures = np.load(files[index])
        updates = int(files[index].stem.removeprefix("picture-"))
        for row, (key, title) in enumerate(names.items()):
            panel = panels[row, column]
            scale = top if row < 2 else 2 * top  # a class has its mass on half the curve
            panel.imshow(pictures[key], extent=density.extent, origin="lower", cmap="inferno", vmin=0, vmax=scale)
            panel.set(xticks=[], yticks=[])
            if row > 1:
                own = few.z[few.y == row - 2].numpy()
                panel.scatter(own[:, 0], own[:, 1], s=14, color="#56B4E9", edgecolors="white", linewidths=0.5)
            if column == 0:
                panel.set_ylabel(title)
        panels[0, column].set_title(f"{updates} updates\nlabel error {errors[updates]:.4f}", fontsize=9)
    return figure


if __name__ == "__main__":
    main()
