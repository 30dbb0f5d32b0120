"""Units of the benchmark of simulators: one method on one task with so many simulations, its samples and its C2ST.

Samples are kept when they are drawn, each C2ST when it is computed: whatever is stopped goes on where it was.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.lib.c2st import c2st
from benchmarks.lib.simulator_files import Observation, read_observation
from benchmarks.lib.simulator_methods import Asked, draw_all
from benchmarks.lib.simulators import make_task
from contrastive.errors import ContrastiveError
from contrastive.io.checkpoints import write_json


@dataclass(frozen=True)
class Plan:
    """How every unit is measured.

    Attributes:
        files: the folder of tasks, as `tasks_folder` finds it.
        out: where the units are kept.
        observations: how many of the ten, the first ones.
        draws: samples of each posterior, and of each reference.
        steps: updates of a fit, for tests; None: as many as it takes.
        deadline: seconds since the epoch after which nothing is begun.
    """

    files: Path
    out: Path
    observations: int = 10
    draws: int = 10_000
    steps: int | None = None
    deadline: float = math.inf

    @property
    def asked(self) -> dict[str, Any]:
        """What figures depend on, besides the code."""
        return {"observations": self.observations, "draws": self.draws, "steps": self.steps}


@dataclass(frozen=True)
class Unit:
    """One method on one task, with a number of simulations."""

    task: str
    simulations: int
    seed: int
    method: str

    def folder(self, out: Path) -> Path:
        """Where it is kept."""
        return out / f"{self.task}-{self.simulations}-seed{self.seed}"

    @property
    def names(self) -> tuple[str, ...]:
        """The methods that its figures are of: with a default goes its noise."""
        return ("default", "noise") if self.method == "default" else (self.method,)


@dataclass(frozen=True)
class Kept:
    """What is kept of a unit: a record for each of its names."""

    figures: list[dict[str, Any]]
    names: int

    def is_complete(self, plan: Plan) -> bool:
        """Whether nothing is left to do."""
        done = [record for record in self.figures if "error" in record or len(record["c2st"]) == plan.observations]
        return len(done) == self.names


def read_unit(unit: Unit, plan: Plan) -> Kept:
    """What is kept of a unit.

    Raises:
        ContrastiveError: if it was measured in another way: its figures would stand beside others of this way.
    """
    paths = [unit.folder(plan.out) / f"{name}.json" for name in unit.names]
    figures = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    for path, record in zip(paths, figures):
        if record["asked"] != plan.asked:
            how = ", ".join(f"{name} {value}" for name, value in record["asked"].items())
            raise ContrastiveError(f"{path} was measured with {how}: name another --out, or delete it")
    return Kept(figures, len(unit.names))


def measure(unit: Unit, plan: Plan) -> None:
    """Make what is missing of a unit: its samples first, then the C2ST of each observation."""
    with threadpool_limits(1):
        if len(read_unit(unit, plan).figures) < len(unit.names) and time.time() < plan.deadline:
            _draw(unit, plan)
        for record in read_unit(unit, plan).figures:
            _judge(unit, record, plan)


def _draw(unit: Unit, plan: Plan) -> None:
    folder, task = unit.folder(plan.out), make_task(unit.task)
    folder.mkdir(parents=True, exist_ok=True)
    what = {"task": unit.task, "simulations": unit.simulations, "seed": unit.seed, "asked": plan.asked}
    theta, x = task.simulations(unit.simulations, unit.seed)
    observed = torch.stack([observation.x for observation in _observations(unit, plan)])
    try:
        found = draw_all(unit.method, Asked(task, theta, x, observed, plan.draws, unit.seed, plan.steps))
    except Exception as error:  # of other libraries too: one unit must not end the others; the table has a dash then
        for name in unit.names:
            failed = {**what, "method": name, "error": f"{type(error).__name__}: {error}"}
            write_json(folder / f"{name}.json", failed)
        return
    for name, drawn in found.items():
        np.save(folder / f"{name}.npy", drawn.samples.numpy())
        seconds = {"fit_seconds": drawn.fit_seconds, "draw_seconds": drawn.draw_seconds}
        write_json(folder / f"{name}.json", {**what, "method": name, **seconds, "notes": drawn.notes, "c2st": []})


def _judge(unit: Unit, record: dict[str, Any], plan: Plan) -> None:
    if "error" in record:
        return
    path = unit.folder(plan.out) / f"{record['method']}.json"
    samples: Float[Tensor, "m draws d"] = torch.from_numpy(np.load(path.with_suffix(".npy")))
    for i, observation in enumerate(_observations(unit, plan)):
        if i < len(record["c2st"]):
            continue
        if time.time() > plan.deadline:
            return
        record["c2st"].append(c2st(observation.posterior[: plan.draws], samples[i]))
        write_json(path, record)


def _observations(unit: Unit, plan: Plan) -> Iterator[Observation]:
    for number in range(1, plan.observations + 1):
        yield read_observation(plan.files, unit.task, number)
