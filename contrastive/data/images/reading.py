"""Images from a named set, a file or a folder."""

from pathlib import Path

from contrastive.data.images.arrays import holds_images, read_file
from contrastive.data.images.folder import read_folder
from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.torchvision_sets import available_sets, read_set

_ARRAYS = (".npy", ".npz")


def names_images(data: str, name: str | None = None) -> bool:
    """Whether `data` is a named set, a folder, or a .npy or .npz file of images.

    Args:
        data: what was given as `--data`.
        name: of the array in an .npz that holds several.

    Raises:
        ContrastiveError: if an .npz has no array of that name.
    """
    path = Path(data)
    if data in available_sets() or path.is_dir():
        return True
    return path.suffix.lower() in _ARRAYS and path.is_file() and holds_images(path, name)


def read_images(data: str, options: ImageOptions) -> ImageSet:
    """The images that `data` names; see `names_images`.

    Raises:
        ContrastiveError: if they cannot be read; the message names the file.
    """
    if data in available_sets():
        return read_set(data, options)
    path = Path(data)
    return read_folder(path, options) if path.is_dir() else read_file(path, options)
