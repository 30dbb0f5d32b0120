"""What happened during training."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from contrastive.plots.runs import SERIES, FinishedRun
from contrastive.plots.text import literal

_PANELS = {
    "value": "value V (nats)",
    "accuracy": "accuracy",
    "test_error": "label error",
    "test_log_loss": "label log-loss (nats)",
    "mse_log_prob_energy": "error of log p, energy (nats²)",
    "bits_per_dim_energy": "held-out bits/dim, energy",
    "bits_per_dim_noise": "held-out bits/dim, noise",
    "test_log_prob_energy": "held-out log p, energy (nats)",
    "test_log_prob_noise": "held-out log q, noise (nats)",
    "log_normalizer": "learned c",
}


def curves_figure(runs: Sequence[FinishedRun]) -> Figure:
    """Training curves over updates, several runs in one; pre-training is left of 0."""
    shown = [key for key in _PANELS if any(_points(run, key)[0] for run in runs)]
    if all(run.are_images for run in runs):  # the same in other units
        shown = [key for key in shown if not key.startswith("test_log_prob")]
    columns = 3
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, key in zip(panels, shown):
        for number, run in enumerate(runs):
            x, y = _points(run, key)
            panel.plot(x, y, color=SERIES[number % len(SERIES)], label=literal(run.title), linewidth=1.4)
        panel.set_title(_PANELS[key], fontsize=10)
        panel.set_xlabel("updates of both players", fontsize=8)
        panel.tick_params(labelsize=7, which="both")
        panel.grid(alpha=0.25)
        if key.startswith("mse"):
            panel.set_yscale("log")
            panel.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.0, 0.4)))
            panel.yaxis.set_major_formatter(LogFormatter())
        else:
            _ignore_the_start(panel, [_points(run, key)[1] for run in runs])
        if key == "accuracy":
            panel.axhline(0.5, color="gray", linestyle=":", linewidth=1)
        if key == "value" and all(run.summary["noise_ratio"] == 1 for run in runs):
            panel.axhline(-math.log(4), color="gray", linestyle=":", linewidth=1)
            note = panel.text(
                0.02, -math.log(4), "−log 4: noise = data", transform=panel.get_yaxis_transform(), fontsize=7
            )
            note.set(clip_on=True, in_layout=False)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    if len(runs) > 1 and shown:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _points(run: FinishedRun, key: str) -> tuple[list[int], list[float]]:
    pretrained = run.summary["pretrain_steps"]
    pairs = [(line["updates"] - pretrained, line[key]) for line in run.metrics if _is_number(line.get(key))]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ignore_the_start(panel: Any, curves: list[list[float]]) -> None:
    """Limits from the last four fifths of the curves: the first steps would flatten the rest."""
    late = [y for curve in curves for y in curve[len(curve) // 5 :]]
    if late and max(late) > min(late):
        margin = 0.3 * (max(late) - min(late))
        panel.set_ylim(min(late) - margin, max(late) + margin)
