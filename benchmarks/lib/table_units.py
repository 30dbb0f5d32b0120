"""Units of the benchmark of real tables: one method on one split of one table, kept as one JSON file.

Every unit holds the method's log-density at each test row, in nats, in the table's own units. Methods:

* the rivals of `density_rivals`;
* `default`: `contrastive.fit(table)` with no setting, p normalised by the upper end of the 95 % interval of log Z;
* `noise:NAME`: a noise alone, with the options that score best on held-out training rows;
* `tilt:NAME`: a bounded tilt of that noise, kept only where it is ahead, as in the default;
* `fixed-flow`, `fce`: a tilt of the noise `nsf`, held and adapting.

`noise:NAME` and `tilt:NAME` take their options from what the default has tried, so they are made after it.
"""

import json
import math
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

import contrastive
from benchmarks.lib.density_rivals import FLOWS, RIVALS, Effort, fit_rival
from benchmarks.lib.real_tables import RealTable, Split, read_table, split_table, standardized
from contrastive.errors import ContrastiveError, ContrastiveWarning
from contrastive.io.checkpoints import write_json
from contrastive.metrics import row_log_probs
from contrastive.training.likelihood_fit import fit_noise, log_prob_in_parts
from contrastive.training.selection import select_noise

NOISES = tuple(f"noise:{name}" for name in ("gaussian", "student-t", "gaussian-mixture", "kde", "made", "nsf"))
TILTS = tuple(f"tilt:{name}" for name in ("gaussian", "student-t", "gaussian-mixture", "kde", "nsf"))
GAMES: dict[str, dict[str, Any]] = {
    "fixed-flow": {"noise": "nsf", "energy": "tilted"},
    "fce": {"noise": "nsf", "energy": "tilted", "method": "fce"},
}
METHODS = ("default", *RIVALS, *NOISES, *TILTS, *GAMES)
_BOUND = 3.0  # nats, of the default's energy
#: Rough cost of a row and column, and of a fit of the library whatever the table: the longest units begin first.
_COST = {"default": 10.0, "fce": 12.0, "fixed-flow": 8.0, "mixture-held-out": 4.0, "mixture-bic": 2.0}
_COST |= dict.fromkeys(FLOWS, 5.0)
_COST_OF_A_FIT = 500_000.0


@dataclass(frozen=True)
class Plan:
    """How every unit is measured.

    Attributes:
        data_root: folder with `tables/`; None for scikit-learn's tables alone.
        out: where the units are kept.
        rows: most rows of a table.
        effort: of the rivals.
        steps: updates of every fit of the library, for tests; None: as many as it takes.
        deadline: seconds since the epoch after which no unit is begun.
    """

    data_root: Path | None
    out: Path
    rows: int = 20_000
    effort: Effort = field(default_factory=Effort)
    steps: int | None = None
    deadline: float = math.inf


@dataclass(frozen=True)
class Unit:
    """One method on one split of one table."""

    table: str
    seed: int
    method: str

    def path(self, out: Path) -> Path:
        """Where it is kept."""
        return self.folder(out) / f"{self.method.replace(':', '-')}.json"

    def folder(self, out: Path) -> Path:
        """What is kept of the split."""
        return out / f"{self.table}-seed{self.seed}"

    @property
    def follows_default(self) -> bool:
        """Whether it needs what the default has found."""
        return self.method in NOISES or self.method in TILTS

    def cost(self, shape: tuple[int, int]) -> float:
        """Rough cost on a table of `shape`, in no unit."""
        ours = self.method in ("default", *GAMES, *TILTS)
        return shape[0] * shape[1] * _COST.get(self.method, 1.0) + ours * _COST_OF_A_FIT


def read_unit(unit: Unit, plan: Plan) -> dict[str, Any] | None:
    """What is kept of a unit; None where it is not made.

    Raises:
        ContrastiveError: if it was measured in another way: its figures would stand beside others of this way.
    """
    path = unit.path(plan.out)
    if not path.exists():
        return None
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if kept["asked"] != _asked(unit, plan):
        how = ", ".join(f"{name} {value}" for name, value in kept["asked"].items())
        raise ContrastiveError(f"{path} was measured with {how}: name another --out, or delete it")
    return kept


def measure(unit: Unit, plan: Plan) -> None:
    """Make a unit and keep it; one that is there, is late, or lacks the default is left as it is."""
    if unit.path(plan.out).exists() or time.time() > plan.deadline:
        return
    if unit.follows_default and not Unit(unit.table, unit.seed, "default").path(plan.out).exists():
        return
    started = time.monotonic()
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ContrastiveWarning)
            found = _measured(unit, plan)
    except Exception as error:  # of other libraries too: one unit must not end the others; the table has a dash then
        found = {"error": f"{type(error).__name__}: {error}"}
    what = {"table": unit.table, "seed": unit.seed, "method": unit.method, "asked": _asked(unit, plan)}
    unit.folder(plan.out).mkdir(parents=True, exist_ok=True)
    write_json(unit.path(plan.out), {**what, "seconds": time.monotonic() - started, **found})


