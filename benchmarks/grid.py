"""Many fits at once: each kept as a run, so that a benchmark that was stopped goes on where it was."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from contrastive.config import FitConfig


@dataclass(frozen=True)
class Result:
    """A finished run: its label in the benchmark, summary and curve."""

    label: str
    path: Path
    summary: dict[str, Any]
    metrics: list[dict[str, Any]]


def benchmark_parser(doc: str | None, name: str, quick: str) -> argparse.ArgumentParser:
    """What such a benchmark can be told wherever it is: `--jobs`, `--out`, `--results`, and `--quick` with its help."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs") / name)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def run_grid(settings: Sequence[tuple[str, dict[str, Any]]], out: Path, jobs: int) -> list[Result]:
    """Fit every (label, settings) into `out/LABEL/DATA-seedS`; finished runs are read, begun ones resumed.

    Settings are fields of `FitConfig`; a `density` besides makes the data, which `data` then only names.
    """
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        futures = {}
        for label, fields in settings:
            path = out / label / f"{Path(fields['data']).stem}-seed{fields.get('seed', 0)}"
            futures[pool.submit(_fit, fields, path)] = (label, path)
        for future in tqdm(as_completed(futures), total=len(futures), unit="fit", desc=out.name):
            future.result()
    return [read_result(label, path) for label, path in futures.values()]


def provenance() -> dict[str, Any]:
    """What a figure was made with: command, commit, versions, machine."""
    import torch

    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": commit or None,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no GPU" if not torch.cuda.is_available() else "GPU",
    }


def one_thread() -> None:
    """Called in each process of a pool."""
    # One core a fit: small networks gain little from more, and fits run side by side.
    import torch

    torch.set_num_threads(1)


def _fit(settings: dict[str, Any], path: Path) -> None:
    from contrastive.training import api
    from contrastive.training.preparation import holds_images, prepare
    from contrastive.training.progress import Progress
    from contrastive.training.run_directory import RunDirectory
    from contrastive.training.session import begin, make_estimator

    directory = RunDirectory(path)
    if directory.is_finished:
        return
    fields = dict(settings)
    density = fields.pop("density", None)
    resume = directory.config_path.exists()
    source = fields["data"] if density is None else density()
    images = holds_images(source, fields.get("columns"))
    config = directory.read_config() if resume else FitConfig(**fields, out=str(path)).resolved(images=images)
    data = prepare(source, config)
    estimator = make_estimator(config, data)
    if not resume:
        config = begin(config, estimator, data)
        directory.create(config)
    api.run(config, estimator, data, directory, Progress(quiet=True), resume=resume)


def read_result(label: str, path: Path) -> Result:
    """A finished run from its directory."""
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    metrics = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return Result(label, path, summary, metrics)
