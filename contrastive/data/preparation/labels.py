"""Preparation of labels: classes, hidden labels, labelled batches."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.data.densities.base import LabelledDensity
from contrastive.data.images import ImageSet, ImageSource
from contrastive.data.labels import LabelledSource, Name, encode, hold_out_unlabelled_first, keep_per_class
from contrastive.data.preparation.prepared import Prepared
from contrastive.data.preparation.splits import Portions
from contrastive.data.sources import ArraySource, DatasetSource, DensitySource, Source
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import weights_of

_LABEL_SEED, _DRAWS_A_LABEL = 1_000_005, 20
IMAGE_LABELS = ("y", "labels")
Numbered = tuple[Tensor, list[Name]]


def with_labels(prepared: Prepared, config: FitConfig) -> Prepared:
    """Hide the labels that `labels_per_class` does not keep, and give the others batches of their own.

    Data whose labels nobody asked for stay as they are: rows come here with `classes` where their labels were given;
    images and densities bring labels of their own, which are learned where `labels_per_class` or `label_column` is set.

    Raises:
        ContrastiveError: if there are no labels, or a class has none or too few to learn from.
    """
    if prepared.classes is None and config.labels.per_class < 0 and not config.labels.column:
        return prepared
    if prepared.are_images and config.labels.column not in ("", *IMAGE_LABELS):
        raise ContrastiveError(
            f"the labels of images are in the array y or labels of an .npz, not in {config.labels.column!r}; or give "
            "--labels-per-class, 0 for all"
        )
    z = None
    if isinstance(prepared.source, DensitySource):
        z, y = _density_labels(prepared, config)
    elif prepared.labels is not None:
        y = prepared.labels
    else:
        raise ContrastiveError("there are no labels to learn: name their column with --label-column, or give y")
    classes = prepared.classes or list(range(int(y.max()) + 1))
    y = keep_per_class(y, max(0, config.labels.per_class), config.labels.seed, classes)
    rows = (y >= 0).nonzero().flatten()
    missing = [name for k, name in enumerate(classes) if not bool((y == k).any())]
    if missing:
        raise ContrastiveError(
            f"class {missing[0]!r} has no labelled row among the training rows: label more rows of it, or take another "
            "--seed"
        )
    labelled = _part(prepared.source, rows, y[rows]) if z is None else ArraySource(z[rows], y[rows].to(z.device))
    source = LabelledSource(prepared.source, labelled, len(rows), config.labels.batch_size)
    return replace(prepared, source=source, labels=y, classes=classes)


def numbered(labels: Any, n: int) -> Numbered | None:
    """Labels of `n` rows as numbers, and the classes' names; None for none.

    Raises:
        ContrastiveError: if there is not one a row, or as `encode`.
    """
    if labels is None:
        return None
    y, classes = encode(labels)
    if len(y) != n:
        raise ContrastiveError(f"{len(y)} labels for {n} rows: give one a row, -1 where it has none")
    return y, classes


def spare_labels(portions: Portions, labels: Numbered | None) -> Portions:
    """The same split, but with unlabelled rows for validation as far as there are: it needs no labels."""
    if labels is None:
        return portions
    order = hold_out_unlabelled_first(torch.cat(portions), labels[0], len(portions.validation))
    return Portions(*order.split([len(part) for part in portions]))


def with_row_labels(prepared: Prepared, labels: Numbered | None, portions: Portions) -> Prepared:
    """`prepared` with the labels of its rows."""
    if labels is None:
        return prepared
    y, classes = labels
    test = portions.test[: len(prepared.test)]
    return replace(prepared, labels=y[portions.train], test_labels=y[test], classes=classes)


def with_image_labels(images: ImageSet, y: Any) -> tuple[ImageSet, list[Name] | None]:
    """Images with given labels in the place of their own, and the classes' names; as they are without.

    Raises:
        ContrastiveError: as `numbered`.
    """
    labels = numbered(y, len(images))
    return (images, None) if labels is None else (replace(images, labels=labels[0].numpy()), labels[1])


def labelled_draws(density: Any, n: int, seed: int, most: int | None = None) -> Tensor | None:
    """Classes of the `n` draws that a density gives at `seed`, the first `most` of them; None where it has no parts."""
    if not isinstance(density, LabelledDensity):
        return None
    with seeded(seed):
        return density.sample_labelled(n)[1][:most]


def _density_labels(prepared: Prepared, config: FitConfig) -> tuple[Tensor, Tensor]:
    """Labelled draws of a density that is made of parts, in model coordinates."""
    density, count = prepared.truth, config.labels.per_class
    if not isinstance(density, LabelledDensity):
        raise ContrastiveError(
            f"{config.data.source!r} is not made of parts, as two-spirals or moons are: it has no labels"
        )
    if count <= 0:
        raise ContrastiveError("the labels of a density have no end: say how many a class with --labels-per-class N")
    with seeded(_LABEL_SEED + config.labels.seed):
        x, y = density.sample_labelled(_DRAWS_A_LABEL * density.num_classes * (count + 1))
    return prepared.scaling(x).to(prepared.fitting.device), y


def _part(source: Source, rows: Tensor, y: Tensor) -> Source:
    """A stream of the rows of these numbers, with their classes."""
    if isinstance(source, ImageSource):
        return ImageSource(
            source.images, source.scaling, rows=source.rows[rows], flip=source.flip, device=source.device
        )
    if isinstance(source, ArraySource):
        weight = weights_of(source.sample_weight, rows)
        return ArraySource(source.z[rows.to(source.z.device)], y.to(source.z.device), weight)
    if isinstance(source, DatasetSource):
        z = source.rows(rows)
        return ArraySource(z, y.to(z.device))
    raise ContrastiveError(f"{type(source).__name__} has no rows by number, so labels cannot be tied to them")
