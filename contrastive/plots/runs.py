"""A finished run as input of the figures, and their colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float, Int, UInt8
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.data.densities.base import Density
from contrastive.data.images import PixelScaling
from contrastive.metrics.goodness import Goodness
from contrastive.metrics.model_samples import ModelSamples


@dataclass(frozen=True)
class FinishedRun:
    """What a report shows of a run.

    Attributes:
        path: its directory.
        estimator: the fitted estimator.
        summary: summary.json.
        metrics: the lines of metrics.jsonl.
        config: the settings, in sections.
        data: rows of the data in original units, shape `(n, *event)`.
        truth: the density of the data where it is known.
        columns: names of the event's entries; none for images.
        training_images: uint8, of a run of images.
        sample_grids: PNG files of the noise's samples during training, oldest first.
        labels: classes of `data`, -1 for unlabelled, where the run learned classes.
        tested: held-out rows, samples of the model, and the test of the two, where that takes but a moment.
        kept_verdict: of `contrastive evaluate --goodness`, where that was run; else empty.
    """

    path: Path
    estimator: Estimator
    summary: dict[str, Any]
    metrics: list[dict[str, Any]]
    config: dict[str, Any]
    data: Float[Tensor, "n *event"]
    truth: Density | None
    columns: list[str]
    training_images: UInt8[Tensor, "m c h w"] | None = None
    sample_grids: Sequence[Path] = ()
    labels: Int[Tensor, " n"] | None = None
    tested: tuple[Tensor, ModelSamples, Goodness] | None = None
    kept_verdict: str = ""

    @property
    def method(self) -> str:
        """The method in the field's words: "FCE with glow", "fixed-flow NCE with glow", "NCE with gaussian"."""
        if self.summary["method"] == "mle":
            return f"maximum likelihood of {self.summary['noise']}"
        if self.summary["method"] == "fce":
            name = "FCE"
        else:
            name = "fixed-flow NCE" if self.summary["pretrain_steps"] else "NCE"
        return f"{name} with {self.summary['noise']}"

    @property
    def are_images(self) -> bool:
        """Whether the data are images, in units of pixel values."""
        return isinstance(self.estimator.scaling, PixelScaling)

    @property
    def title(self) -> str:
        """Data and method."""
        return f"{Path(str(self.summary['data'])).stem}: {self.method}"


#: One colour a role in every figure (Okabe & Ito's palette, safe for the colour-blind).
COLORS = {"data": "#555555", "energy": "#0072B2", "noise": "#D55E00", "truth": "#009E73"}
SERIES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555"]
