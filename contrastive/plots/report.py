"""One self-contained HTML file over finished runs."""

import base64
import io
import platform
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from matplotlib.figure import Figure

from contrastive.errors import missing_extra
from contrastive.plots.classes import calibration_figure, class_figure
from contrastive.plots.curves import curves_figure
from contrastive.plots.densities import density_figure
from contrastive.plots.images import memory_figure
from contrastive.plots.runs import FinishedRun
from contrastive.version import __version__

try:
    from jinja2 import Environment
except ImportError as error:
    raise missing_extra("reports need", "report", error) from error

#: Columns of the summary table: key, heading, format.
_COLUMNS = [
    ("steps_energy", "energy updates", "{:,}"),
    ("steps_noise", "noise updates", "{:,}"),
    ("bits_per_dim_energy", "bits/dim, energy", "{:.4f}"),
    ("bits_per_dim_energy_normalized", "bits/dim, energy, by the upper log Z", "{:.4f}"),
    ("bits_per_dim_noise", "bits/dim, noise", "{:.4f}"),
    ("test_log_prob_energy", "log p, energy", "{:.4f}"),
    ("train_log_prob_energy", "log p, energy, training rows", "{:.4f}"),
    ("test_log_prob_noise", "log q, noise", "{:.4f}"),
    ("train_log_prob_noise", "log q, noise, training rows", "{:.4f}"),
    ("test_log_prob_gaussian", "log q, Gaussian", "{:.4f}"),
    ("mse_log_prob_energy", "error of log p, energy", "{:.5f}"),
    ("mse_log_prob_noise", "error of log p, noise", "{:.4f}"),
    ("kl_energy", "KL, energy", "{:.5f}"),
    ("kl_noise", "KL, noise", "{:.4f}"),
    ("log_normalizer", "learned c", "{:.4f}"),
    ("log_partition_interval", "log Z, 95 %", "{}"),
    ("test_log_prob_energy_normalized", "log p, energy, upper log Z", "{:.4f}"),
    ("value", "value V", "{:.4f}"),
    ("accuracy", "accuracy", "{:.3f}"),
    ("overlap", "overlap of noise and energy", "{:.3f}"),
    ("relative_ess", "relative ESS of the data's weights", "{:.3f}"),
    ("twice_jsd", "2 JSD, nats", "{:.3f}"),
    ("noise_spread", "noise's spread / data's", "{:.2f}"),
    ("labelled_rows", "labelled rows", "{:,}"),
    ("test_error", "label error", "{:.4f}"),
    ("test_log_loss", "label log-loss, nats", "{:.4f}"),
    ("test_calibration_error", "calibration error", "{:.4f}"),
    ("skipped_steps", "skipped updates", "{:,}"),
    ("seconds", "seconds", "{:.0f}"),
]

#: In the first lines of every report.
_TITLE = "<title>contrastive: report</title>"


def render_report(runs: Sequence[FinishedRun]) -> str:
    """The report as HTML: a summary table, and for each data set its curves and each run's densities."""
    template = Environment(autoescape=True).from_string(
        files("contrastive.plots").joinpath("report.html").read_text(encoding="utf-8")
    )
    columns = [column for column in _COLUMNS if any(_figures(run).get(column[0]) is not None for run in runs)]
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(str(run.summary["data"]), []).append(run)
    return template.render(
        headings=[heading for _, heading, _ in columns],
        groups=[
            {
                "data": data,
                "curves": _embedded(curves_figure(members)),
                "runs": [_shown(run, columns) for run in members],
            }
            for data, members in groups.items()
        ],
        versions=f"contrastive {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        date=f"{datetime.now(UTC):%Y-%m-%d}",
    )


def is_report(path: Path) -> bool:
    """Whether the file at `path` is a report that `render_report` made."""
    try:
        with path.open(encoding="utf-8") as handle:
            return _TITLE in handle.read(2_000)
    except (OSError, ValueError):
        return False


