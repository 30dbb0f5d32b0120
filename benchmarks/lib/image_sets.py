"""The images that benchmarks learn from, each with a part for training and a fixed part for testing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastive.data.images import ImageOptions, ImageSet, read_images

#: `svhn-part`: 8,885 digits of SVHN in one file; `shapes`: drawn here, 8 x 8, for quick forms.
SETS = ("svhn-part", "svhn", "cifar10", "mnist", "shapes")
_SVHN_PART, _SVHN_PART_TEST = "svhn-8885.npz", 3_000
_SHAPES, _SHAPES_TEST = 900, 200


@dataclass(frozen=True)
class Split:
    """Training and test images with their labels, uint8 and whole numbers; the training part is in a random order."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]


def load_split(name: str, root: Path, *, most_test: int | None = None) -> Split:
    """The split of one of `SETS`; the same for every run and every benchmark.

    Args:
        name: which.
        root: folder of the official files, or of svhn-8885.npz.
        most_test: test images to keep at most.
    """
    if name == "shapes":
        images, test = _split_off(_shapes(), _SHAPES_TEST)
    elif name == "svhn-part":
        whole = read_images(str(root / _SVHN_PART), ImageOptions(name="x"))
        images, test = _split_off(whole, _SVHN_PART_TEST)
    else:
        whole = read_images(name, ImageOptions(root=root))
        assert whole.test is not None
        images, test = _shuffled(whole), whole.test
    assert images.labels is not None
    assert test.labels is not None
    return Split(images.pixels, images.labels, test.pixels[:most_test], test.labels[:most_test])


def training_pixels(name: str, root: Path) -> NDArray[np.uint8]:
    """What energies are fitted to: no test image is among them."""
    return load_split(name, root).x


def label_subset(y: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """Rows of `n` labelled images, in equal numbers a class as far as there are; smaller subsets lie in larger ones."""
    order = np.random.default_rng(seed).permutation(len(y))
    rank = np.empty(len(y), dtype=np.int64)  # the how-manieth of its class
    for label in np.unique(y):
        own = order[y[order] == label]
        rank[own] = np.arange(len(own))
    return order[np.argsort(rank[order], kind="stable")][:n]


def _split_off(images: ImageSet, n: int) -> tuple[ImageSet, ImageSet]:
    images = _shuffled(images)
    assert images.labels is not None
    return ImageSet(images.pixels[n:], images.labels[n:]), ImageSet(images.pixels[:n], images.labels[:n])


def _shuffled(images: ImageSet) -> ImageSet:
    order = np.random.default_rng(0).permutation(len(images))
    return ImageSet(images.pixels[order], None if images.labels is None else images.labels[order])


def _shapes() -> ImageSet:
    """A bar, upright or level, or a square, at a random place on gray noise."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, _SHAPES)
    x = random.integers(0, 100, (_SHAPES, 1, 8, 8)).astype(np.uint8)
    for image, label in zip(x, y):
        top, left = random.integers(0, 4, 2)
        height, width = ((5, 1), (1, 5), (3, 3))[label]
        image[0, top : top + height, left : left + width] = random.integers(160, 256)
    return ImageSet(x, y.astype(np.int64))
