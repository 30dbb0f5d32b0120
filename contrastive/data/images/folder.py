"""Images from a folder of picture files."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from contrastive.data.images.image_set import ImageSet
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.pillow import require_pillow
from contrastive.errors import ContrastiveError
from contrastive.io.atomic import write_atomically

#: Formats that are programs: Pillow has Ghostscript run PostScript, and Windows run metafiles.
_NO_PICTURES = {"PDF", "EPS", "WMF"}
_KEPT_FROM = 1_000  # pictures: fewer are decoded again each time
_GRAY_MODES = ("1", "L", "LA")
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_folder(folder: Path, options: ImageOptions) -> ImageSet:
    """Every picture in `folder` and below that Pillow can read, in the order of their names.

    Where each picture lies in one of several subfolders, these are the classes, numbered in the order of their names.
    More than 1,000 pictures are decoded once and kept as an array in the user's cache, from where they are
    memory-mapped; a changed file or option makes another array.

    Raises:
        ContrastiveError: naming the file, if one is broken or has another size and no size was asked for.
    """
    files = picture_files(folder)
    if not files:
        raise ContrastiveError(f"there are no pictures in {folder}; expected files such as .png and .jpg")
    return ImageSet(read_pictures(files, options), _labels(folder, files))


def picture_files(folder: Path) -> list[Path]:
    """Files below `folder` whose names end as pictures' do, sorted; hidden ones are left out."""
    require_pillow()
    from PIL import Image

    Image.init()
    known = {suffix for suffix, name in Image.registered_extensions().items() if name not in _NO_PICTURES} - {".npy"}
    paths = (Path(here, name) for here, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in known and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_pictures(files: list[Path], options: ImageOptions, *, square: int | None = None) -> NDArray[np.uint8]:
    """The pictures as one array `(n, C, H, W)`; memory-mapped from the cache where they are many.

    Args:
        files: the pictures.
        options: size, crop, colour and progress.
        square: cut a centred square of this side before anything else.

    Raises:
        ContrastiveError: naming the file that is broken or does not fit.
    """
    if len(files) <= _KEPT_FROM:
        shape, mode = _layout(files, options)
        pixels = np.empty((len(files), *shape), np.uint8)
        _decode(files, pixels, mode, options, square)
        return pixels
    path = _cache() / f"{_key(files, options, square)}.npy"
    kept = _kept(path)
    if kept is None:
        shape, mode = _layout(files, options)
        write_atomically(path, partial(_write, files, (len(files), *shape), mode, options, square))
        kept = _kept(path)
    if kept is None:
        raise ContrastiveError(f"cannot read {path}, which was just written; is the disk full?")
    return kept


def _kept(path: Path) -> NDArray[np.uint8] | None:
    """The array at `path`; None where there is none, or a damaged one."""
    try:
        pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
        return pixels
    except (OSError, ValueError, EOFError):
        return None


def _labels(folder: Path, files: list[Path]) -> NDArray[np.int64] | None:
    parts = [path.relative_to(folder).parts for path in files]
    if any(len(part) < 2 for part in parts):
        return None
    classes = sorted({part[0] for part in parts})
    return np.array([classes.index(part[0]) for part in parts], np.int64) if len(classes) > 1 else None


def _layout(files: list[Path], options: ImageOptions) -> tuple[tuple[int, int, int], str]:
    """The shape of one image and Pillow's mode for it, from the headers of all files.

    Raises:
        ContrastiveError: if sizes differ and none was asked for.
    """
    gray, first = True, None
    for path in tqdm(files, desc="looking at pictures", unit="picture", disable=not options.progress, leave=False):
        with _opened(path) as picture:
            size = _upright(picture)
            gray = gray and picture.mode in _GRAY_MODES
        first = first or size
        if options.size is None and size != first:
            raise ContrastiveError(
                f"pictures differ in size: {files[0]} is {first[0]} x {first[1]}, {path} is {size[0]} x {size[1]}; "
                "bring them to one with --image-size N"
            )
    assert first is not None
    is_gray = options.color == "gray" or (options.color is None and gray)
    width, height = (options.size, options.size) if options.size is not None else first
    return (1 if is_gray else 3, height, width), "L" if is_gray else "RGB"


def _upright(picture: Any) -> tuple[int, int]:
    """Width and height after the rotation that a camera noted."""
    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    width, height = picture.size
    return (height, width) if turned else (width, height)


def _write(
    files: list[Path], shape: tuple[int, ...], mode: str, options: ImageOptions, square: int | None, part: Path
) -> None:
    pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
    _decode(files, pixels, mode, options, square)
    pixels.flush()


def _decode(files: list[Path], pixels: NDArray[np.uint8], mode: str, options: ImageOptions, square: int | None) -> None:
    height, width = pixels.shape[2:]
    bar = tqdm(files, desc="reading pictures", unit="picture", disable=not options.progress, leave=False)
    for row, path in zip(pixels, bar):
        with _opened(path) as picture:
            row[...] = _pixels(picture, mode, (width, height), options, square)


def _pixels(picture: Any, mode: str, size: tuple[int, int], options: ImageOptions, square: int | None) -> Any:
    from PIL import Image, ImageOps

    if picture.mode in _DEEP_MODES:
        raise ValueError(f"its pixels have more than 8 bits (mode {picture.mode})")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode != mode:
        picture = picture.convert("RGBA").convert(mode) if picture.mode in ("P", "PA") else picture.convert(mode)
    if square is not None:
        picture = picture.crop(_centred(picture.size, square))
    if picture.size != size:
        box = _centred(picture.size, min(picture.size)) if options.crop == "center" else None
        picture = picture.resize(size, Image.Resampling.BILINEAR, box=box)
    values = np.asarray(picture)
    return values[None] if mode == "L" else np.moveaxis(values, 2, 0)


def _centred(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from PIL import Image

    try:
        Image.init()
        # Pillow goes by the content: a name that ends in .png says nothing.
        with Image.open(path, formats=[name for name in Image.ID if name not in _NO_PICTURES]) as picture:
            yield picture
    except ContrastiveError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything at a broken file
        why = " ".join(str(error).split()) or type(error).__name__
        raise ContrastiveError(f"cannot read the picture {path}: {why}; repair it or take it away") from error


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contrastive" / "pixels"


def _key(files: list[Path], options: ImageOptions, square: int | None) -> str:
    digest = hashlib.sha256(f"1|{options.size}|{options.crop}|{options.color}|{square}".encode())
    for path in files:
        about = path.stat()
        digest.update(f"{path.resolve()}|{about.st_size}|{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]
