"""Figures and the report of finished runs."""

from contrastive.data.images.grids import image_grid, write_png
from contrastive.plots import matplotlib_import  # noqa: F401  first, as the others import matplotlib
from contrastive.plots.classes import calibration_figure, class_figure
from contrastive.plots.conditional import conditional_figure
from contrastive.plots.curves import curves_figure
from contrastive.plots.densities import density_figure
from contrastive.plots.goodness import corner_figure, pit_figure
from contrastive.plots.images import image_figure, memory_figure
from contrastive.plots.neighbours import neighbours_figure
from contrastive.plots.report import render_report
from contrastive.plots.runs import FinishedRun

__all__ = [
    "FinishedRun",
    "calibration_figure",
    "class_figure",
    "conditional_figure",
    "corner_figure",
    "curves_figure",
    "density_figure",
    "image_figure",
    "image_grid",
    "memory_figure",
    "neighbours_figure",
    "pit_figure",
    "render_report",
    "write_png",
]
