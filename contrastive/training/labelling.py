"""From data with labels to a run that learns classes."""

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from contrastive.class_prior import parse_class_prior
from contrastive.config import FitConfig
from contrastive.data.densities.base import LabelledDensity
from contrastive.data.labels import LabelledSource, keep_per_class, rows_of
from contrastive.data.sources import DensitySource
from contrastive.errors import ContrastiveError
from contrastive.registry import energies

if TYPE_CHECKING:
    from contrastive.training.preparation import Prepared

_LABEL_SEED, _DRAWS_A_LABEL = 1_000_004, 20


def with_labels(prepared: "Prepared", config: FitConfig) -> "Prepared":
    """Hide the labels that `labels_per_class` does not keep, and give the others batches of their own.

    Data whose labels nobody asked for stay as they are: an array or table comes here with classes only where labels
    were named, images and densities learn classes where `labels_per_class` is set.

    Raises:
        ContrastiveError: if there are no labels, or a class has none or too few to learn from.
    """
    if prepared.classes is None and config.labels_per_class is None:
        return prepared
    z = None
    if isinstance(prepared.source, DensitySource):
        z, y = _density_labels(prepared, config)
    elif prepared.labels is not None:
        y = prepared.labels
    else:
        raise ContrastiveError("labels_per_class needs data with labels: name their column with --label-column, or y")
    classes = prepared.classes or list(range(int(y.max()) + 1))
    y = keep_per_class(y, config.labels_per_class or 0, config.label_seed, classes)
    rows = (y >= 0).nonzero().flatten()
    missing = [name for k, name in enumerate(classes) if not bool((y == k).any())]
    if missing:
        raise ContrastiveError(
            f"class {missing[0]!r} has no labelled row among the training rows: label more rows of it, or take another "
            "--seed"
        )
    z = rows_of(prepared.source, rows) if z is None else z[rows]
    source = LabelledSource(prepared.source, z, y[rows].to(z.device), config.labelled_batch_size)
    return replace(prepared, source=source, labels=y, classes=classes)


def with_classes(config: FitConfig, data: "Prepared") -> FitConfig:
    """`config` with the number of classes as the energy's, and `class_prior` "labelled" as numbers.

    Raises:
        ContrastiveError: if the energy or the method cannot learn classes, or was told another number of them.
    """
    if data.classes is None:
        if config.class_prior == "labelled":
            raise ContrastiveError("class_prior 'labelled' needs labels: name their column with --label-column")
        return config
    if config.method == "mle":
        raise ContrastiveError("method mle fits the noise alone, which has no classes: leave out the labels")
    count = len(data.classes)
    told = config.energy_options.get("num_classes", count)
    if told != count:
        raise ContrastiveError(
            f"the labels name {count} classes, but num_classes of the energy is {told}: leave it out"
        )
    if not _has_classes(config.energy):
        able = ", ".join(name for name in ("mlp", "conv", "conv-small", "conv-large") if name in energies.names())
        raise ContrastiveError(f"the energy {config.energy!r} cannot have classes; take one of {able}")
    prior = config.class_prior
    if prior == "labelled":
        assert data.labels is not None
        shares = torch.bincount(data.labels[data.labels >= 0], minlength=count).double()
        prior = ", ".join(f"{share:.17g}" for share in (shares / shares.sum()).tolist())
    return replace(config, class_prior=prior, energy_options={**config.energy_options, "num_classes": count})


def class_prior_of(config: FitConfig) -> list[float] | None:
    """The prior as numbers; None for equal shares."""
    return None if config.class_prior is None else parse_class_prior(config.class_prior)


def _has_classes(energy: str) -> bool:
    return "num_classes" in inspect.signature(energies.load(energy)).parameters


def _density_labels(prepared: "Prepared", config: FitConfig) -> tuple[Tensor, Tensor]:
    """Labelled draws of a density that is made of parts, in model coordinates."""
    density, count = prepared.truth, config.labels_per_class
    if not isinstance(density, LabelledDensity):
        raise ContrastiveError(f"{config.data!r} has no labels: it is not made of parts, as two-spirals or moons are")
    if not count:
        raise ContrastiveError("the labels of a density have no end: say how many a class with --labels-per-class N")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_LABEL_SEED + config.label_seed)
        x, y = density.sample_labelled(_DRAWS_A_LABEL * density.num_classes * (count + 1))
    return prepared.scaling(x).to(prepared.fitting.device), y
