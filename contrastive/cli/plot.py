"""`contrastive plot`."""

import os
from pathlib import Path

from contrastive.cli.reports import write_report
from contrastive.errors import ContrastiveError
from contrastive.plots.report import is_report
from contrastive.training.run_directory import RunDirectory


def run(*, runs: list[str], out: str | None, allow_import: bool = False) -> None:
    """Write one report over the runs and say where it is."""
    path = Path(out) if out else (Path(runs[0]) / "report.html" if len(runs) == 1 else Path("report.html"))
    if os.path.lexists(path) and not is_report(path):
        raise ContrastiveError(f"{path} exists already and is no report of ours; choose another --out")
    write_report([RunDirectory(run) for run in runs], path, allow_import=allow_import)
    print(f"report: {path}")
