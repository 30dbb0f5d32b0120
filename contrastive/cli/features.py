"""`contrastive features`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contrastive.atomic import write_atomically
from contrastive.data import tables
from contrastive.errors import ContrastiveError
from contrastive.features import extract_features, named_layers
from contrastive.training.api import load
from contrastive.training.preparation import read_rows
from contrastive.training.run_directory import RunDirectory


def run(
    *,
    run: str,
    data: str | None,
    columns: str | None,
    labels: str | None,
    layers: str,
    pool: int | None,
    batch_size: int,
    out: str | None,
    overwrite: bool,
    list_layers: bool,
) -> None:
    """Write the activations of layers of a run's energy at data, with the labels, as one .npz file."""
    if list_layers:
        for name, kind in named_layers(load(run).energy).items():
            print(f"{name:24} {kind}")
        return
    if data is None or out is None:
        raise ContrastiveError("give both --data and --out, or --list-layers to see what the energy has")
    path = Path(out)
    if path.suffix != ".npz":
        raise ContrastiveError(f"--out {out}: expected a .npz file")
    if path.exists() and not overwrite:
        raise ContrastiveError(f"{out} exists already; replace it with --overwrite or choose another --out")
    estimator, config = load(run), RunDirectory(run).read_config()
    x = read_rows(data, columns or config.columns, tuple(estimator.noise.event_shape))
    y = _labels(data, labels, len(x))
    names: str | list[str] = [name.strip() for name in layers.split(",")] if "," in layers else layers
    features = extract_features(estimator, x, names, pool=pool, batch_size=batch_size)
    arrays: dict[str, Any] = {"features": features.values.numpy(), "layers": np.array(features.layers)}
    arrays["sizes"] = np.array(features.sizes)
    if y is not None:
        arrays["y"] = y
    write_atomically(path, lambda part: _write(part, arrays))
    per_layer = " + ".join(f"{size} of {name}" for name, size in zip(features.layers, features.sizes))
    print(f"{len(x)} rows of {sum(features.sizes)} features ({per_layer}){'' if y is None else ', with y'}: {path}")


def _labels(data: str, name: str | None, rows: int) -> NDArray[Any] | None:
    """The labels beside the data: an array of an .npz, `y` unless named, or a named column of a table."""
    path = Path(data)
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            name = name or ("y" if "y" in arrays.files else None)
            if name is None:
                return None
            if name not in arrays.files:
                raise ContrastiveError(f"{data} has no array {name!r} of labels: it holds {', '.join(arrays.files)}")
            y = np.asarray(arrays[name])
    elif name is None:
        return None
    elif not path.exists():
        raise ContrastiveError(f"{data} is no file, so it has no labels: leave out --labels")
    else:
        y = tables.read_table(path, name).values[:, 0]
        y = y.astype(np.int64) if np.array_equal(y, np.round(y)) else y
    if y.shape[:1] != (rows,):
        raise ContrastiveError(f"the labels {name!r} have shape {y.shape}, expected one for each of {rows} rows")
    return y


def _write(part: Path, arrays: dict[str, Any]) -> None:
    with part.open("wb") as handle:
        np.savez(handle, **arrays)