def _asked(unit: Unit, plan: Plan) -> dict[str, Any]:
    """What a unit's figures depend on, besides the code."""
    return {
        "rows": plan.rows,
        **({"flow_seconds": plan.effort.flow_seconds} if unit.method in FLOWS else {}),
        **({} if unit.method in RIVALS or plan.steps is None else {"steps": plan.steps}),
    }


def _measured(unit: Unit, plan: Plan) -> dict[str, Any]:
    table = read_table(unit.table, plan.data_root, plan.rows)
    split = split_table(table.frame, unit.seed)
    if unit.method in RIVALS:
        log_prob = fit_rival(unit.method, split.fitting, seed=unit.seed, effort=plan.effort)
        found: dict[str, Any] = {"log_prob": log_prob(split.test.double().numpy()).tolist()}
    elif unit.method in NOISES:
        found = _noise_alone(unit, plan, split)
    else:
        found = _fitted(table, split, unit, plan)
    if unscored := int((~np.isfinite(found["log_prob"])).sum()):
        raise ContrastiveError(f"the log-density is not finite at {unscored} of {len(split.test)} test rows")
    return {
        "rows": len(table.frame),
        "columns": table.frame.shape[1],
        "test_rows": len(split.test),
        "dequantized": table.dequantized,
        "dropped": table.dropped,
        **found,
    }


def _fitted(table: RealTable, split: Split, unit: Unit, plan: Plan) -> dict[str, Any]:
    """A fit of the library."""
    settings = _settings(unit, plan, split)
    estimator = contrastive.fit(table.frame, seed=unit.seed, quiet=True, **settings)
    assert estimator.summary is not None
    figures = ("noise", "energy_kept", "log_partition_verdict", "best_update", "test_log_prob_energy")
    found = {name: estimator.summary[name] for name in (*figures, "noise_candidates") if name in estimator.summary}
    return {**upper_log_probs(estimator, split.test), **found}


def _settings(unit: Unit, plan: Plan, split: Split) -> dict[str, Any]:
    """Keywords of a fit; of the default none but where it is kept."""
    settings: dict[str, Any] = dict(GAMES.get(unit.method, {}))
    if unit.method == "default":
        settings = {"out": str(unit.folder(plan.out) / "default-run"), "overwrite": True}
    elif unit.method in TILTS:
        name, options, _ = _best_options(unit, plan, split)
        settings = {"noise": {"name": name, **options}, "energy": {"name": "tilted", "bound": _BOUND}}
        settings["game"] = {"energy": {"keep": "ahead"}}
    if plan.steps is None:
        return settings
    # A number of updates would say that no noise is to be chosen.
    settings |= {"steps": plan.steps} | ({"noise": "auto"} if unit.method == "default" else {})
    return settings | ({"pretrain_steps": plan.steps} if unit.method in GAMES else {})


def upper_log_probs(estimator: contrastive.ContrastiveEstimator, x: Float[Tensor, "n d"]) -> dict[str, Any]:
    """log p of each row by the upper end of the interval of log Z, and log q of its noise, in nats.

    Raises:
        ContrastiveError: if the fit found no interval.
    """
    summary = estimator.summary or {}
    if summary.get("log_partition_high") is None:
        raise ContrastiveError(f"log Z has no interval: {summary.get('log_partition_verdict')}")
    log_p, log_q = row_log_probs(estimator, x, torch.tensor([summary["log_partition_high"]], dtype=torch.float64))
    return {"log_prob": log_p.tolist(), "log_q": log_q.tolist()}


def _noise_alone(unit: Unit, plan: Plan, split: Split) -> dict[str, Any]:
    name, options, chosen_by = _best_options(unit, plan, split)
    z, shift, scale = standardized(split.fitting)
    noise = fit_noise(name, options, torch.from_numpy(z).float(), seed=unit.seed)
    points: NDArray[np.float64] = (split.test.double().numpy() - shift) / scale
    log_q = log_prob_in_parts(noise, torch.from_numpy(points).float()).double().numpy() - np.log(scale).sum()
    return {"log_prob": log_q.tolist(), "options": options, "chosen_by": chosen_by}


def _best_options(unit: Unit, plan: Plan, split: Split) -> tuple[str, dict[str, Any], str]:
    """Name and options of a unit's noise that score best on held-out training rows, and who has compared them.

    The default lists its 30 best candidates; where none of this noise is among them it is asked alone, by the same
    rule.
    """
    name = unit.method.partition(":")[2]
    default = read_unit(Unit(unit.table, unit.seed, "default"), plan)
    if default is None or "error" in default:
        raise ContrastiveError("the default has failed, which compares the options of the noise")
    for candidate in default["noise_candidates"]:  # best first
        if candidate["name"] == name and candidate["error"] is None:
            return name, candidate["options"], "default"
    z, _, _ = standardized(split.fitting)
    chosen = select_noise(torch.from_numpy(z).float(), names=[name], seed=unit.seed).chosen
    return name, chosen.options, "select_noise"
