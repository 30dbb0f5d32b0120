"""Observations and reference posterior samples of the benchmark of simulation-based inference, read from its files.

They ship inside the package `sbibm` (Lueckmann et al. 2021), which need not be installed: `pip download --no-deps
sbibm` fetches a wheel, `unzip` opens it, and `--data-root` names the folder. Only its tables are read (.csv and
.csv.bz2); nothing of it is run.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.lib.simulators import make_task
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded

_GET = "pip download --no-deps sbibm, unzip the wheel, and name the folder by --data-root"


@dataclass(frozen=True)
class Observation:
    """What one observation of a task is judged by.

    Attributes:
        x: the data, `(k,)`.
        theta: the parameters that made them, `(d,)`.
        posterior: draws of p(theta | x), `(n, d)`.
    """

    x: Float[Tensor, " k"]
    theta: Float[Tensor, " d"]
    posterior: Float[Tensor, "n d"]


def tasks_folder(root: Path | None) -> Path:
    """The package's folder of tasks: below `root`, or where sbibm is installed.

    Raises:
        ContrastiveError: if it is at neither place.
    """
    spec = None if root is not None else find_spec("sbibm")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
    if root is None:
        raise ContrastiveError(f"sbibm is not installed: {_GET}")
    places = [root / "sbibm" / "tasks", root / "tasks", root]
    found = next((place for place in places if (place / "two_moons" / "files").is_dir()), None)
    if found is None:
        raise ContrastiveError(f"{root} holds no sbibm/tasks/two_moons/files: {_GET}")
    return found


def read_observation(folder: Path, task: str, number: int) -> Observation:
    """One observation, float32; `number` counts from 1 to 10.

    Args:
        folder: as `tasks_folder` finds it.
        task: its name in the package.
        number: of the observation.

    Raises:
        ContrastiveError: if a file is missing or holds anything but finite numbers.
    """
    files = folder / task / "files" / f"num_observation_{number}"
    x, theta = (_read(files / f"{name}.csv") for name in ("observation", "true_parameters"))
    return Observation(x[0], theta[0], _read(files / "reference_posterior_samples.csv.bz2"))


def _read(path: Path) -> Tensor:
    if not path.exists():
        raise ContrastiveError(f"{path} is not there: {_GET}")
    values = pd.read_csv(path).to_numpy()
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ContrastiveError(f"{path} holds more than finite numbers")
    return torch.from_numpy(values.astype(np.float32))


def write_small_files(root: Path, name: str, *, observations: int, draws: int) -> None:
    """Files of this form for a task whose posterior is known, for tests.

    Args:
        root: what `tasks_folder` is then given.
        name: of the task.
        observations: how many.
        draws: rows of their reference samples.
    """
    task = make_task(name)
    assert task.exact_posterior is not None
    theta, x = task.simulations(observations, seed=0)
    for number in range(observations):
        files = root / name / "files" / f"num_observation_{number + 1}"
        files.mkdir(parents=True)
        contents = {"observation.csv": x[number, None], "true_parameters.csv": theta[number, None]}
        with seeded(number):
            contents["reference_posterior_samples.csv.bz2"] = task.exact_posterior(draws, x[number])
        for file, values in contents.items():
            pd.DataFrame(values.numpy()).add_prefix("column_").to_csv(files / file, index=False)
