"""The named image sets, read by torchvision from their official files."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from contrastive.data.images.arrays import channels_first, whole_numbers
from contrastive.data.images.folder import read_pictures
from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.resizing import adapted
from contrastive.errors import ContrastiveError, missing_extra
from contrastive.io.torchvision_import import import_with_torchvision

_PATIENCE = 20.0  # seconds without a byte
_CELEBA_SQUARE = 148  # pixels around the face, as the field cuts them
_DEFAULT_SIZE = 32


@dataclass(frozen=True)
class NamedSet:
    """One of torchvision's sets.

    Attributes:
        open: from torchvision.datasets, the root, a part ("train" or "test") and whether to download, to the set.
        read: from what `open` gives to images.
        files: what is expected where, below the root.
        origin: where these files come from.
    """

    open: Callable[[Any, Path, str, bool], Any]
    read: Callable[[Any, ImageOptions], ImageSet]
    files: str
    origin: str


def available_sets() -> list[str]:
    """Names that `read_set` knows, sorted."""
    return sorted(_SETS)


def read_set(name: str, options: ImageOptions) -> ImageSet:
    """The training part of a named set, with its test part; 32 x 32 unless `options.size` says otherwise.

    Files that are not there are downloaded.

    Raises:
        ContrastiveError: if they are neither there nor to be had, or torchvision is not installed.
    """
    try:
        datasets = import_with_torchvision("torchvision.datasets")
    except ImportError as error:
        raise missing_extra(f"the data {name!r} need", "images", error) from error
    options = replace(options, size=options.size or _DEFAULT_SIZE)
    train, test = (_part(datasets, name, part, options) for part in ("train", "test"))
    return replace(train, test=test)


def _part(datasets: Any, name: str, part: str, options: ImageOptions) -> ImageSet:
    named = _SETS[name]
    try:
        found = named.open(datasets, options.root, part, False)
    except ImportError as error:
        raise missing_extra(f"the data {name!r} need", "images", error) from error
    except Exception as missing:  # torchvision says by many exceptions that files are absent or damaged
        try:
            with _patience():
                found = named.open(datasets, options.root, part, True)
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise ContrastiveError(
                f"the {part} part of {name} is not whole in {options.root} and cannot be downloaded ({why}): put "
                f"{named.files} there, from {named.origin}, or name another folder with --data-root"
            ) from missing
    return named.read(found, options)


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_memory(found: Any, options: ImageOptions) -> ImageSet:
    labels = found.targets if hasattr(found, "targets") else found.labels
    pixels = channels_first(np.asarray(found.data))
    return ImageSet(adapted(pixels, size=options.size, crop=options.crop, color=options.color), whole_numbers(labels))


def _from_celeba(found: Any, options: ImageOptions) -> ImageSet:
    """Faces in the middle of the aligned pictures; attributes are no classes, so there are no labels."""
    folder = Path(found.root) / found.base_folder / "img_align_celeba"
    files = [folder / name for name in found.filename]
    return ImageSet(read_pictures(files, options, square=_CELEBA_SQUARE))


_SETS = {
    "cifar10": NamedSet(
        lambda datasets, root, part, download: datasets.CIFAR10(root, train=part == "train", download=download),
        _from_memory,
        "cifar-10-batches-py/ with data_batch_1 to 5, test_batch and batches.meta",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "svhn": NamedSet(
        lambda datasets, root, part, download: datasets.SVHN(root, split=part, download=download),
        _from_memory,
        "train_32x32.mat and test_32x32.mat",
        "http://ufldl.stanford.edu/housenumbers/",
    ),
    "mnist": NamedSet(
        lambda datasets, root, part, download: datasets.MNIST(root, train=part == "train", download=download),
        _from_memory,
        "MNIST/raw/ with train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k- files",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion-mnist": NamedSet(
        lambda datasets, root, part, download: datasets.FashionMNIST(root, train=part == "train", download=download),
        _from_memory,
        "FashionMNIST/raw/ with train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k- files",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "celeba": NamedSet(
        lambda datasets, root, part, download: datasets.CelebA(root, split=part, download=download),
        _from_celeba,
        "celeba/ with the folder img_align_celeba and the five .txt files of identities, attributes, boxes, landmarks "
        "and partitions",
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
}
