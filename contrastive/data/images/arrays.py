"""Images from arrays and from .npy and .npz files."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.resizing import adapted
from contrastive.data.unreadable import UNREADABLE, readable
from contrastive.errors import ContrastiveError, did_you_mean

_LABELS = ("y", "labels")


def are_images(array: Any) -> bool:
    """Whether an array is one of images: 8-bit numbers of 3 or 4 dimensions."""
    return str(getattr(array, "dtype", "")).removeprefix("torch.") == "uint8" and array.ndim in (3, 4)


def channels_first(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A view of shape `(n, C, H, W)`.

    Args:
        pixels: shape `(n, C, H, W)`, `(n, H, W, C)` or, of gray images, `(n, H, W)`; C = 1 or 3.

    Raises:
        ContrastiveError: if it cannot be told which of these it is.
    """
    shape = pixels.shape
    if 0 in shape:
        raise ContrastiveError(f"the array of shape {shape} holds no images")
    if pixels.ndim == 3:
        if shape[2] == 3:
            raise ContrastiveError(
                f"an array of shape {shape} is one colour image or many gray ones of width 3: give images as "
                "(n, H, W, C) or (n, C, H, W)"
            )
        return pixels[:, None]
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        why = "both ends" if first else "neither end"
        raise ContrastiveError(
            f"an array of shape {shape} is no clear set of images: {why} of an image's shape {shape[1:]} could be its "
            "1 or 3 channels; give images as (n, C, H, W) or (n, H, W, C)"
        )
    return pixels if first else np.moveaxis(pixels, 3, 1)


def from_array(pixels: Any, options: ImageOptions | None = None, labels: Any = None) -> ImageSet:
    """Images of a uint8 array, as `channels_first` and `adapted` make them.

    Raises:
        ContrastiveError: if it is no array of images, or the labels are not one whole number an image.
    """
    if not are_images(pixels):
        raise ContrastiveError(
            f"expected images of uint8 with 3 or 4 dimensions, got {pixels.dtype} of shape {tuple(pixels.shape)}"
        )
    options = options or ImageOptions()
    changed = adapted(channels_first(np.asanyarray(pixels)), size=options.size, crop=options.crop, color=options.color)
    return ImageSet(changed, None if labels is None else whole_numbers(labels))


def whole_numbers(labels: Any) -> NDArray[np.int64]:
    """Labels as int64.

    Raises:
        ContrastiveError: if they are not whole numbers.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise ContrastiveError(f"labels must be whole numbers, got {labels.dtype}")
    return labels.astype(np.int64)


def holds_images(path: Path, name: str | None = None) -> bool:
    """Whether a .npy or .npz file holds images, by its headers alone.

    Args:
        path: the file.
        name: of the array in an .npz.
    """
    return bool(_image_names(path, name))


def read_file(path: Path, options: ImageOptions) -> ImageSet:
    """The images of a .npy file, memory-mapped, or of an .npz file, with its labels `y` or `labels`.

    Raises:
        ContrastiveError: if the file cannot be read, or an .npz holds several arrays of images and none is named.
    """
    names = _image_names(path, options.name)
    if len(names) != 1:
        raise ContrastiveError(f"{path} holds several arrays of images: pick one with --columns, {' or '.join(names)}")
    with readable(path):
        if path.suffix.lower() == ".npy":
            return from_array(np.load(path, mmap_mode="r", allow_pickle=False), options)
        with np.load(path, allow_pickle=False) as arrays:
            labels = next((arrays[label] for label in _LABELS if label in arrays.files), None)
            return from_array(arrays[names[0]], options, labels)


def _image_names(path: Path, name: str | None) -> list[str]:
    """The names of an .npz's arrays of images; one empty name for a .npy of them."""
    headers = _headers(path)
    if name is not None and path.suffix.lower() == ".npz":
        if name not in headers:
            raise ContrastiveError(f"{path} has no array {name!r}; {did_you_mean(name, headers)}")
        headers = {name: headers[name]}
    return [key for key, (shape, dtype) in headers.items() if dtype == np.uint8 and len(shape) in (3, 4)]


def _headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and dtype of each array in a file; nothing of a file that numpy did not write."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as handle:
                return {"": _header(handle)}
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.namelist():
                with archive.open(member) as handle:
                    found[member.removesuffix(".npy")] = _header(handle)
            return found
    except UNREADABLE:
        return {}  # the reading of the file will say what is wrong


def _header(handle: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(handle)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(handle)
    return shape, dtype
