"""Report and figures of finished runs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from contrastive.api import load
from contrastive.config import to_sections
from contrastive.core.estimator import Estimator
from contrastive.data.densities import available_densities, make_density
from contrastive.data.images import ImageSource, PixelScaling
from contrastive.data.preparation import Prepared
from contrastive.errors import ContrastiveError, warn
from contrastive.io.atomic import write_atomically
from contrastive.io.checkpoints import write_text
from contrastive.metrics.goodness import FEWEST_ROWS, Goodness, goodness_of_fit
from contrastive.metrics.model_samples import ModelSamples, quick_samples
from contrastive.numerics.row_weights import rows_by_weight, thinned
from contrastive.plots import (
    FinishedRun,
    calibration_figure,
    class_figure,
    conditional_figure,
    curves_figure,
    density_figure,
    memory_figure,
    render_report,
)
from contrastive.training.held_out import HeldOut, read_held_out
from contrastive.training.run_directory import RunDirectory

_SHOWN_ROWS = 5_000
_COMPARED = 50_000  # training images
_TESTED_COLUMNS = 50


def finished_run(directory: RunDirectory, *, allow_import: bool = False) -> FinishedRun:
    """A run with all that a report shows; its data are read again.

    Args:
        directory: of the run.
        allow_import: as in `contrastive.load`.

    Raises:
        ContrastiveError: if the run is not finished, its data are gone, or it names a class to import.
    """
    summary, config = directory.read_newest_summary(), directory.read_config()
    estimator = load(directory.path, allow_import=allow_import)
    held_out = read_held_out(directory, estimator.columns)
    truth = make_density(config.data.source) if config.data.source in available_densities() else None
    shown, labels, tested = _by_weight(held_out)
    return FinishedRun(
        path=directory.path,
        estimator=estimator,
        summary=summary,
        metrics=directory.read_metrics(),
        config=to_sections(config),
        data=shown,
        truth=truth,
        columns=summary["columns"],
        labels=labels,
        training_images=None if held_out.prepared is None else _training_images(held_out.prepared),
        sample_grids=directory.sample_grids(),
        tested=_tested(estimator, tested, summary["columns"]),
        kept_verdict=directory.read_goodness_verdict(),
    )


def _by_weight(held_out: HeldOut) -> tuple[Tensor, Tensor | None, Tensor]:
    """Rows to show, with their labels, and rows to test: drawn by weight where they have weights.

    What is tested has no row twice: copies would be taken for evidence.
    """
    x, labels, weight = held_out.x, held_out.labels, held_out.sample_weight
    if weight is None:
        return x[:_SHOWN_ROWS], None if labels is None else labels[:_SHOWN_ROWS], x
    rows = rows_by_weight(weight, min(_SHOWN_ROWS, len(x)))
    return x[rows], None if labels is None else labels[rows], x[thinned(weight)]


def _tested(estimator: Estimator, x: Tensor, columns: list[str]) -> tuple[Tensor, ModelSamples, Goodness] | None:
    """Held-out rows against samples of the model; None for images, very few rows, and where sampling takes chains."""
    if isinstance(estimator.scaling, PixelScaling) or x[0].numel() > _TESTED_COLUMNS or len(x) < FEWEST_ROWS:
        return None
    try:
        samples = quick_samples(estimator, x)
        return None if samples is None else (x, samples, goodness_of_fit(x, samples.x, columns or None))
    except ContrastiveError as error:
        warn(f"the report has no test of the fit: {error}")
        return None


def _training_images(prepared: Prepared) -> Tensor | None:
    """What the samples are held against."""
    source = prepared.row_source
    if not isinstance(source, ImageSource):
        return None
    return source.pixels(torch.arange(min(_COMPARED, len(source.rows))))


def write_report(directories: Sequence[RunDirectory], path: Path, *, allow_import: bool = False) -> None:
    """One self-contained HTML file over the runs; see `finished_run`."""
    runs = [finished_run(directory, allow_import=allow_import) for directory in directories]
    write_text(path, render_report(runs))


def write_run_report(directory: RunDirectory, *, allow_import: bool = False) -> None:
    """The run's report and its pictures, in the run; see `finished_run`."""
    run = finished_run(directory, allow_import=allow_import)
    figures = {
        "densities": density_figure(run),
        "curves": curves_figure([run]),
        "classes": class_figure(run),
        "calibration": calibration_figure(run),
        "conditional": conditional_figure(run),
    }
    if run.training_images is not None:
        figures["neighbours"] = memory_figure(run)
    for name, figure in figures.items():
        if figure is None:
            continue
        save = partial(figure.savefig, dpi=120, format="png")
        write_atomically(directory.path / "plots" / f"{name}.png", save)
    write_text(directory.path / "report.html", render_report([run]))
