"""`contrastive fit`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contrastive.cli.options import build_config
from contrastive.config import AUTO, FitConfig, as_option, asks_for_auto, changed, choose_models
from contrastive.data.images import names_images
from contrastive.data.preparation.mixed import is_taken_as_it_is
from contrastive.data.tables import is_table as is_table_file
from contrastive.errors import ContrastiveError, MissingExtraError, warn
from contrastive.training.mixed import MIXED_NOISE
from contrastive.training.progress import Progress, describe
from contrastive.training.run import go_on, train
from contrastive.training.run_directory import RunDirectory


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
    write_report, why_no_report = (None, None) if no_report else _report_writer()
    progress: dict[str, Any] = {"progress": Progress(quiet=quiet), "allow_import": allow_import}
    if resume:
        _refuse_others(given, dotted, config, overwrite)
        path = resume
    else:
        asked = build_config(given, dotted, config)
        path = asked.run.out or _default_directory(asked)
    try:
        if resume:
            trained = go_on(path, **progress)
        else:
            settings = changed(asked, {"run.out": path})
            trained = train(settings, settings.data.source, overwrite=overwrite, **progress)
    except KeyboardInterrupt:
        begun = RunDirectory(path).config_path.exists()
        how = f"go on with: contrastive fit --resume {path}" if begun else "training had not begun, nothing was written"
        print(f"\nstopped; {how}", file=sys.stderr)
        raise
    directory, summary = RunDirectory(path), trained.summary
    if write_report is not None:
        write_report(directory, allow_import=allow_import)
    if not quiet:
        print(describe(summary))
        print(f"run:    {directory.path}")
        if write_report is not None:
            print(f"report: {directory.path / 'report.html'}")
    if why_no_report is not None:
        warn(f"the report was left out; {why_no_report}, then: contrastive plot {directory.path}")


def _report_writer() -> tuple[Callable[..., None] | None, MissingExtraError | None]:
    """What writes the report of a run, or why there is none: found before the work, as a fit needs no figure."""
    try:
        from contrastive.cli.reports import write_run_report
    except MissingExtraError as error:
        return None, error
    return write_run_report, None


def _default_directory(config: FitConfig) -> str:
    source, named = config.data.source, choose_models(config, images=False).noise.name or ""
    is_table = is_table_file(source) and not names_images(source, config.data.columns or None)
    noise = AUTO if is_table and asks_for_auto(config) else named.replace("/", "-")
    if is_table and config.noise.name is None and is_taken_as_it_is(config):
        noise = MIXED_NOISE
    return str(Path("runs") / f"{Path(source).stem}-{config.game.method}-{noise}")


def _refuse_others(given: dict[str, Any], dotted: list[str], config: str | None, overwrite: bool) -> None:
    others = [as_option(path) for path in given] + [word for word in dotted if word.startswith("--")]
    others += ["--config"] * bool(config) + ["--overwrite"] * overwrite
    if others:
        raise ContrastiveError(f"--resume takes every setting from the run: leave out {', '.join(others)}")
