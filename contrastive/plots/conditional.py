"""Pictures of a conditional density: some of its densities with what came, and whether they are calibrated."""

import numpy as np
import torch
from matplotlib.figure import Figure

from contrastive.metrics.conditional import conditional_transforms
from contrastive.numerics.random_state import seeded
from contrastive.plots.runs import COLORS, SERIES, FinishedRun
from contrastive.plots.text import literal
from contrastive.sampling import sample_given

_SHOWN, _DRAWS, _COLUMNS, _BINS = 6, 1_000, 3, 10
_LEVEL = 1.96  # normal quantile of the band


def conditional_figure(run: FinishedRun) -> Figure | None:
    """Predictions for six held-out rows beside what came, and histograms of the transforms; None without contexts."""
    k = run.estimator.scaling.num_given
    if not k:
        return None
    columns = min(_COLUMNS, len(run.columns) - k)
    figure = Figure(figsize=(9.3, 2.9 * columns), layout="constrained")
    panels = figure.subplots(columns, 2, squeeze=False, width_ratios=(2, 1))
    with seeded(0):
        _draw_predictions(run, panels[:, 0], k)
        _draw_transforms(run, panels[:, 1])
    figure.suptitle(literal(f"{run.title}: {_described(run.columns, k)}"), fontsize=11)
    return figure


def _draw_predictions(run: FinishedRun, panels: np.ndarray, k: int) -> None:
    """Densities of each column alone, from draws, of rows spread over the column's range; a tick is what came."""
    x = run.data
    order = x[:, 0].argsort()
    rows = x[order[torch.linspace(0, len(x) - 1, min(_SHOWN, len(x)) + 2).long()[1:-1]]]
    contexts = run.estimator.model_coordinates(rows)[:, -k:]
    draws = sample_given(run.estimator, _DRAWS, contexts).x.cpu().numpy()
    for column, panel in enumerate(panels):
        low, high = np.quantile(draws[:, :, column], (0.002, 0.998))
        bins = np.linspace(low, high, 81)
        for row, color in zip(range(len(rows)), SERIES):
            panel.hist(draws[:, row, column], bins=bins, density=True, histtype="step", color=color, linewidth=1.2)
            panel.axvline(float(rows[row, column]), color=color, linestyle=":", linewidth=1.4)
        panel.set(xlabel=literal(run.columns[column]), yticks=[])
        panel.tick_params(labelsize=7)
    panels[0].set_title(f"p(x | given) of {len(rows)} held-out rows; dotted: what came", fontsize=10)


def _draw_transforms(run: FinishedRun, panels: np.ndarray) -> None:
    """Flat where the densities are right; 5 % of the bars leave the band by chance alone."""
    transforms = conditional_transforms(run.estimator, run.data).cpu().numpy()
    share = 1 / _BINS
    error = _LEVEL * np.sqrt(share * (1 - share) / len(transforms)) * _BINS
    for column, panel in enumerate(panels):
        panel.hist(transforms[:, column], bins=_BINS, range=(0, 1), density=True, color=COLORS["energy"])
        for height in (max(0.0, 1 - error), 1 + error):
            panel.axhline(height, color="gray", linestyle="--", linewidth=1)
        panel.set_xlabel("share of draws below what came", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].set_title("calibration (band: 95 % for each bar)", fontsize=10)


def _described(columns: list[str], k: int) -> str:
    free, given = columns[:-k], columns[-k:]
    return f"{_some(free)} given {_some(given)}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
