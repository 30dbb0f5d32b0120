"""Tables from .npy and .npz files."""

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.data.tables.columns import one_line
from contrastive.data.tables.stream import TableStream
from contrastive.data.tables.table import LostDigits, Table, from_array
from contrastive.data.unreadable import readable
from contrastive.errors import ContrastiveError, did_you_mean

_DEFLATE = 1040  # deflate makes no more than 1032 bytes of one


def read_npy(path: Path) -> Table:
    """The array of a .npy file.

    Raises:
        ContrastiveError: if the file cannot be read, or holds no rows of numbers.
    """
    return _table(path, _mapped(path))


def open_npy(path: Path) -> TableStream:
    """The array of a .npy file, to be read in blocks.

    Raises:
        ContrastiveError: as `read_npy`.
    """
    digits = LostDigits()
    first, total = _table(path, _mapped(path)[:1], digits), len(_mapped(path))

    def blocks(rows: int) -> Iterator[NDArray[np.float64]]:
        for start in range(0, total, rows):
            # Mapped anew each time: the pages of a map stay in memory as long as it does.
            yield _table(path, _mapped(path)[start : start + rows], digits).values

    return TableStream(first.columns, total, tuple(first.values.shape[1:]), blocks)


def read_npz(path: Path, wanted: list[str] | None, label: str | None) -> Table:
    """One array of an .npz file, and that of the labels where one is named.

    Raises:
        ContrastiveError: if the file cannot be read, an array is unknown or holds no rows of numbers, or there are
            several and none is named.
    """
    held = array_names(path)
    for each in [name for name in (label, *(wanted or [])[:1]) if name is not None]:
        if each not in held:
            raise ContrastiveError(f"{path} has no array {each!r}; {did_you_mean(each, map(one_line, held))}")
    names = wanted or [name for name in held if name != label]
    if wanted is None and len(names) != 1:
        raise ContrastiveError(
            f"{path} holds {', '.join(map(one_line, names)) or 'labels alone'}: pick one with --columns NAME"
        )
    table = _table(path, _member(path, names[0]))
    return table if label is None else replace(table, labels=_member(path, label))


def array_names(path: Path) -> list[str]:
    """The names of an .npz's arrays.

    Raises:
        ContrastiveError: if the file cannot be read.
    """
    with readable(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _mapped(path: Path) -> NDArray[Any]:
    with readable(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of odd headers, and then reads or refuses them
        with path.open("rb") as handle:
            _check_claim(handle, path.stat().st_size)
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array


def _member(path: Path, name: str) -> NDArray[Any]:
    with readable(path), warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
        warnings.simplefilter("ignore")
        file = name if name in archive.namelist() else f"{name}.npy"
        info = archive.getinfo(file)
        if info.flag_bits & 1:
            raise RuntimeError("encrypted")
        with archive.open(info) as handle:
            _check_claim(handle, min(info.file_size, _most(info, path.stat().st_size)))
        with archive.open(info) as handle:
            array = np.lib.format.read_array(handle, allow_pickle=False)
            handle.read()  # to the end of the member, where its checksum is compared
        return array


def _most(info: zipfile.ZipInfo, size: int) -> float:
    """The bytes that a member of an archive of `size` bytes can unpack to, whatever its directory says."""
    stored = min(info.compress_size, size)
    return {zipfile.ZIP_STORED: stored, zipfile.ZIP_DEFLATED: _DEFLATE * stored}.get(info.compress_type, math.inf)


def _check_claim(handle: Any, size: float) -> None:
    """Compare what a header claims with the bytes there are, before memory is asked for.

    Raises:
        ValueError: if it claims more, or Python objects.
    """
    start = io.BytesIO(handle.read(2**16))  # a longer header is none that numpy reads
    version = np.lib.format.read_magic(start)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(start)
    if dtype.hasobject:
        raise ValueError("object arrays hold pickles")
    if any(side < 0 for side in shape):
        raise ValueError(f"its header claims the shape {shape}")
    there, claimed = size - start.tell(), math.prod(shape) * dtype.itemsize
    if claimed > there:
        raise ValueError(f"its header claims {claimed:,} bytes of {dtype} and no more than {there:,} are there")
    if max(shape, default=0) > np.iinfo(np.intp).max:
        raise ValueError(f"its header claims the shape {shape}")


def _table(path: Path, array: NDArray[Any], digits: LostDigits | None = None) -> Table:
    try:
        return from_array(array, digits)
    except ContrastiveError as error:
        raise ContrastiveError(f"{path}: {error}") from error
