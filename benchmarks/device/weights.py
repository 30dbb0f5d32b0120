"""Averaged weights in float16, in parts of a size that is easily carried, and runs made of them again."""

import json
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from contrastive.config import by_path, configure
from contrastive.data.preparation import Prepared
from contrastive.errors import ContrastiveError
from contrastive.training.models import make_estimator
from contrastive.training.run_directory import RunDirectory

_PART = 15 * 2**20  # bytes
_SMALL = 4_096  # numbers: what is smaller keeps its digits


def keep(run: Path, data: str, folder: Path) -> list[str]:
    """Write the noise and the energy's own weights of a finished run to `folder`, in parts; their names.

    Large tensors are in float16. Model coordinates and settings are those of the run.
    """
    directory = RunDirectory(run)
    tensors = {name: value for name, value in directory.read_model()[0].items() if not name.startswith("energy.base.")}
    parts: list[dict[str, Tensor]] = [{}]
    taken = 0
    for name, value in tensors.items():
        value = value.half() if value.is_floating_point() and value.numel() >= _SMALL else value
        if taken + value.nbytes > _PART:
            parts.append({})
            taken = 0
        parts[-1][name] = value.contiguous()
        taken += value.nbytes
    config = {"config": json.dumps(by_path(directory.read_config()))}
    names = [f"{data}-{run.name}-weights-{i}.safetensors" for i in range(len(parts))]
    for name, part in zip(names, parts):
        save_file(part, folder / name, metadata=config)
    return names


def as_run(folder: Path, data: str, run: Path, prepared: Prepared, row: str = "longer") -> Path:
    """A run directory whose noise has the weights kept in `folder`, for a fit to begin with.

    Raises:
        ContrastiveError: if there are none.
    """
    files = sorted(folder.glob(f"{data}-{row}-weights-*.safetensors"))
    if not files:
        raise ContrastiveError(f"{folder} has no weights {data}-{row}-weights-0.safetensors to begin with")
    directory = RunDirectory(run)
    if directory.model_path.exists():
        return run
    config = configure(json.loads(_metadata(files[0])["config"]))
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= load_file(file)
    own = {name: value for name, value in tensors.items() if name.startswith("noise.")}
    own = {name: value.float() if value.is_floating_point() else value for name, value in own.items()}
    whole = make_estimator(config, prepared).state_dict() | own
    whole |= {f"scaling.{name}": value for name, value in prepared.scaling.state_dict().items()}
    run.mkdir(parents=True, exist_ok=True)
    directory.config_path.write_text(yaml.safe_dump(by_path(config), sort_keys=False), encoding="utf-8")
    directory.write_model({name: torch.as_tensor(value) for name, value in whole.items()}, {"config": by_path(config)})
    return run


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as handle:
        return dict(handle.metadata() or {})
