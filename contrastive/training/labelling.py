"""Preparation of labels: classes, hidden labels, labelled batches."""

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive.config import FitConfig
from contrastive.core.class_prior import parse_class_prior
from contrastive.data import tables
from contrastive.data.densities.base import LabelledDensity
from contrastive.data.images import ImageSet, ImageSource
from contrastive.data.labels import LabelledSource, Name, encode, hold_out_unlabelled_first, keep_per_class
from contrastive.data.sources import ArraySource, DatasetSource, DensitySource, Source
from contrastive.energies.tilted import default_correction
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded
from contrastive.registry import energies
from contrastive.training.portions import Portions
from contrastive.training.prepared import Prepared

_LABEL_SEED, _DRAWS_A_LABEL = 1_000_005, 20
_WITH_CLASSES = ("mlp", "tilted", "conv", "conv-small", "conv-large")
_IMAGE_LABELS = ("y", "labels")
Numbered = tuple[Tensor, list[Name]]


def with_labels(prepared: Prepared, config: FitConfig) -> Prepared:
    """Hide the labels that `labels_per_class` does not keep, and give the others batches of their own.

    Data whose labels nobody asked for stay as they are: rows come here with `classes` where their labels were given;
    images and densities bring labels of their own, which are learned where `labels_per_class` or `label_column` is set.

    Raises:
        ContrastiveError: if there are no labels, or a class has none or too few to learn from.
    """
    if prepared.classes is None and config.labels_per_class is None and config.label_column is None:
        return prepared
    if prepared.are_images and config.label_column not in (None, *_IMAGE_LABELS):
        raise ContrastiveError(
            f"the labels of images are in the array y or labels of an .npz, not in {config.label_column!r}; or give "
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
    y = keep_per_class(y, config.labels_per_class or 0, config.label_seed, classes)
    rows = (y >= 0).nonzero().flatten()
    missing = [name for k, name in enumerate(classes) if not bool((y == k).any())]
    if missing:
        raise ContrastiveError(
            f"class {missing[0]!r} has no labelled row among the training rows: label more rows of it, or take another "
            "--seed"
        )
    labelled = _part(prepared.source, rows, y[rows]) if z is None else ArraySource(z[rows], y[rows].to(z.device))
    source = LabelledSource(prepared.source, labelled, len(rows), config.labelled_batch_size)
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


def label_column_in(data: str, config: FitConfig) -> str | None:
    """The run's column of labels, where the file has it: new data need not."""
    if not tables.is_table(data) or not Path(data).is_file():
        return None
    arrays = list(_IMAGE_LABELS) if config.labels_per_class is not None and data.endswith(".npz") else []
    wanted = arrays if config.label_column is None else [config.label_column]
    return next((name for name in wanted if name in tables.column_names(data)), None) if wanted else None


def with_classes(config: FitConfig, data: Prepared, *, energy_is_given: bool = False) -> FitConfig:
    """`config` with the number of classes as the energy's, and `class_prior` "labelled" as numbers.

    Args:
        config: of the run.
        data: with or without classes to learn.
        energy_is_given: the energy is an object, whose classes are its own.

    Raises:
        ContrastiveError: if the energy or the method cannot learn classes, or was told another number of them.
    """
    if data.classes is None:
        if config.class_prior == "labelled":
            raise ContrastiveError("class_prior 'labelled' needs labels: name their column with --label-column")
        return config
    if config.method == "mle":
        raise ContrastiveError("method mle fits the noise alone, which has no classes: leave out the labels")
    config = replace(config, class_prior=_prior_as_numbers(config.class_prior, data))
    if energy_is_given:
        return config
    count = len(data.classes)
    told = config.energy_options.get("num_classes", count)
    if told != count:
        raise ContrastiveError(
            f"the labels name {count} classes, but num_classes of the energy is {told}: leave it out"
        )
    if not _has_classes(config.energy, data.event_shape, config.energy_options):
        able = ", ".join(name for name in _WITH_CLASSES if name in energies.names())
        raise ContrastiveError(f"the energy {config.energy!r} cannot have classes; take one of {able}")
    return replace(config, energy_options={**config.energy_options, "num_classes": count})


def _prior_as_numbers(prior: str | None, data: Prepared) -> str | None:
    if prior != "labelled":
        return prior
    assert data.labels is not None
    assert data.classes is not None
    shares = torch.bincount(data.labels[data.labels >= 0], minlength=len(data.classes)).double()
    return ", ".join(f"{share:.17g}" for share in (shares / shares.sum()).tolist())


def class_prior_of(config: FitConfig) -> list[float] | None:
    """The prior as numbers; None for equal shares."""
    return None if config.class_prior is None else parse_class_prior(config.class_prior)


def _has_classes(energy: str, event_shape: tuple[int, ...], options: dict[str, Any]) -> bool:
    if energy == "tilted":  # its correction has them
        energy = options.get("correction") or default_correction(event_shape)[0]
    return "num_classes" in inspect.signature(energies.load(energy)).parameters


def _density_labels(prepared: Prepared, config: FitConfig) -> tuple[Tensor, Tensor]:
    """Labelled draws of a density that is made of parts, in model coordinates."""
    density, count = prepared.truth, config.labels_per_class
    if not isinstance(density, LabelledDensity):
        raise ContrastiveError(f"{config.data!r} has no labels: it is not made of parts, as two-spirals or moons are")
    if not count:
        raise ContrastiveError("the labels of a density have no end: say how many a class with --labels-per-class N")
    with seeded(_LABEL_SEED + config.label_seed):
        x, y = density.sample_labelled(_DRAWS_A_LABEL * density.num_classes * (count + 1))
    return prepared.scaling(x).to(prepared.fitting.device), y


def _part(source: Source, rows: Tensor, y: Tensor) -> Source:
    """A stream of the rows of these numbers, with their classes."""
    if isinstance(source, ImageSource):
        return ImageSource(
            source.images, source.scaling, rows=source.rows[rows], flip=source.flip, device=source.device
        )
    if isinstance(source, ArraySource):
        return ArraySource(source.z[rows.to(source.z.device)], y.to(source.z.device))
    if isinstance(source, DatasetSource):
        z = source.rows(rows)
        return ArraySource(z, y.to(z.device))
    raise ContrastiveError(f"{type(source).__name__} has no rows by number, so labels cannot be tied to them")
