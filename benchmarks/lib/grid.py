"""Many fits at once: each kept as a run, so that a benchmark that was stopped goes on where it was."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from contrastive.config import by_path, choose_models, configure, shown, with_recipe
from contrastive.errors import ContrastiveError
from contrastive.training.run_directory import RunDirectory

#: Where results lie that are kept with the code.
RESULTS = Path(__file__).parents[1] / "results"
#: Settings that say where something lies, which may be written in several ways.
_PLACES = ("data.source", "data.images.root", "likelihood.init_noise", "run.out")


def run_or_explain(run: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> None:
    """Run a benchmark; what the caller can mend ends it with one line and exit code 2."""
    try:
        run(arguments)
    except ContrastiveError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


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
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def run_grid(settings: Sequence[tuple[str, dict[str, Any]]], out: Path, jobs: int) -> list[Result]:
    """Fit every (label, settings) into `out/LABEL/DATA-seedS`; finished runs are read, begun ones resumed.

    Settings are fields of `FitConfig`; a `density` besides makes the data, which `data` then only names. A run that is
    there with other settings ends the program with exit code 2: its figures would stand under the wrong name.
    """
    places = [
        (label, fields, out / label / f"{Path(fields['data']).stem}-seed{fields.get('seed', 0)}")
        for label, fields in settings
    ]
    for _, fields, path in places:
        _refuse_other_settings(fields, path)
    run_all(_fit, [(fields, path) for _, fields, path in places], jobs, name=out.name)
    return [read_result(label, path) for label, _, path in places]


def run_all(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], jobs: int, *, name: str) -> list[Any]:
    """What `function` returns for each call's arguments, in order: in this process, or `jobs` at a time in others.

    The bar is called `name`.
    """
    bar = partial(tqdm, total=len(calls), unit="fit", desc=name)
    if jobs == 1:
        one_thread()
        return [function(*call) for call in bar(calls)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        futures = [pool.submit(function, *call) for call in calls]
        for done in bar(as_completed(futures)):
            done.result()
        return [future.result() for future in futures]


def provenance() -> dict[str, Any]:
    """What a figure was made with: command, commit, versions, machine."""
    import torch

    return {
        "command": _command(),
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, no GPU" if not torch.cuda.is_available() else "GPU",
    }


def _command() -> str:
    """What was typed: `sys.argv` holds the path of a module that `python -m` runs, and not its name."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", spec.name.removesuffix(".__main__")] if spec else [sys.argv[0]]
    return " ".join(["python", *program, *sys.argv[1:]])


def _commit() -> str | None:
    """That of the code which runs, wherever it was called from; "-dirty" where a Python file is not as it has it."""
    git = partial(subprocess.run, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    head = str(git(["git", "rev-parse", "HEAD"]).stdout).strip()
    # Code alone: a benchmark before may have written its results into this tree.
    changed = git(["git", "diff", "--quiet", "HEAD", "--", ":/*.py"]).returncode
    return (f"{head}-dirty" if changed else head) if head else None


def one_thread() -> None:
    """One thread for torch in this process."""
    # One core a fit: small networks gain little from more, and fits run side by side.
    import torch

    torch.set_num_threads(1)


def _refuse_other_settings(settings: dict[str, Any], path: Path) -> None:
    directory = RunDirectory(path)
    if not directory.config_path.exists():
        return
    found = by_path(directory.read_config())
    fields = {name: value for name, value in settings.items() if name != "density"}
    images = found["run.recipe"] == "images"  # the data need not be read: those of the run are the same
    asked = choose_models(with_recipe(configure(**fields, out=str(path)), images=images), images=images)
    wanted = {name: value for name, value in by_path(asked).items() if value is not None and name not in _PLACES}
    other = [name for name in wanted if found.get(name) != wanted[name]]
    if other:
        names = ", ".join(map(shown, other))
        print(
            f"error: {path} was fitted with other settings ({names}): name another --out, or delete it",
            file=sys.stderr,
        )
        sys.exit(2)


def _fit(settings: dict[str, Any], path: Path) -> None:
    from contrastive.training.run import go_on, train

    directory = RunDirectory(path)
    if directory.is_finished:
        return
    fields = dict(settings)
    density = fields.pop("density", None)
    source = fields["data"] if density is None else density()
    if directory.config_path.exists():
        go_on(path, source)
    else:
        train(configure(**fields, out=str(path)), source)


def read_result(label: str, path: Path) -> Result:
    """A finished run from its directory."""
    summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    metrics = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return Result(label, path, summary, metrics)
