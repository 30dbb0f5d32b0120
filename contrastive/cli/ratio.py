"""`contrastive ratio`."""

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive.cli.options import dotted_options
from contrastive.data.tables import Table, write_columns
from contrastive.errors import ContrastiveError, MissingExtraError, warn
from contrastive.io.atomic import write_atomically
from contrastive.io.checkpoints import finite_or_none, write_json
from contrastive.metrics.ratio import Weights
from contrastive.ratio import RatioEstimate, fit_ratio

_FORMAT = "contrastive-ratio-1"
_ROWS = 100_000  # scored at once


def run(
    *,
    a: str,
    b: str | None,
    independent: list[str] | None,
    out: str | None,
    overwrite: bool,
    level: float,
    quiet: bool,
    json_output: bool,
    dotted: list[str],
    **settings: Any,
) -> None:
    """Fit the log-ratio, print what held-out rows say of it, and keep it where that is asked for."""
    place = None if out is None else Path(out)
    if place is not None:
        _check_free(place, overwrite=overwrite)
    if (b is None) == (independent is None):
        raise ContrastiveError("give two tables, A.csv B.csv, or one and --independent X Y")
    sides = None if independent is None else _sides(independent)
    given = {name: value for name, value in settings.items() if value is not None}
    estimate = fit_ratio(a, b, independent=sides, level=level, quiet=quiet, **given, **dict(dotted_options(dotted)))
    if place is not None:
        _keep(estimate, place, {"a": a, "b": b})
    print(json.dumps(finite_or_none(estimate.summary), indent=2) if json_output else estimate)
    if place is not None and not json_output:
        print(f"kept: {place}")


def _sides(independent: list[str]) -> tuple[list[str], list[str]]:
    x, y = ([name.strip() for name in side.split(",") if name.strip()] for side in independent)
    return x, y


def _check_free(place: Path, *, overwrite: bool) -> None:
    """Refuse a directory that holds something else than a ratio, or one that is not to be replaced."""
    if place.exists() and not place.is_dir():
        raise ContrastiveError(f"--out {place} is a file: give a directory")
    if not place.exists() or not any(place.iterdir()):
        return
    if not overwrite:
        raise ContrastiveError(f"{place} exists already; replace it with --overwrite or choose another --out")
    try:
        ours = json.loads((place / "summary.json").read_text(encoding="utf-8")).get("format") == _FORMAT
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise ContrastiveError(f"{place} holds no ratio; --overwrite will not replace it, choose another --out")


def _keep(estimate: RatioEstimate, place: Path, data: dict[str, str | None]) -> None:
    """Rows with their log-ratios, the calibration plot, and the figures; the summary is written last."""
    files = {"a": estimate.data.a, "b": estimate.data.b} if estimate.data.b else {"rows": estimate.data.a}
    for (name, table), held_out in zip(files.items(), estimate.data.held_out):
        assert held_out is not None
        columns, rows = _scored(estimate, table, held_out, weigh=name == "b")
        blocks: Iterable[NDArray[np.float64]] = np.split(rows, range(_ROWS, len(rows), _ROWS))
        write = partial(write_columns, kind=".csv", names=columns, blocks=blocks, rows=len(rows))
        write_atomically(place / f"{name}.csv", write)
    _draw(estimate, place / "calibration.png")
    write_json(place / "summary.json", {"format": _FORMAT, **data, **estimate.summary, **_reliability(estimate)})


def _scored(
    estimate: RatioEstimate, table: Table, held_out: Tensor, *, weigh: bool
) -> tuple[list[str], NDArray[np.float64]]:
    """A table's rows, in order, with log-ratio, weight (of B) and whether they were held out."""
    log_ratio = torch.cat([estimate.log_ratio(part) for part in torch.from_numpy(table.values).split(_ROWS)])
    is_held_out = torch.zeros(len(log_ratio), dtype=torch.float64)
    is_held_out[held_out] = 1.0
    added = {"log_ratio": log_ratio, **({"weight": Weights.of(log_ratio).values} if weigh else {})}
    added["held_out"] = is_held_out
    return [*table.columns, *added], np.column_stack([table.values, *(column.numpy() for column in added.values())])


def _reliability(estimate: RatioEstimate) -> dict[str, Any]:
    found = estimate.calibration
    table = {name: getattr(found, name).tolist() for name in ("predicted", "observed", "share")}
    return {"reliability": table}


def _draw(estimate: RatioEstimate, path: Path) -> None:
    try:
        from contrastive.plots import ratio_figure
    except MissingExtraError as error:
        warn(f"the calibration plot was left out; {error}")
        return
    names = ("A", "B") if estimate.data.split is None else ("joint", "product")
    figure = ratio_figure(estimate.calibration, *estimate.held_out, names=names)
    write_atomically(path, partial(figure.savefig, dpi=120, format="png"))
