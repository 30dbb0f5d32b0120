"""The goodness-of-fit test of `contrastive evaluate --goodness`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.data.images import PixelScaling
from contrastive.errors import ContrastiveError, MissingExtraError, warn
from contrastive.io.atomic import write_atomically
from contrastive.io.checkpoints import write_json
from contrastive.metrics.goodness import QUANTILES, Goodness, goodness_of_fit
from contrastive.metrics.model_samples import ModelSamples, independent_samples
from contrastive.training.run_directory import RunDirectory

_SHOWN_COLUMNS = 20
_EXPLANATION = (
    "quantiles in the column's units; distance and p: Kolmogorov-Smirnov, the uniformity of the probability-integral",
    "transform of that column alone; tails: the lower and the upper one",
)


@dataclass(frozen=True)
class TestedRun:
    """The test's result and the samples that it was made with; printed, a verdict and a table."""

    goodness: Goodness
    samples: ModelSamples
    plot: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Figures of the test and where the samples come from, for JSON."""
        origin = {"samples_from": self.samples.origin, "sampler_warning": self.samples.warning}
        return {**self.goodness.to_dict(), **origin}

    def __str__(self) -> str:
        lines = [self.goodness.verdict, f"samples: {self.samples.origin}", "", *_table(self.goodness)]
        return "\n".join(lines if self.plot is None else [*lines, f"corner plot: {self.plot}"])


def goodness_of_run(
    directory: RunDirectory, estimator: Estimator, x: Tensor, *, level: float, plot: Path | None, keep: bool
) -> TestedRun:
    """Test rows against samples of the model, and draw both; a doubtful sampler is warned of.

    Args:
        directory: of the run.
        estimator: of the run.
        x: rows in original units.
        level: false-alarm rate.
        plot: of the corner plot; by default in the run where `keep` is set, else there is none.
        keep: write the figures into the run, where the report finds them.

    Raises:
        ContrastiveError: for images, which have measures of their own, for what `goodness_of_fit` refuses, and where
            the plot was asked for and matplotlib is missing.
    """
    if isinstance(estimator.scaling, PixelScaling):
        raise ContrastiveError("--goodness is for rows of columns; for images take --image-distances N")
    samples = independent_samples(estimator, x)
    if samples.warning:
        warn(f"the test may reject the sampler, not the model: {samples.warning}")
    goodness = goodness_of_fit(x, samples.x, directory.read_summary()["columns"] or None, level=level)
    place = plot or (directory.goodness_plot_path if keep else None)
    if place is not None and not _wrote_corner(place, x, samples.x, goodness, asked=plot is not None):
        place = None
    tested = TestedRun(goodness, samples, place)
    if keep:
        write_json(directory.goodness_path, tested.to_dict())
    return tested


def _wrote_corner(path: Path, x: Tensor, samples: Tensor, goodness: Goodness, *, asked: bool) -> bool:
    try:
        from contrastive.plots import corner_figure
    except MissingExtraError as error:
        if asked:
            raise
        warn(f"the corner plot was left out; {error}")
        return False
    write_atomically(path, partial(corner_figure(x, samples, goodness).savefig, dpi=120, format="png"))
    return True


def _table(goodness: Goodness) -> list[str]:
    """Two lines a column, those with the smallest p-values first."""
    ordered = sorted(goodness.columns, key=lambda column: column.p_value)
    width = max(6, *(len(column.name) for column in ordered))
    heads = "".join(f"{f'{100 * q:g} %':>11}" for q in QUANTILES)
    lines = [f"{'column':{width}}  {'':7}{heads}{'distance':>10}{'p':>9}{'p of tails':>16}"]
    for column in ordered[:_SHOWN_COLUMNS]:
        tails = f"{column.lower_tail.p_value:.2g}, {column.upper_tail.p_value:.2g}"
        of_data, of_samples = map(_quantiles, (column.data_quantiles, column.sample_quantiles))
        lines.append(f"{column.name:{width}}  data   {of_data}{column.distance:10.3f}{column.p_value:9.2g}{tails:>16}")
        lines.append(f"{'':{width}}  samples{of_samples}")
    if len(ordered) > _SHOWN_COLUMNS:
        lines.append(f"{len(ordered) - _SHOWN_COLUMNS} more columns, with larger p: see --json")
    return [*lines, *_EXPLANATION]


def _quantiles(values: Sequence[float | None]) -> str:
    return "".join(f"{'–':>11}" if value is None else f"{value:11.4g}" for value in values)
