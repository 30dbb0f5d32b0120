"""Data, energy and noise side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from contrastive.numerics.random_state import seeded
from contrastive.plots.images import image_figure
from contrastive.plots.runs import COLORS, FinishedRun
from contrastive.plots.text import literal
from contrastive.sampling import resample

_PIXELS = 220
_PAIRS = 4
_DRAWS = 2_000
_OF_BOTH = "density (per unit of both columns)"


def density_figure(run: FinishedRun) -> Figure:
    """Density panels where the data are points of the plane, samples of images, pairs of columns elsewhere."""
    if run.are_images:
        return image_figure(run)
    d = run.data[0].numel()
    if run.data.ndim == 2 and d == 2:
        return _plane(run)
    return _line(run) if d == 1 else _pairs(run)


@torch.no_grad()
def _plane(run: FinishedRun) -> Figure:
    extent = window(run)
    line_x = torch.linspace(extent[0], extent[1], _PIXELS, dtype=torch.float64)
    line_y = torch.linspace(extent[2], extent[3], _PIXELS, dtype=torch.float64)
    points = torch.cartesian_prod(line_x, line_y)

    def image(log_prob: Callable[[Tensor], Tensor]) -> Any:
        log_p = torch.cat([log_prob(part) for part in points.split(10_000)])
        return log_p.double().exp().reshape(_PIXELS, _PIXELS).T.numpy()

    energy, noise = image(run.estimator.log_prob), image(run.estimator.noise_log_prob)
    titles = ["data", "energy-based model", f"noise ({run.summary['noise']})"]
    images = [None, energy, noise]
    if run.truth is not None:
        titles.append("truth")
        images.append(image(run.truth.log_prob))
    # One scale for all, from the truth or the energy: a spike elsewhere must not darken the rest.
    top = float(np.quantile(images[-1] if run.truth is not None else energy, 0.999)) or 1.0
    figure = Figure(figsize=(3.1 * len(titles), 3.4), layout="constrained")
    panels = figure.subplots(1, len(titles), squeeze=False)[0]
    for panel, title, picture in zip(panels, titles, images):
        if picture is None:
            panel.set_facecolor("black")
            x = run.data[:_DRAWS].numpy()
            panel.scatter(x[:, 0], x[:, 1], s=1.5, color="#ffe9b0", alpha=0.7, linewidths=0)
        else:
            panel.imshow(picture, extent=extent, origin="lower", cmap="inferno", vmin=0, vmax=top, aspect="auto")
        panel.set(xlim=extent[:2], ylim=extent[2:], title=literal(title))
        panel.set_xlabel(literal(run.columns[0]), fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0].set_ylabel(literal(run.columns[1]), fontsize=8)
    given = run.estimator.scaling.num_given
    add_color_bar(figure, panels[-1], f"density of {run.columns[0]} given {run.columns[1]}" if given else _OF_BOTH)
    figure.suptitle(literal(run.title), fontsize=11)
    return figure


def add_color_bar(figure: Figure, panel: Any, label: str = _OF_BOTH) -> None:
    """The scale of a density's picture, which all panels share; the top colour stands for all that is above it."""
    bar = figure.colorbar(panel.images[0], ax=panel, extend="max", fraction=0.08, pad=0.03)
    bar.set_label(literal(label), fontsize=8)
    bar.ax.tick_params(labelsize=7)


@torch.no_grad()
def _line(run: FinishedRun) -> Figure:
    x = run.data.reshape(-1).double()
    low, high = float(x.quantile(0.001)), float(x.quantile(0.999))
    margin = 0.15 * (high - low)
    line = torch.linspace(low - margin, high + margin, 600, dtype=torch.float64)
    points = line.reshape(-1, *run.data.shape[1:])
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    panel = figure.subplots()
    panel.hist(x.numpy(), bins=60, range=(low, high), density=True, color=COLORS["data"], alpha=0.3, label="data")
    panel.plot(line, run.estimator.log_prob(points).double().exp(), color=COLORS["energy"], label="energy-based model")
    panel.plot(line, run.estimator.noise_log_prob(points).double().exp(), color=COLORS["noise"], label="noise")
    panel.set(xlabel=literal(run.columns[0]), ylabel="density", title=literal(run.title))
    panel.legend(frameon=False)
    return figure


@torch.no_grad()
def _pairs(run: FinishedRun) -> Figure:
    data = run.data.reshape(len(run.data), -1).double()
    n = min(_DRAWS, max(len(data), 500))
    with seeded(0):
        noise = run.estimator.sample_noise(n).reshape(n, -1)
        drawn = resample(run.estimator, n)
        energy = drawn.x.reshape(n, -1)
    pairs = _strongest_pairs(data)
    figure = Figure(figsize=(9.3, 2.7 * len(pairs)), layout="constrained")
    panels = figure.subplots(len(pairs), 3, squeeze=False)
    for row, (i, j) in zip(panels, pairs):
        for panel, (role, x) in zip(row, {"data": data, "energy": energy, "noise": noise}.items()):
            panel.scatter(x[:, i], x[:, j], s=5, color=COLORS[role], alpha=0.5, linewidths=0)
            panel.set(xlim=_range(data[:, i]), ylim=_range(data[:, j]))
            panel.set_xlabel(literal(run.columns[i]), fontsize=8)
            panel.tick_params(labelsize=7)
        row[0].set_ylabel(literal(run.columns[j]), fontsize=8)
    # Few effective draws: the noise is far from the energy, and its picture repeats them.
    effective = f"energy-based model (resampled,\n{drawn.effective_sample_size:.0f} effective draws)"
    for panel, title in zip(panels[0], ("data (held out)", effective, f"noise ({run.summary['noise']})")):
        panel.set_title(literal(title), fontsize=10)
    figure.suptitle(literal(f"{run.title}: the most dependent pairs of {data.shape[1]} columns"), fontsize=11)
    return figure


def _strongest_pairs(data: Tensor) -> list[tuple[int, int]]:
    """Pairs of columns with strong but not trivial rank correlation, each column at most once."""
    ranks = data.argsort(0).argsort(0).double()
    correlation = torch.corrcoef(ranks.T).abs().nan_to_num(0.0)
    d = len(correlation)
    order = sorted(
        ((float(correlation[i, j]), i, j) for i in range(d) for j in range(i + 1, d)),
        key=lambda entry: -entry[0] if entry[0] < 0.97 else 0.0,
    )
    chosen: list[tuple[int, int]] = []
    for _, i, j in order:
        if not any({i, j} & set(pair) for pair in chosen):
            chosen.append((i, j))
    return chosen[:_PAIRS]


def window(run: FinishedRun) -> tuple[float, float, float, float]:
    """(x min, x max, y min, y max) of a picture of the plane."""
    if run.truth is not None:
        # Extents hold all but a millionth of the mass, which for long tails is mostly empty: look at the data too.
        extent = run.truth.extent
        x, y = _range(run.data[:, 0]), _range(run.data[:, 1])
        return max(extent[0], x[0]), min(extent[1], x[1]), max(extent[2], y[0]), min(extent[3], y[1])
    return (*_range(run.data[:, 0]), *_range(run.data[:, 1]))


def _range(x: Tensor) -> tuple[float, float]:
    low, high = (float(x.double().quantile(q)) for q in (0.002, 0.998))
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin
