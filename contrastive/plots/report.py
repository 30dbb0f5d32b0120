"""One self-contained HTML file over finished runs."""

import base64
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
from contrastive.metrics.goodness import FEWEST_ROWS
from contrastive.plots.classes import calibration_figure, class_figure
from contrastive.plots.conditional import conditional_figure
from contrastive.plots.curves import curves_figure
from contrastive.plots.densities import density_figure
from contrastive.plots.goodness import corner_figure, pit_figure
from contrastive.plots.images import memory_figure
from contrastive.plots.report_tables import candidates_table, details_table, first_table, goodness_table
from contrastive.plots.report_text import opening, rows, stopping, warnings
from contrastive.plots.runs import FinishedRun
from contrastive.plots.themes import Themed, themed
from contrastive.version import __version__

try:
    from jinja2 import Environment
except ImportError as error:
    raise missing_extra("reports need", "report", error) from error

#: In the first lines of every report.
_TITLE = "<title>contrastive: report</title>"


def render_report(runs: Sequence[FinishedRun]) -> str:
    """The report as HTML: what was found in sentences, a table with a row a run, figures, and the details folded."""
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        files("contrastive.plots").joinpath("report.html").read_text(encoding="utf-8")
    )
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(str(run.summary["data"]), []).append(run)
    return template.render(
        several=len(runs) > 1,
        title=runs[0].title if len(runs) == 1 else f"{len(runs)} runs",
        warnings=[(run.title if len(runs) > 1 else "", text) for run in runs for text in warnings(run)],
        groups=[
            {
                "data": data,
                "table": first_table(members),
                "curves": themed(curves_figure(members)),
                "runs": [_shown(run) for run in members],
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


def _shown(run: FinishedRun) -> dict[str, Any]:
    """What the template needs of a run."""
    candidates, failed = candidates_table(run.summary)
    return {
        "title": run.title,
        "sentences": opening(run),
        "rows": rows(run.summary),
        "stopping": stopping(run.summary),
        "densities": themed(density_figure(run)),
        "picture": "Samples" if run.are_images else "Densities",
        "classes": _themed_if_any(class_figure(run)),
        "calibration": _themed_if_any(calibration_figure(run)),
        "conditional": _themed_if_any(conditional_figure(run)),
        "memory": themed(memory_figure(run)) if run.training_images is not None else None,
        "grids": [
            {"name": name, "png": base64.b64encode(path.read_bytes()).decode("ascii")}
            for name, path in _first_middle_last(run.sample_grids)
        ],
        "candidates": candidates,
        "failed_candidates": failed,
        "goodness": _goodness(run),
        "details": details_table(run),
        "config": yaml.safe_dump(run.config, sort_keys=False),
        "command": f"contrastive fit --config {shlex.quote(f'{run.path}/config.yaml')} --out NEW",
    }


def _goodness(run: FinishedRun) -> dict[str, Any]:
    """The verdict of the kept test, else of the quick one; the figures are those of the quick one."""
    if run.tested is None:
        possible = not run.are_images and run.summary["test_rows"] >= FEWEST_ROWS
        return {"verdict": run.kept_verdict, "possible": possible}
    data, samples, goodness = run.tested
    return {
        "verdict": run.kept_verdict or goodness.verdict,
        "origin": samples.origin,
        "table": goodness_table(goodness),
        "corner": themed(corner_figure(data, samples.x, goodness)),
        "pit": themed(pit_figure(data, samples.x, goodness)),
    }


def _first_middle_last(grids: Sequence[Path]) -> list[tuple[str, Path]]:
    picked = sorted({0, len(grids) // 2, len(grids) - 1}) if grids else []
    return [(f"after {int(grids[i].stem):,} updates", grids[i]) for i in picked]


def _themed_if_any(figure: Figure | None) -> Themed | None:
    return None if figure is None else themed(figure)
