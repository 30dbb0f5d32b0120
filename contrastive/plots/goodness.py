"""Data against samples of the model: a corner plot, and histograms of the probability-integral transform."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from contrastive.metrics.goodness import Goodness
from contrastive.plots.runs import COLORS
from contrastive.plots.text import literal

_MOST_COLUMNS = 6
_POINTS = 1_000
_BINS, _PIT_BINS = 30, 20


def corner_figure(data: Float[Tensor, "n *event"], samples: Float[Tensor, "m *event"], goodness: Goodness) -> Figure:
    """Marginals on the diagonal, pairs of columns below: at most six columns, those with the smallest p-values.

    Args:
        data: held-out rows.
        samples: of the model.
        goodness: of the two; it has the columns' names.
    """
    shown = _worst(goodness)
    x, y = (rows.detach().cpu().double().flatten(1).numpy() for rows in (data, samples))
    d = len(shown)
    inches = max(2.2 * d, 4.0)
    figure = Figure(figsize=(inches, inches), layout="constrained")
    panels = figure.subplots(d, d, squeeze=False)
    for row, i in enumerate(shown):
        for column, j in enumerate(shown):
            panel = panels[row, column]
            if column > row:
                panel.set_visible(False)
                continue
            if row == column:
                _marginals(panel, x[:, i], y[:, i])
            else:
                _pairs(panel, x[:, [j, i]], y[:, [j, i]])
            panel.set_xlim(_range(x[:, j], y[:, j]))
            panel.tick_params(labelsize=7)
            if row == d - 1:
                panel.set_xlabel(literal(goodness.columns[j].name), fontsize=8)
            if column == 0 and row > 0:
                panel.set_ylabel(literal(goodness.columns[i].name), fontsize=8)
    _legend(figure)
    return figure


def pit_figure(data: Float[Tensor, "n *event"], samples: Float[Tensor, "m *event"], goodness: Goodness) -> Figure:
    """Histograms of the probability-integral transform of the data through the samples: flat where the model is right.

    Shown are the columns of `corner_figure`; a right model's bar lies between the dashed lines with 95 % probability.

    Args:
        data: held-out rows.
        samples: of the model.
        goodness: of the two.
    """
    shown = _worst(goodness)
    x, y = (rows.detach().cpu().double().flatten(1).numpy() for rows in (data, samples))
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure = Figure(figsize=(max(2.6 * across, 4.0), 2.1 * down + 0.3), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).flatten()
    share = 1 / _PIT_BINS
    error = 1.96 * np.sqrt(share * (1 - share) * (1 / len(x) + 1 / len(y))) * _PIT_BINS
    for panel, i in zip(panels, shown):
        transform = np.searchsorted(np.sort(y[:, i]), x[:, i], side="right") / len(y)
        panel.hist(transform, bins=_PIT_BINS, range=(0, 1), density=True, color=COLORS["energy"])
        for height in (max(0.0, 1 - error), 1 + error):
            panel.axhline(height, color="gray", linestyle="--", linewidth=1)
        panel.set_title(literal(f"{goodness.columns[i].name} (p = {goodness.columns[i].p_value:.2g})"), fontsize=9)
        panel.tick_params(labelsize=7)
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    figure.supxlabel("share of samples below the row", fontsize=8)
    figure.supylabel("density", fontsize=8)
    return figure


def _worst(goodness: Goodness) -> Sequence[int]:
    """Columns to show, in their order."""
    by_p = sorted(range(len(goodness.columns)), key=lambda i: goodness.columns[i].p_value)
    return sorted(by_p[:_MOST_COLUMNS])


def _marginals(panel: Any, x: np.ndarray, y: np.ndarray) -> None:
    bins = np.linspace(*_range(x, y), _BINS)
    panel.hist(x, bins=bins, density=True, color=COLORS["data"], alpha=0.4)
    panel.hist(y, bins=bins, density=True, color=COLORS["energy"], histtype="step", linewidth=1.4)
    panel.set_yticks([])


def _pairs(panel: Any, x: np.ndarray, y: np.ndarray) -> None:
    n = min(len(x), len(y), _POINTS)  # as many of each: the denser cloud would hide the other
    for role, rows in (("energy", y), ("data", x)):
        rows = rows[np.linspace(0, len(rows) - 1, n).astype(int)]
        panel.scatter(rows[:, 0], rows[:, 1], s=7, color=COLORS[role], alpha=0.5, linewidths=0)
    panel.set_ylim(_range(x[:, 1], y[:, 1]))


def _range(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """What holds 99.6 % of both, with a margin."""
    pairs = [np.quantile(part, (0.002, 0.998)) for part in (x, y)]
    low, high = float(min(pair[0] for pair in pairs)), float(max(pair[1] for pair in pairs))
    margin = 0.1 * (high - low) or 1.0
    return low - margin, high + margin


def _legend(figure: Figure) -> None:
    handles = [Line2D([], [], color=COLORS[role], marker="o", linestyle="") for role in ("data", "energy")]
    figure.legend(handles, ["data (held out)", "samples of the model"], loc="upper right", frameon=False, fontsize=9)
