"""Which files a run writes, how a run directory is recognised, and how its files are removed.

A directory is a run if it holds the marker `run.json`. Runs of earlier versions have none: their config.yaml must hold
every setting, as `contrastive fit` wrote it, and another file beside it must be one that only a run writes. A config
alone is no run: `contrastive init-config` makes them, and many programs have a config.yaml.
"""

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from contrastive.config import flattened, read_yaml
from contrastive.config.names import OF_0_1
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import is_checkpoint, write_json
from contrastive.version import __version__

MARKER = "run.json"
FORMAT = "contrastive-run-1"

#: Everything that a run writes: by folder, patterns of whole names. What is not here belongs to somebody else.
WRITTEN: dict[str, tuple[str, ...]] = {
    "": (
        re.escape(MARKER),
        r"(config\.yaml|found\.json|metrics\.jsonl|summary\.json|normalizer\.json|goodness\.json|report\.html)",
        r"(checkpoint|best|best-[a-z]+|held-out|model)\.safetensors",
    ),
    "plots": (r"(densities|curves|classes|calibration|neighbours|goodness)\.png",),
    "plots/samples": (r"\d{6,}\.png",),
    "tensorboard": (r"events\.out\.tfevents.*",),
}
#: Of every version.
_SETTINGS = {"data.source", "energy.name", "noise.name", "game.method", "game.steps", "run.seed"}
_METRICS_KEYS = {"stage", "step", "updates"}
_CHECKPOINTS = ("model.safetensors", "checkpoint.safetensors", "best.safetensors")


def write_marker(run: Path) -> None:
    """Say that `run` is a run, and of which version."""
    write_json(run / MARKER, {"format": FORMAT, "version": __version__})


def leftovers(run: Path) -> list[Path]:
    """The half-written files that a killed process left among the run's own: `.NAME.PID.tmp`."""
    return [path for path in _own(run) if path.name.startswith(".") and path.is_file() and not path.is_symlink()]


def holds_nothing(run: Path) -> bool:
    """Whether there is nothing in `run` but half-written files and the marker, with which every run begins."""
    kept = {path.name for path in run.iterdir()} - {path.name for path in leftovers(run)}
    return not kept or (kept == {MARKER} and _has_marker(run))


def not_a_run(run: Path) -> str | None:
    """Why `run` is no run of ours, in half a sentence; None if it is one."""
    if (run / MARKER).exists():
        if not _has_marker(run):
            return f"its {MARKER} is not of the format {FORMAT}"
        # It may have been replaced since; which settings there were depends on the version.
        ours = not (run / "config.yaml").exists() or _keys(run / "config.yaml") >= _SETTINGS
        return None if ours else "its config.yaml is not one that a run wrote"
    if not (run / "config.yaml").exists():
        return f"it has no {MARKER} and no config.yaml"
    if not _has_full_config(run):
        return "its config.yaml is not one that a run wrote"
    if not (_has_metrics(run) or any(is_checkpoint(run / name) for name in _CHECKPOINTS)):
        return "nothing but its config.yaml could be a run's"
    return None


def removable(run: Path, data: str | None = None) -> list[Path]:
    """The files of `run` that a new run in its place takes away, leftovers included; nothing is touched.

    Args:
        run: a run, or what holds nothing.
        data: file or folder that the new run is to read.

    Raises:
        ContrastiveError: if one of them, or a folder on the way to one, is a symbolic link, is no plain file, cannot be
            deleted, or is what `data` names.
    """
    _refuse_link(run)
    for folder in WRITTEN:
        _refuse_link(run / folder)
    files = _own(run)
    for path in files:
        _refuse_link(path)
        if not path.is_file():
            raise ContrastiveError(
                f"{path} is not a plain file, so no run wrote it: move it, or choose another directory"
            )
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise ContrastiveError(f"cannot delete {path}: {path.parent} is not writable; choose another directory")
        if data is not None and _are_data(path, Path(data)):
            raise ContrastiveError(f"the data {data} hold {path}, which would be replaced: choose another directory")
    return files


def remove(run: Path, files: list[Path]) -> None:
    """Delete `files` of a run but its marker, and the folders that this leaves empty.

    Raises:
        ContrastiveError: if a file cannot be deleted.
    """
    for path in files:
        if path == run / MARKER:
            continue  # to the end: a run that is deleted by halves must still be known for one
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ContrastiveError(f"cannot delete {path}: {error}; choose another directory") from error
    for folder in sorted({path.parent for path in files} - {run}, key=lambda path: -len(path.parts)):
        for emptied in (folder, *folder.parents):
            if emptied == run:
                break
            with suppress(OSError):  # not empty: somebody else has files there
                emptied.rmdir()


def _own(run: Path) -> list[Path]:
    """What in `run` has the name of a file that a run writes, or of one that was left half-written."""
    found = []
    for folder, patterns in WRITTEN.items():
        name = rf"({'|'.join(patterns)})"
        own = re.compile(rf"{name}|\.{name}\.\d+\.tmp")
        if (run / folder).is_dir() and not _passes_a_link(run, folder):
            found += [path for path in (run / folder).iterdir() if own.fullmatch(path.name)]
    return sorted(found)


def _passes_a_link(run: Path, folder: str) -> bool:
    parts = Path(folder).parts
    return any((run / Path(*parts[: k + 1])).is_symlink() for k in range(len(parts)))


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise ContrastiveError(
            f"{path} is a symbolic link, and --overwrite follows none: delete the link, or choose another directory"
        )


def _are_data(path: Path, data: Path) -> bool:
    """Whether `path` is what `data` names, or a picture in the folder that it names."""
    if data.is_dir():
        return path.suffix == ".png" and path.resolve().is_relative_to(data.resolve())
    return data.exists() and path.samefile(data)


def _has_marker(run: Path) -> bool:
    content = _json(run / MARKER)
    return isinstance(content, dict) and content.get("format") == FORMAT


def _keys(config: Path) -> set[Any]:
    try:
        return set(flattened(read_yaml(config)))
    except ContrastiveError:
        return set()


def _has_full_config(run: Path) -> bool:
    """Whether config.yaml has every setting of earlier versions: one that a user writes has a few."""
    try:
        flat = flattened(read_yaml(run / "config.yaml"))
        return set(flat) >= OF_0_1
    except ContrastiveError:
        return False


def _has_metrics(run: Path) -> bool:
    try:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return False
    return bool(lines) and all(isinstance(line, dict) and set(line) >= _METRICS_KEYS for line in lines)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
