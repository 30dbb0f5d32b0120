"""Prepared data: the training stream and held-out rows."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrastive.config import DataFacts
from contrastive.data.images import ImageSource, PixelScaling
from contrastive.data.labels import LabelledSource, Name
from contrastive.data.preparation.ties import Tie
from contrastive.data.scaling import Coordinates
from contrastive.data.schema.scaling import TableScaling
from contrastive.data.sources import ArraySource, DatasetSource, Source
from contrastive.noises import Gaussian
from contrastive.protocols import NoiseModel

_CURVE_ROWS, _CURVE_IMAGES = 10_000, 1_000
_FIRST_ROWS, _FIRST_NUMBERS = 10_000, 2_000_000


@dataclass(frozen=True)
class Prepared:
    """Data ready to train on.

    Attributes:
        source: the stream of training batches, in model coordinates.
        scaling: from original units to model coordinates.
        fitting: rows in model coordinates to fit or initialise the noise on.
        validation: held-out rows in original units, for early stopping.
        test: held-out rows in original units, for the reported figures.
        batch_size: rows a batch.
        truth: the density of the data where it is known.
        columns: names of the event's entries; none for images.
        standardize: whether `scaling` standardises.
        validation_share: share of all rows that `validation` is.
        named: whether those names are the data's own, so that new tables are matched by them.
        labels: of the training rows in the source's order, or of the labelled draws of a density; -1 where unknown;
            None where no row has one.
        test_labels: of the test rows, likewise.
        classes: the classes' names, where the run learns them.
        dequantize: whether columns with ties are spread over their rounding step.
        rounding_steps: of the columns that were spread, in their units.
        ties: the columns with ties, spread or not; none where the steps were known before.
        duplicated_test_rows: test rows that occur among the training or validation rows, before values are spread; None
            where rows are not compared.
    """

    source: Source
    scaling: Coordinates
    fitting: Float[Tensor, "n *event"]
    validation: Float[Tensor, "v *event"]
    test: Float[Tensor, "t *event"]
    batch_size: int
    truth: NoiseModel | None
    columns: list[str]
    standardize: bool
    validation_share: float
    labels: Int[Tensor, " m"] | None = None
    test_labels: Int[Tensor, " t"] | None = None
    classes: list[Name] | None = None
    named: bool = False
    dequantize: bool = False
    rounding_steps: dict[str, float] = field(default_factory=dict)
    ties: dict[str, Tie] = field(default_factory=dict)
    duplicated_test_rows: int | None = None

    @property
    def repeats(self) -> bool:
        """Whether training sees the same rows again and again, and so can overfit them; fresh draws come once."""
        return self.truth is None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one data point."""
        return tuple(self.test.shape[1:])

    @property
    def row_source(self) -> Source:
        """The stream of all rows, without the one of labelled rows that may go beside it."""
        return self.source.source if isinstance(self.source, LabelledSource) else self.source

    @property
    def train_rows(self) -> int | None:
        """How many rows training repeats; None for a density, which gives fresh ones."""
        source = self.row_source
        if isinstance(source, ArraySource):
            return len(source.z)
        if isinstance(source, ImageSource):
            return len(source.rows)
        return len(source.dataset) if isinstance(source, DatasetSource) else None  # type: ignore[arg-type]

    @property
    def are_images(self) -> bool:
        """Whether the rows are images in units of pixel values."""
        return isinstance(self.scaling, PixelScaling)

    @property
    def curve_rows(self) -> Float[Tensor, "r *event"]:
        """The test rows for the evaluations during training: fewer of images, whose flows are slow."""
        return self.test[: _CURVE_IMAGES if self.are_images else _CURVE_ROWS]

    @property
    def first_rows(self) -> Float[Tensor, "r *event"]:
        """The first of `fitting`, to introduce models to: fewer of large events, a flow keeps many numbers of each."""
        return self.fitting[: min(_FIRST_ROWS, max(100, _FIRST_NUMBERS // math.prod(self.event_shape)))]

    def with_validation_rows(self) -> "Prepared":
        """The same data with the validation rows among those that are trained on; they stop nothing then.

        For rows in memory without labels.
        """
        assert isinstance(self.source, ArraySource)
        z = torch.cat([self.fitting, self.scaling(self.validation).to(self.fitting)])
        return replace(self, source=ArraySource(z), fitting=z, validation=self.validation[:0])

    @property
    def facts(self) -> DataFacts:
        """What settings depend on."""
        return DataFacts(
            images=self.are_images,
            vectors=len(self.event_shape) == 1,
            repeats=self.repeats,
            rows=len(self.fitting),
            standardize=self.standardize,
            validation=self.validation_share,
            batch_size=self.batch_size,
            dequantize=self.dequantize,
            mixed=isinstance(self.scaling, TableScaling),
        )

    @cached_property
    def gaussian(self) -> Gaussian:
        """A frozen Gaussian with the mean and covariance of `fitting`, in model coordinates.

        Raises:
            ContrastiveError: if the rows do not determine a covariance.
        """
        gaussian = frozen_gaussian(self.event_shape)
        gaussian.fit(self.fitting)
        return gaussian


def frozen_gaussian(event_shape: tuple[int, ...]) -> Gaussian:
    """A Gaussian that no gradient step moves, not yet fitted."""
    return Gaussian(event_shape).requires_grad_(False)
