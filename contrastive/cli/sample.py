"""`contrastive sample`."""

import io
import sys
from pathlib import Path

import numpy as np
import torch

from contrastive.errors import ContrastiveError
from contrastive.sampling import resample
from contrastive.training.api import load
from contrastive.training.files import write_atomically
from contrastive.training.run_directory import RunDirectory

_LOW_EFFECTIVE_SHARE = 0.05


def run(*, run: str, model: str, n: int, out: str, seed: int, overwrite: bool) -> None:
    """Write `n` draws to `out`, in original units."""
    path = Path(out)
    if path.suffix not in (".npy", ".csv"):
        raise ContrastiveError(f"--out {out}: expected a .npy or .csv file")
    if path.exists() and not overwrite:
        raise ContrastiveError(f"{out} exists already; replace it with --overwrite or choose another --out")
    if n < 1:
        raise ContrastiveError(f"-n must be at least 1, got {n}")
    estimator = load(run)
    torch.manual_seed(seed)
    if model == "noise":
        x = estimator.sample_noise(n)
    else:
        drawn = resample(estimator, n)
        x = drawn.x
        share = drawn.effective_sample_size / drawn.proposals
        if share < _LOW_EFFECTIVE_SHARE:
            print(
                f"contrastive: warning: the noise is far from the energy: {drawn.proposals} proposals count as "
                f"{drawn.effective_sample_size:.0f}; expect repeated draws",
                file=sys.stderr,
            )
    values = x.cpu().numpy()
    columns = RunDirectory(run).read_summary()["columns"]
    write_atomically(path, lambda part: _write(part, path.suffix, values, columns))
    print(f"{n} draws from the {model}: {path}")


def _write(part: Path, suffix: str, values: np.ndarray, columns: list[str]) -> None:
    buffer = io.BytesIO()
    if suffix == ".npy":
        np.save(buffer, values, allow_pickle=False)
    else:
        flat = values.reshape(len(values), -1)
        np.savetxt(buffer, flat, delimiter=",", header=",".join(columns), comments="")
    part.write_bytes(buffer.getvalue())
