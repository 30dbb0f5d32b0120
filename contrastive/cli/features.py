"""`contrastive features`."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive.api import load
from contrastive.cli.outputs import refuse_existing
from contrastive.config import FitConfig, changed
from contrastive.data import tables
from contrastive.data.densities import available_densities
from contrastive.data.images import names_images
from contrastive.data.preparation import images_of, label_column_in, read_rows
from contrastive.data.scaling import Coordinates
from contrastive.errors import ContrastiveError
from contrastive.inference.features import extract_features, named_layers
from contrastive.io.atomic import write_atomically
from contrastive.training.run_directory import RunDirectory


def run(
    *,
    run: str,
    data: str | None,
    part: str,
    columns: str | None,
    labels: str | None,
    layers: str,
    pool: int | None,
    batch_size: int | None,
    out: str | None,
    overwrite: bool,
    list_layers: bool,
    allow_import: bool = False,
) -> None:
    """Write the activations of layers of a run's energy at data, with the labels, as one .npz file."""
    if list_layers:
        for name, kind in named_layers(load(run, allow_import=allow_import).energy).items():
            print(f"{name:24} {kind}")
        return
    if data is None or out is None:
        raise ContrastiveError("give both --data and --out, or --list-layers to see what the energy has")
    path = Path(out)
    if path.suffix != ".npz":
        raise ContrastiveError(f"--out {out}: expected a .npz file")
    refuse_existing(path, overwrite=overwrite, data=data)
    estimator, config = load(run, allow_import=allow_import), RunDirectory(run).read_config()
    config = changed(config, {"data.columns": columns or config.data.columns})
    shape, scaling = tuple(estimator.noise.event_shape), estimator.scaling
    x, y = _rows_and_labels(data, part, labels, config, shape, estimator.columns, scaling)
    names: str | list[str] = [name.strip() for name in layers.split(",")] if "," in layers else layers
    features = extract_features(estimator, x, names, pool=pool, batch_size=batch_size)
    arrays: dict[str, Any] = {"features": features.values.numpy(), "layers": np.array(features.layers)}
    arrays["sizes"] = np.array(features.sizes)
    if y is not None:
        arrays["y"] = y
    write_atomically(path, lambda part: _write(part, arrays))
    per_layer = " + ".join(f"{size} of {name}" for name, size in zip(features.layers, features.sizes))
    print(f"{len(x)} rows of {sum(features.sizes)} features ({per_layer}){'' if y is None else ', with y'}: {path}")


def _rows_and_labels(
    data: str,
    part: str,
    labels: str | None,
    config: FitConfig,
    event_shape: tuple[int, ...],
    fitted: tuple[str, ...] | None,
    scaling: Coordinates,
) -> tuple[Tensor, NDArray[Any] | None]:
    """All rows in the order in which they lie, in original units or as uint8, and a label for each where there are."""
    if data in available_densities() or not names_images(data, config.data.columns or None):
        own = labels if tables.has_named_columns(data) else None
        config = changed(config, {"labels.column": own or label_column_in(data, config)})
        x, _ = read_rows(data, config, event_shape, columns=fitted, scaling=scaling)
        return x, _labels(data, labels, len(x))
    images = images_of(data, config)
    if part == "test":
        if images.test is None:
            raise ContrastiveError(f"{data} has no test part of its own: leave out --part")
        images = images.test
    if images.event_shape != event_shape:
        raise ContrastiveError(f"{data} has images of shape {images.event_shape}, the run was fitted to {event_shape}")
    y = images.labels if labels is None else _labels(data, labels, len(images))
    return torch.from_numpy(np.ascontiguousarray(images.pixels)), y


def _labels(data: str, name: str | None, rows: int) -> NDArray[Any] | None:
    """The labels beside the data: an array of an .npz, `y` unless named, or a named column of a table."""
    path = Path(data)
    if path.suffix.lower() == ".npz":
        y = _array(path, name)
    elif name is None:
        return None
    elif not tables.is_table(path) or not path.is_file():
        raise ContrastiveError(f"{data} is no table and no .npz file, so --labels cannot name its labels: leave it out")
    else:
        y = tables.read_table(path, name).values[:, 0]
        y = y.astype(np.int64) if np.array_equal(y, np.round(y)) else y
    if y is not None and y.shape[:1] != (rows,):
        raise ContrastiveError(f"the labels {name or 'y'!r} have shape {y.shape}, expected one for each of {rows} rows")
    return y


def _array(path: Path, name: str | None) -> NDArray[Any] | None:
    with np.load(path, allow_pickle=False) as arrays:
        if name is not None and name not in arrays.files:
            raise ContrastiveError(f"{path} has no array {name!r} of labels: it holds {', '.join(arrays.files)}")
        name = name or ("y" if "y" in arrays.files else None)
        return None if name is None else np.asarray(arrays[name])


def _write(part: Path, arrays: dict[str, Any]) -> None:
    with part.open("wb") as handle:
        np.savez(handle, **arrays)
