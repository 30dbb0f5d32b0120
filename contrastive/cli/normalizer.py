"""`contrastive normalizer`."""

import json as _json
import sys
from typing import Any

import torch

from contrastive.errors import ContrastiveError
from contrastive.estimator import ContrastiveEstimator
from contrastive.normalizer import LogPartition, log_partitions
from contrastive.training.api import load
from contrastive.training.files import finite_or_none, write_json
from contrastive.training.preparation import prepare
from contrastive.training.run_directory import RunDirectory


def run(*, run: str, method: str, draws: int, level: float, longest: int, seed: int, json: bool) -> None:
    """Estimate log Z of a finished run, keep it in the run, and print it beside the learned c."""
    estimator, directory = load(run), RunDirectory(run)
    torch.manual_seed(seed)
    estimates = log_partitions(
        estimator,
        method,
        draws=draws,
        level=level,
        longest=longest,
        data=_held_out(directory),
        progress=sys.stderr.isatty(),
    )
    report = _report(estimator, estimates) | {"asked": {"method": method, "draws": draws, "seed": seed}}
    write_json(directory.normalizer_path, report)
    if json:
        print(_json.dumps(finite_or_none(report)))
        return
    for k, (estimate, learned) in enumerate(zip(estimates, estimator.log_normalizer.reshape(-1).tolist())):
        if len(estimates) > 1:
            print(f"class {k}")
        _show(estimate, learned)
    print(f"kept: {directory.path / 'normalizer.json'}")


def _held_out(directory: RunDirectory) -> torch.Tensor | None:
    """The run's test rows, by which a mode that no draw reaches is noticed."""
    config = directory.read_config()
    try:
        return prepare(config.data, config).test
    except ContrastiveError as error:
        print(
            f"contrastive: warning: a missing mode would go unnoticed, the run's data are gone: {error}",
            file=sys.stderr,
        )
        return None


def _report(estimator: ContrastiveEstimator, estimates: list[LogPartition]) -> dict[str, Any]:
    """One estimate flat; those of classes as a list."""
    learned = estimator.log_normalizer.reshape(-1).tolist()
    entries = [
        {**estimate.to_dict(), "log_normalizer": c, "difference": c - estimate.log_z}
        for estimate, c in zip(estimates, learned)
    ]
    return entries[0] if estimator.num_classes is None else {"classes": entries}


def _show(estimate: LogPartition, learned: float) -> None:
    print(estimate)
    inside = "inside" if estimate.low <= learned <= estimate.high else "outside"
    print(f"learned c = {learned:.4f}, log Z {learned - estimate.log_z:+.4f}: {inside} the interval")
    width = max(map(len, estimate.diagnostics))
    for name, value in estimate.diagnostics.items():
        print(f"  {name:{width}}  {value:.6g}" if isinstance(value, float) else f"  {name:{width}}  {value}")
