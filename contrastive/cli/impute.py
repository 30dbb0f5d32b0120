"""`contrastive impute`."""

from pathlib import Path
from typing import Any

import torch

from contrastive.api import load
from contrastive.cli.outputs import refuse_existing
from contrastive.data.tables.raw import is_raw_table
from contrastive.errors import ContrastiveError
from contrastive.io.atomic import write_atomically
from contrastive.training.run_directory import RunDirectory


def run(
    *,
    run: str,
    data: str,
    out: str,
    seed: int,
    overwrite: bool,
    allow_import: bool = False,
    **settings: int,
) -> None:
    """Write the table with its gaps filled by draws of the energy given the other values."""
    path = Path(out)
    if path.suffix not in (".csv", ".parquet"):
        raise ContrastiveError(f"--out {out}: expected a .csv or .parquet file")
    if not is_raw_table(data):
        raise ContrastiveError(f"{data} is no table: expected a .csv, .tsv, .parquet, .npy or .npz file")
    refuse_existing(path, overwrite=overwrite, data=data)
    refuse_existing(path, overwrite=overwrite, data=RunDirectory(run).read_config().data.source)
    estimator = load(run, allow_import=allow_import)
    torch.manual_seed(seed)
    imputed = estimator.impute(data, **settings)
    frame = _long(estimator, imputed.x)
    write_atomically(path, lambda part: _write(part, path.suffix, frame))
    gaps = ~imputed.effective_share.isnan()
    share = float(imputed.effective_share[gaps].mean()) if bool(gaps.any()) else 1.0
    print(f"{int(gaps.sum()):,} of {len(gaps):,} rows had gaps; {100 * share:.0f} % of their proposals count: {path}")


def _long(estimator: Any, x: torch.Tensor) -> Any:
    """All draws under each other; where there are several, the first column counts them."""
    frame = estimator.to_frame(x.flatten(0, 1))
    if len(x) > 1:
        frame.insert(0, "draw", torch.arange(1, len(x) + 1).repeat_interleave(x.shape[1]).numpy())
    return frame


def _write(part: Path, suffix: str, frame: Any) -> None:
    if suffix == ".csv":
        frame.to_csv(part, index=False)
    else:
        frame.to_parquet(part, index=False)
