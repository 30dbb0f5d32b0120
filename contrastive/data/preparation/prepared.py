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
from contrastive.noises.conditional import JointNoise, make_noise_over
from contrastive.protocols import NoiseModel, prepare_noise

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
        fitting_weight: how often each row of `fitting` counts, up to a common factor; None for equal weights.
        validation_weight: likewise.
        test_weight: likewise.
        zero_weights: rows of weight 0, which were left out.
        held_out_noise: held-out rows of the noise, in model coordinates, where the noise is a sample (a ratio): it can
            be overfitted as the data can, so early stopping goes by these. Densities are with respect to its law.
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
    fitting_weight: Float[Tensor, " n"] | None = None
    validation_weight: Float[Tensor, " v"] | None = None
    test_weight: Float[Tensor, " t"] | None = None
    zero_weights: int = 0
    held_out_noise: NoiseModel | None = None

    @property
    def repeats(self) -> bool:
        """Whether training sees the same rows again and again, and so can overfit them; fresh draws come once."""
        return self.truth is None

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one data point."""
        return tuple(self.test.shape[1:])

    @property
    def num_given(self) -> int:
        """How many of a row's last columns the density is conditional on."""
        return self.scaling.num_given

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
        weight = None
        if self.fitting_weight is not None and self.validation_weight is not None:
            weight = torch.cat([self.fitting_weight, self.validation_weight])
        source = ArraySource(z, sample_weight=weight)
        grown = replace(self, source=source, fitting=z, fitting_weight=weight)
        return replace(grown, validation=self.validation[:0], validation_weight=None)

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
    def gaussian(self) -> Gaussian | JointNoise:
        """A frozen Gaussian fitted to `fitting`, in model coordinates; its mean is linear in what is given.

        Raises:
            ContrastiveError: if the rows do not determine a covariance.
        """
        gaussian = frozen_gaussian(self.event_shape, self.num_given)
        prepare_noise(gaussian, self.fitting, sample_weight=self.fitting_weight)
        return gaussian


def frozen_gaussian(event_shape: tuple[int, ...], num_given: int = 0) -> Gaussian | JointNoise:
    """A Gaussian that no gradient step moves, not yet fitted."""
    gaussian = make_noise_over("gaussian", event_shape=event_shape, num_given=num_given)
    assert isinstance(gaussian, Gaussian | JointNoise)
    return gaussian.requires_grad_(False)
