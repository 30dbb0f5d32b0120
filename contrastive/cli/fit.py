"""`contrastive fit`."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from contrastive.cli.options import build_config
from contrastive.cli.reports import write_run_report
from contrastive.config import FitConfig
from contrastive.errors import ContrastiveError
from contrastive.training import api
from contrastive.training.preparation import holds_images, prepare
from contrastive.training.progress import Progress, describe
from contrastive.training.run_directory import RunDirectory
from contrastive.training.session import begin, make_estimator


def run(
    *,
    dotted: list[str],
    config: str | None,
    resume: str | None,
    overwrite: bool,
    no_report: bool,
    quiet: bool,
    allow_import: bool = False,
    **given: Any,
) -> None:
    """Fit, and keep the run."""
    if resume:
        _refuse_others(given, dotted, config, overwrite)
        directory = RunDirectory(resume)
        settings = directory.read_config()
        if directory.is_finished:
            raise ContrastiveError(f"{resume} is finished already; its figures are in {directory.summary_path}")
    else:
        settings = build_config(given, dotted, config)
        settings = settings.resolved(images=holds_images(settings.data, settings.columns))
        settings = dataclasses.replace(settings, out=settings.out or _default_directory(settings))
        directory = RunDirectory(str(settings.out))
    if not resume:
        directory.check_free(overwrite=overwrite, data=settings.data)  # before the work of reading the data
    data = prepare(settings.data, settings)
    estimator = make_estimator(settings, data, allow_import=allow_import)
    if not resume:
        settings = begin(settings, estimator, data)
        directory.create(settings, overwrite=overwrite)
    try:
        summary = api.run(settings, estimator, data, directory, Progress(quiet=quiet), resume=bool(resume))
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: contrastive fit --resume {directory.path}", file=sys.stderr)
        raise
    if not no_report:
        write_run_report(directory, allow_import=allow_import)
    if not quiet:
        print(describe(summary))
        print(f"run:    {directory.path}")
        if not no_report:
            print(f"report: {directory.path / 'report.html'}")


def _default_directory(config: FitConfig) -> str:
    return str(Path("runs") / f"{Path(config.data).stem}-{config.method}-{config.noise.replace('/', '-')}")


def _refuse_others(given: dict[str, Any], dotted: list[str], config: str | None, overwrite: bool) -> None:
    others = [f"--{name.replace('_', '-')}" for name in given] + [word for word in dotted if word.startswith("--")]
    others += ["--config"] * bool(config) + ["--overwrite"] * overwrite
    if others:
        raise ContrastiveError(f"--resume takes every setting from the run: leave out {', '.join(others)}")
