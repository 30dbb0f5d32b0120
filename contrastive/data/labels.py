"""Class labels: encoding, hiding all but a few, and batches of labelled rows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from contrastive.data.sources import Batch, Labelled, Source
from contrastive.errors import ContrastiveError

UNLABELLED = -1
_MOST_CLASSES, _LABELLED_BATCH = 1_000, 64
_UNLABELLED_WORDS = ("", "-1", "-1.0")  # of a column of words
Name = str | int


def encode(values: Any, classes: Sequence[Name] | None = None) -> tuple[Int[Tensor, " n"], list[Name]]:
    """Labels as numbers from 0 to K - 1, and the name of each class.

    Unlabelled, and then -1, is: -1 (scikit-learn's convention), also as a word, NaN, None, an empty word.

    Args:
        values: shape `(n,)`: whole numbers or words.
        classes: the names that are known already; every other label is then refused.

    Raises:
        ContrastiveError: if they are no column of whole numbers or words, or fewer than two classes are named.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.ndim != 1:
        raise ContrastiveError(f"labels must be one column, got an array of shape {array.shape}")
    names = _names(array)
    if classes is None:
        classes = sorted({name for name in names if name is not None}, key=lambda name: (isinstance(name, str), name))
        _check_classes(classes)
    names = _as_spelt(names, classes)
    index = {name: k for k, name in enumerate(classes)}
    unknown = next((name for name in names if name is not None and name not in index), None)
    if unknown is not None:
        known = ", ".join(map(str, list(classes)[:10]))
        raise ContrastiveError(f"the label {unknown!r} is no class of this run; its classes are {known}")
    return torch.tensor([UNLABELLED if name is None else index[name] for name in names]), list(classes)


def keep_per_class(y: Int[Tensor, " n"], per_class: int, seed: int, classes: Sequence[Name]) -> Int[Tensor, " n"]:
    """Hide all labels but `per_class` of each of `classes`, picked at random by `seed`; 0 keeps every one.

    The first of each class in a random order of the rows: more labels of the same seed are those and others besides.

    Raises:
        ContrastiveError: if a class has fewer.
    """
    if per_class == 0:
        return y
    kept = torch.full_like(y, UNLABELLED)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    for k, name in enumerate(classes):
        rows = order[y[order] == k]
        if len(rows) < per_class:
            raise ContrastiveError(
                f"class {name!r} has {len(rows)} labelled rows to learn from, fewer than --labels-per-class {per_class}"
            )
        kept[rows[:per_class]] = k
    return kept


def hold_out_unlabelled_first(order: Int[Tensor, " n"], y: Int[Tensor, " n"], held_out: int) -> Int[Tensor, " n"]:
    """`order` with unlabelled rows in its first `held_out` places, as far as there are: labels are not to be wasted."""
    unlabelled = order[y[order] == UNLABELLED][:held_out]
    first = torch.zeros(len(y), dtype=torch.bool)
    first[unlabelled] = True
    return torch.cat([unlabelled, order[~first[order]]])


class LabelledSource:
    """A source, and beside each of its batches one of labelled rows alone.

    Both streams are functions of (seed, position), so a run resumes where it stopped. What the source itself knows of
    labels is left out: those that are hidden stay so.

    Args:
        source: of all rows, labelled or not.
        labelled: of the labelled rows, with their classes.
        rows: how many labelled rows there are.
        batch_size: labelled rows a batch; 0: 64, or all of fewer.
    """

    def __init__(self, source: Source, labelled: Source, rows: int, batch_size: int = 0) -> None:
        batch_size = batch_size or min(_LABELLED_BATCH, rows)
        if batch_size > rows:
            raise ContrastiveError(
                f"{rows} labelled rows are fewer than a batch of {batch_size}: --labels.batch-size {rows} or less"
            )
        self.source, self.labelled, self.batch_size = source, labelled, batch_size

    def batches(self, batch_size: int, seed: int, start: int) -> Iterator[Batch]:
        """Both streams, from the `start`-th batch on."""
        few = self.labelled.batches(self.batch_size, seed, start)
        for batch, part in zip(self.source.batches(batch_size, seed, start), few):
            assert part.y is not None
            yield batch._replace(y=None, labelled=Labelled(part.z, part.y))

    def cache(self, score: Callable[[Tensor], Tensor]) -> None:
        """Handed on to the source of all rows."""
        self.source.cache(score)


def _names(array: NDArray[Any]) -> list[Name | None]:
    if array.dtype.kind == "b":
        return [str(bool(value)) for value in array]
    if array.dtype.kind in "iu":
        return [None if value == UNLABELLED else int(value) for value in array]
    if array.dtype.kind == "f":
        present = array[~np.isnan(array)]
        if np.isinf(present).any():
            raise ContrastiveError(f"labels must be whole numbers or words, got {present[np.isinf(present)][0]:g}")
        if not np.array_equal(present, np.round(present)):
            odd = present[present != np.round(present)][0]
            raise ContrastiveError(f"labels must be whole numbers or words, got {odd:g}; is it a label column?")
        return [None if np.isnan(value) or value == UNLABELLED else int(value) for value in array]
    if array.dtype.kind in "UO":
        return [_name(value) for value in array]
    raise ContrastiveError(f"labels must be whole numbers or words, got {array.dtype}")


def _as_spelt(names: list[Name | None], classes: Sequence[Name]) -> list[Name | None]:
    """Names as `classes` have them, where a whole number is a word in the one and not in the other.

    Labels of new data are words where one of them is, whole numbers where all are.
    """
    known = set(classes)
    spelt = {str(name): name for name in classes}
    return [name if name is None or name in known else spelt.get(str(name), name) for name in names]


def _name(value: Any) -> Name | None:
    if (
        value is None
        or type(value).__name__ == "NAType"
        or value != value
        or (isinstance(value, int | np.integer) and value == UNLABELLED)
    ):
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return int(value)
    word = str(value).strip()
    return None if word in _UNLABELLED_WORDS else word


def _check_classes(classes: Sequence[Name]) -> None:
    if len(classes) < 2:
        named = f"only the class {classes[0]!r}" if classes else "no class"
        raise ContrastiveError(f"the labels name {named}, but two at least are needed; -1 and empty mean unlabelled")
    if len(classes) > _MOST_CLASSES:
        raise ContrastiveError(f"the labels name {len(classes):,} classes; is it a label column?")
