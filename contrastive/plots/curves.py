"""Training curves: held-out and training figures over updates."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatter, ScalarFormatter

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
    "test_log_prob_energy": "mean log p, energy (nats)",
    "test_log_prob_noise": "mean log q, noise (nats)",
    "log_normalizer": "learned c",
}
#: The same figure at training rows, drawn beside it.
_TRAINING = {
    "accuracy": "train_accuracy",
    "test_log_prob_energy": "train_log_prob_energy",
    "test_log_prob_noise": "train_log_prob_noise",
}
_STEEP, _FEW = 20.0, 8


def curves_figure(runs: Sequence[FinishedRun]) -> Figure:
    """Training curves over updates, several runs in one; pre-training is left of 0.

    Every point is shown. Held-out figures are solid, those of training rows dashed; a dotted line marks the best update
    of a run with early stopping, the state of which is what the run ended with.
    """
    shown = [key for key in _PANELS if any(_points(run, key)[0] for run in runs)]
    if all(run.are_images for run in runs):  # the same in other units
        shown = [key for key in shown if not key.startswith("test_log_prob")]
    if not shown:
        return _nothing_trained()
    columns = 3
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(3.6 * columns, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, key in zip(panels, shown):
        _draw(panel, key, runs)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    _explain(figure, panels[0], runs)
    return figure


def _nothing_trained() -> Figure:
    figure = Figure(figsize=(5.4, 0.9), layout="constrained")
    figure.text(0.5, 0.5, "No updates were made: the model is its noise.", ha="center", va="center")
    return figure


def _draw(panel: Any, key: str, runs: Sequence[FinishedRun]) -> None:
    for number, run in enumerate(runs):
        color = SERIES[number % len(SERIES)]
        panel.plot(*_points(run, key), color=color, label=literal(run.title), linewidth=1.4)
        if key in _TRAINING:
            panel.plot(*_points(run, _TRAINING[key]), color=color, linewidth=1.2, linestyle="--")
        best = run.summary.get("best_update")
        if best is not None:
            panel.axvline(best - run.summary["pretrain_steps"], color=color, linestyle=":", linewidth=1)
    panel.set_title(_PANELS[key], fontsize=10)
    panel.set_xlabel("updates of both players", fontsize=8)
    panel.tick_params(labelsize=7, which="both")
    panel.grid(alpha=0.25)
    if key.startswith("mse"):
        panel.set_yscale("log")
        panel.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1.0, 0.4)))
        panel.yaxis.set_major_formatter(LogFormatter())
    else:
        keys = [key, _TRAINING[key]] if key in _TRAINING else [key]
        _show_all(panel, [_points(run, name)[1] for run in runs for name in keys])
    if key == "accuracy":
        panel.axhline(0.5, color="gray", linestyle=":", linewidth=1)
    if key == "value" and all(run.summary["noise_ratio"] == 1 for run in runs):
        panel.axhline(-math.log(4), color="gray", linestyle=":", linewidth=1)
        note = panel.text(0.02, -math.log(4), "−log 4: noise = data", transform=panel.get_yaxis_transform(), fontsize=7)
        note.set(clip_on=True, in_layout=False)


def _explain(figure: Figure, panel: Any, runs: Sequence[FinishedRun]) -> None:
    """A legend where there is anything to tell apart."""
    handles, labels = panel.get_legend_handles_labels() if len(runs) > 1 else ([], [])
    if any(_points(run, key)[0] for run in runs for key in _TRAINING.values()):
        handles += [Line2D([], [], color="gray"), Line2D([], [], color="gray", linestyle="--")]
        labels += ["held-out rows", "training rows"]
    if any(run.summary.get("best_update") is not None for run in runs):
        handles.append(Line2D([], [], color="gray", linestyle=":"))
        labels.append("best update, kept")
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def _show_all(panel: Any, curves: Sequence[Sequence[float]]) -> None:
    """A symmetric log scale where a few points would flatten the rest: none is cut off."""
    values = [y for curve in curves for y in curve if math.isfinite(y)]
    if len(values) < _FEW:
        return
    low, lower, upper, high = (_quantile(values, q) for q in (0.0, 0.25, 0.75, 1.0))
    usual = upper - lower
    if usual > 0 and max(lower - low, high - upper) > _STEEP * usual:
        panel.set_yscale("symlog", linthresh=max(abs(lower), abs(upper), usual))
        panel.yaxis.set_major_formatter(ScalarFormatter())


def _quantile(values: Sequence[float], q: float) -> float:
    """The value below which a share `q` of `values` lies."""
    ordered = sorted(values)
    return ordered[round(q * (len(ordered) - 1))]


def _points(run: FinishedRun, key: str) -> tuple[list[int], list[float]]:
    pretrained = run.summary["pretrain_steps"]
    pairs = [(line["updates"] - pretrained, line[key]) for line in run.metrics if _is_number(line.get(key))]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
