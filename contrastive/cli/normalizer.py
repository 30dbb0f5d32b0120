"""`contrastive normalizer`."""

import json as _json
import sys
from typing import Any

import torch

from contrastive.api import load
from contrastive.cli.contexts import read_contexts
from contrastive.errors import ContrastiveError, warn
from contrastive.io.checkpoints import finite_or_none, write_json
from contrastive.metrics import partition_figures
from contrastive.normalizer import LogPartition, log_partitions
from contrastive.numerics.row_weights import resampled
from contrastive.training.held_out import HeldOut, read_held_out
from contrastive.training.run_directory import RunDirectory


def run(
    *,
    run: str,
    method: str,
    draws: int,
    level: float,
    max_temperatures: int,
    seed: int,
    json: bool,
    given: str | None = None,
    allow_import: bool = False,
) -> None:
    """Estimate log Z of a finished run, keep it there unless it is that of one context, and print it beside c."""
    estimator, directory = load(run, allow_import=allow_import), RunDirectory(run)
    settings: dict[str, Any] = {"draws": draws, "level": level, "max_temperatures": max_temperatures}
    if given is not None:
        torch.manual_seed(seed)
        contexts = read_contexts(given, estimator)
        estimate = estimator.log_partition(method, given=contexts, progress=sys.stderr.isatty(), **settings)
        if json:
            print(_json.dumps(finite_or_none(estimate.to_dict()), indent=2))
        else:
            _show(estimate, float(estimator.log_normalizer))
        return
    held_out = _held_out(directory, estimator.columns)
    test, weight = (None, None) if held_out is None else (held_out.x, held_out.sample_weight)
    settings["data"] = None if test is None else resampled(test, weight)
    torch.manual_seed(seed)
    estimates = log_partitions(estimator, method, progress=sys.stderr.isatty(), **settings)
    report = partition_figures(estimator, estimates, test, weight) | {
        "log_normalizer": estimator.log_normalizer.tolist(),
        "estimates": [estimate.to_dict() for estimate in estimates],
        "asked": {"method": method, "draws": draws, "max_temperatures": max_temperatures, "seed": seed},
    }
    write_json(directory.normalizer_path, report)
    if json:
        print(_json.dumps(finite_or_none(report)))
        return
    for k, (estimate, learned) in enumerate(zip(estimates, estimator.log_normalizer.reshape(-1).tolist())):
        if len(estimates) > 1:
            print(f"class {k}")
        _show(estimate, learned)
    if test is not None:
        print(f"mean log p of the test rows, by the upper end: {report['test_log_prob_energy_normalized']:.4f}")
    print(f"kept: {directory.normalizer_path}")


def _held_out(directory: RunDirectory, columns: tuple[str, ...] | None) -> HeldOut | None:
    """The run's test rows, by which a mode that no draw reaches is noticed."""
    try:
        return read_held_out(directory, columns)
    except ContrastiveError as error:
        warn(f"a missing mode would go unnoticed, the run's data are gone: {error}")
        return None


def _show(estimate: LogPartition, learned: float) -> None:
    print(estimate)
    inside = "inside" if estimate.low <= learned <= estimate.high else "outside"
    print(f"learned c = {learned:.4f}, log Z {learned - estimate.log_z:+.4f}: {inside} the interval")
    width = max(map(len, estimate.diagnostics))
    for name, value in estimate.diagnostics.items():
        print(f"  {name:{width}}  {value:.6g}" if isinstance(value, float) else f"  {name:{width}}  {value}")
