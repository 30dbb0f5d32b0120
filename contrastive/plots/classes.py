"""The classes of a run: each one's density on the plane, and how far its probabilities can be believed."""

import numpy as np
import torch
from matplotlib.figure import Figure

from contrastive.metrics.classification import predict_log_proba, reliability
from contrastive.plots.densities import add_color_bar, window
from contrastive.plots.runs import COLORS, SERIES, FinishedRun
from contrastive.plots.text import literal

_PIXELS = 160
_MOST_PANELS = 8


def calibration_figure(run: FinishedRun) -> Figure | None:
    """How often the predicted class is right over how probable it was said to be; None without test labels."""
    if run.labels is None or run.estimator.num_classes is None:
        return None
    known = run.labels >= 0
    if not bool(known.any()):
        return None
    found = reliability(predict_log_proba(run.estimator, run.data[known]).exp(), run.labels[known])
    bins = len(found.share)
    middles = (np.arange(bins) + 0.5) / bins
    figure = Figure(figsize=(4.6, 4.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.bar(middles, found.accuracy.nan_to_num(0.0), width=0.9 / bins, color=COLORS["energy"])
    upper.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
    error = found.expected_calibration_error
    upper.set(ylabel="share that is right", ylim=(0, 1), title=f"calibration: expected error {error:.3f}")
    lower.bar(middles, found.share, width=0.9 / bins, color=COLORS["data"])
    lower.set(xlabel="probability of the predicted class", ylabel="share of points", xlim=(0, 1))
    for panel in (upper, lower):
        panel.tick_params(labelsize=7)
    return figure


@torch.no_grad()
def class_figure(run: FinishedRun) -> Figure | None:
    """The density of each class, and which class is the likeliest where; None where data are no points of the plane."""
    count = run.estimator.num_classes
    if count is None or run.data.ndim != 2 or run.data.shape[1] != 2:
        return None
    extent = window(run)
    lines = [torch.linspace(low, high, _PIXELS, dtype=torch.float64) for low, high in (extent[:2], extent[2:])]
    points = torch.cartesian_prod(*lines)
    shown = min(count, _MOST_PANELS)
    log_p = torch.cat([run.estimator.class_log_prob(part)[:, :shown] for part in points.split(10_000)]).double()
    posterior = predict_log_proba(run.estimator, points).exp()
    names = run.summary.get("classes") or list(range(count))
    figure = Figure(figsize=(3.1 * (shown + 1), 3.3), layout="constrained")
    panels = figure.subplots(1, shown + 1, squeeze=False)[0]
    top = float(np.quantile(log_p.exp().numpy(), 0.999)) or 1.0
    for k, panel in enumerate(panels[:-1]):
        picture = log_p[:, k].exp().reshape(_PIXELS, _PIXELS).T.numpy()
        panel.imshow(picture, extent=extent, origin="lower", cmap="inferno", vmin=0, vmax=top, aspect="auto")
        panel.set_title(literal(f"p(x | {names[k]})"))
    add_color_bar(figure, panels[shown - 1])
    colors = np.array([[int(SERIES[k % len(SERIES)][i : i + 2], 16) / 255 for i in (1, 3, 5)] for k in range(count)])
    blend = (posterior.numpy() @ colors).reshape(_PIXELS, _PIXELS, 3).transpose(1, 0, 2)
    panels[-1].imshow(blend, extent=extent, origin="lower", aspect="auto")
    panels[-1].set_title("P(class | x)")
    for panel in panels:
        panel.set_xlabel(literal(run.columns[0]), fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].set_ylabel(literal(run.columns[1]), fontsize=8)
    return figure