def _shown(run: FinishedRun, columns: list[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "title": run.title,
        "method": run.method,
        "sentence": _sentence(run),
        "cells": [_cell(_figures(run).get(key), form) for key, _, form in columns],
        "normalizer": _normalizer_sentence(run.summary),
        "densities": _embedded(density_figure(run)),
        "classes": _embedded_if_any(class_figure(run)),
        "calibration": _embedded_if_any(calibration_figure(run)),
        "picture": "Samples" if run.are_images else "Densities",
        "memory": _embedded(memory_figure(run)) if run.training_images is not None else None,
        "grids": [
            {"name": name, "png": base64.b64encode(path.read_bytes()).decode("ascii")}
            for name, path in _first_middle_last(run.sample_grids)
        ],
        "config": yaml.safe_dump(run.config, sort_keys=False),
        "command": f"contrastive fit --config {shlex.quote(f'{run.path}/config.yaml')} --out NEW",
    }


def _figures(run: FinishedRun) -> dict[str, Any]:
    """The summary, and the interval of log Z as one figure."""
    low, high = run.summary.get("log_partition_low"), run.summary.get("log_partition_high")
    if low is None or high is None:
        return run.summary
    pairs = zip(low, high) if isinstance(low, list) else [(low, high)]
    return {**run.summary, "log_partition_interval": ", ".join(f"[{a:.4f}, {b:.4f}]" for a, b in pairs)}


def _normalizer_sentence(summary: dict[str, Any]) -> str:
    """What is known of log Z; empty for a run without it."""
    verdicts = summary.get("log_partition_verdict")
    if verdicts is None:
        return ""
    if summary.get("log_partition") is None:
        return f"log Z has no estimate: {verdicts}."
    keys = ("log_partition", "log_partition_method", "log_normalizer", "log_partition_verdict")
    columns = [summary[key] if isinstance(verdicts, list) else [summary[key]] for key in keys]
    sentences = []
    for k, (log_z, method, c, verdict) in enumerate(zip(*columns)):
        label = f" of class {k}" if len(columns[0]) > 1 else ""
        sentences.append(f"log Z{label} = {log_z:.4f} by {method} (learned c: {c:.4f}): {verdict}.")
    return " ".join(sentences)


def _first_middle_last(grids: Sequence[Path]) -> list[tuple[str, Path]]:
    picked = sorted({0, len(grids) // 2, len(grids) - 1}) if grids else []
    return [(f"after {int(grids[i].stem):,} updates", grids[i]) for i in picked]


def _image_sentence(run: FinishedRun) -> str:
    summary = run.summary
    channels, height, width = summary["event_shape"]
    colour = "colour" if channels == 3 else "gray"
    begin = (
        f"A density on {colour} images of {height} x {width} pixels, estimated by {run.method} in "
        f"{summary['steps']:,} updates. On {summary['test_rows']:,} held-out images the noise needs "
        f"{summary['bits_per_dim_noise']:.3f} bits per dimension"
    )
    if summary["method"] == "mle":
        return f"{begin}."
    upper = summary.get("bits_per_dim_energy_normalized")
    by_upper = "" if upper is None else f" ({upper:.3f} by the upper end of log Z)"
    return f"{begin}, the energy {summary['bits_per_dim_energy']:.3f} with the learned c{by_upper}."


def _sentence(run: FinishedRun) -> str:
    summary = run.summary
    beware = f" Beware: {warning}." if (warning := summary.get("noise_warning")) else ""
    if run.are_images:
        return _image_sentence(run) + _stopping(summary) + beware
    gain = (summary["test_log_prob_energy"] or 0) - (summary["test_log_prob_noise"] or 0)
    better = "above" if gain > 0 else "below"
    where = (
        f"{len(run.columns)} columns" if len(run.columns) > 2 else "the plane" if len(run.columns) == 2 else "the line"
    )
    error = summary.get("test_gain_error")
    spread = "" if error is None else f" (standard error {error:.3f})"
    return (
        f"A density on {where}, estimated by {run.method} in {summary['steps']:,} updates: on {summary['test_rows']:,} "
        f"held-out points the energy's mean log-density is {abs(gain):.3f} nats {better} the noise's{spread}."
        f"{_stopping(summary)}{beware}"
    )


def _stopping(summary: dict[str, Any]) -> str:
    """Which state early stopping kept; empty without it."""
    best = summary.get("best_update")
    if best is None:
        return ""
    end = " It stopped early, without gain on the rows held out for that." if summary["stopped_early"] else ""
    return f"{end} The state of update {best:,} was the best on held-out rows, and is the one reported."


def _cell(value: Any, form: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(form.format(entry) for entry in value)
    return form.format(value)


def _embedded_if_any(figure: Figure | None) -> str:
    return "" if figure is None else _embedded(figure)


def _embedded(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
