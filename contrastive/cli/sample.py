"""`contrastive sample`."""

import io
import json as _json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrastive.api import ContrastiveEstimator, load
from contrastive.cli.contexts import read_contexts
from contrastive.cli.outputs import refuse_existing
from contrastive.data.images import PixelScaling, image_grid, quantize, write_png
from contrastive.data.points import Rows, as_contexts
from contrastive.data.schema import TableScaling
from contrastive.data.schema.frames import to_frame
from contrastive.errors import ContrastiveError, warn
from contrastive.io.atomic import write_atomically
from contrastive.io.checkpoints import finite_or_none
from contrastive.protocols import NoiseOverRows
from contrastive.sampling import sample_energy, sample_given
from contrastive.training.run_directory import RunDirectory


def run(
    *,
    run: str,
    model: str,
    n: int,
    out: str,
    seed: int,
    overwrite: bool,
    json: bool,
    given: str | None = None,
    allow_import: bool = False,
    **chains: Any,
) -> None:
    """Write `n` draws to `out`, in original units, and say how far to trust them."""
    path = Path(out)
    settings = {name: value for name, value in chains.items() if value is not None}
    if path.suffix not in (".npy", ".csv", ".npz", ".png"):
        raise ContrastiveError(f"--out {out}: expected a .npy or .csv file, or for images .npz, .npy or .png")
    refuse_existing(path, overwrite=overwrite)
    if n < 1:
        raise ContrastiveError(f"-n must be at least 1, got {n}")
    if model == "noise" and (settings or json):
        others = [f"--{name}" for name in settings] + ["--json"] * json
        raise ContrastiveError(f"draws of the noise are exact and need no sampler: leave out {', '.join(others)}")
    estimator = load(run, allow_import=allow_import)
    scaling = estimator.scaling
    suffixes = (".npz", ".npy", ".png") if isinstance(scaling, PixelScaling) else (".npy", ".csv")
    if path.suffix not in suffixes:
        raise ContrastiveError(f"--out {out}: draws of this run go to {' or '.join(suffixes)} files")
    refuse_existing(path, overwrite=overwrite, data=RunDirectory(run).read_config().data.source)
    torch.manual_seed(seed)
    if given is not None:
        if settings or json:
            others = [f"--{name}" for name in settings] + ["--json"] * json
            raise ContrastiveError(f"draws given a context take no settings of chains: leave out {', '.join(others)}")
        x = _given(estimator, n, read_contexts(given, estimator), noise=model == "noise")
    elif model == "noise":
        x = estimator.sample_noise(n)
    else:
        samples = sample_energy(estimator, n, progress=not json, **settings)
        x = samples.x
        if json:
            print(_json.dumps(finite_or_none(samples.diagnostics()), indent=2))
        else:
            print(samples, file=sys.stderr)
        if samples.warnings:
            warn(samples.advice)
    columns = RunDirectory(run).read_summary()["columns"]
    if isinstance(scaling, PixelScaling):
        images = quantize(x, scaling.bits).cpu()
        write_atomically(path, lambda part: _write_images(part, path.suffix, images))
    elif isinstance(scaling, TableScaling) and path.suffix == ".csv":
        frame = to_frame(x, scaling)
        write_atomically(path, lambda part: frame.to_csv(part, index=False))
    else:
        write_atomically(path, lambda part: _write(part, path.suffix, x.cpu().numpy(), columns))
    if not json:
        print(f"{len(x)} draws from the {model}: {path}")


def _given(estimator: ContrastiveEstimator, n: int, contexts: Rows, *, noise: bool) -> Tensor:
    """Whole rows, `n` for each context."""
    y = estimator.model_contexts(contexts)
    if noise:
        assert isinstance(estimator.noise, NoiseOverRows)
        rows = estimator.scaling.inverse(estimator.noise.sample_given(y.repeat(n, 1)))
    else:
        samples = sample_given(estimator, n, y)
        print(samples, file=sys.stderr)
        if samples.warning:
            warn(samples.warning)
        rows = samples.rows.flatten(0, 1)
    # The contexts as they were given: those that went through the model are rounded to its precision.
    rows[:, -y.shape[1] :] = as_contexts(contexts, estimator.scaling, estimator.columns).to(rows).repeat(n, 1)
    return rows


def _write_images(part: Path, suffix: str, images: Tensor) -> None:
    """Pixels 0 to 255, `x` in an .npz; or one picture of all."""
    if suffix == ".png":
        write_png(part, image_grid(images))
        return
    with part.open("wb") as handle:  # given a path, numpy would append a suffix to it
        if suffix == ".npz":
            np.savez_compressed(handle, x=images.numpy())
        else:
            np.save(handle, images.numpy(), allow_pickle=False)


def _write(part: Path, suffix: str, values: np.ndarray, columns: list[str]) -> None:
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, values, allow_pickle=False)
    else:
        flat = values.reshape(len(values), -1)
        np.savetxt(buffer, flat, delimiter=",", header=",".join(columns), comments="")
    part.write_bytes(buffer.getvalue())
