"""A learned log-ratio at held-out rows: how far P(A | x) can be believed, and how far the samples are apart."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from contrastive.metrics.ratio import Calibration
from contrastive.plots.runs import COLORS

_SHARE = (0.001, 0.999)  # of the log-ratios that are shown


def ratio_figure(
    calibration: Calibration, at_a: Float[Tensor, " n"], at_b: Float[Tensor, "m *pairs"], *, names: tuple[str, str]
) -> Figure:
    """Share of A over P(A | x) with the weight of each bin, beside histograms of the log-ratio in both samples.

    Args:
        calibration: of held-out rows.
        at_a: log-ratios at rows of A.
        at_b: at rows of B, or at pairs.
        names: of both samples.
    """
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    bins = len(calibration.share)
    middles = (np.arange(bins) + 0.5) / bins
    left.bar(middles, calibration.observed.nan_to_num(0.0), width=0.9 / bins, color=COLORS["energy"], label="observed")
    left.step(np.arange(bins) / bins, calibration.share, where="post", color=COLORS["data"], label="share of rows")
    left.plot([0, 1], [0, 1], color="gray", linestyle=":", linewidth=1)
    error = calibration.expected_calibration_error
    left.set(xlabel=f"P({names[0]} | x)", ylabel=f"share of {names[0]}", xlim=(0, 1), ylim=(0, 1))
    left.set_title(f"calibration: expected error {error:.3f}")
    left.legend(frameon=False, fontsize=8)
    values = [at.flatten().double().numpy() for at in (at_a, at_b)]
    low, high = np.quantile(np.concatenate([np.quantile(v, _SHARE) for v in values]), (0, 1))
    edges = np.linspace(low, high if high > low else low + 1, 50)
    for v, name, color in zip(values, names, (COLORS["data"], COLORS["noise"])):
        right.hist(v, edges, density=True, histtype="step", linewidth=1.5, color=color, label=name)
    right.set(xlabel="log-ratio, nats", title="log-ratio of held-out rows", yticks=[])
    right.legend(frameon=False, fontsize=8)
    return figure
