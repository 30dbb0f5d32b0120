"""What a user would fit to a table in the place of this library: Gaussian, mixture, kernels, flows.

Every rival sees the same rows, standardised by them, and answers in the table's own units. What it chooses, it chooses
by those rows alone: by BIC, or by the likelihood of rows held out from its own fit (5-fold cross-validation below 2,000
rows, one held-out fifth above).

* `gaussian`: mean and covariance.
* `mixture-bic`, `mixture-held-out`: scikit-learn's `GaussianMixture`, full covariances, 1 to 30 components. The latter
  also chooses `reg_covar` among its default and larger ones.
* `kde`: scikit-learn's `KernelDensity`, Gaussian, its bandwidth by held-out likelihood; at most 10,000 rows, at random.
* `zuko-nsf`, `zuko-maf`: zuko's flows by maximum likelihood with early stopping.
"""

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import contrastive_zuko  # noqa: F401  imports zuko so that torch goes on validating distributions
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import Tensor, nn
from zuko.flows import MAF, NSF

from benchmarks.lib.real_tables import standardized
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded
from contrastive.training.selection import held_out_parts

Array = NDArray[np.float64]
LogProb = Callable[[Array], Array]
T = TypeVar("T")

FLOWS: dict[str, Callable[[int], Any]] = {
    "zuko-nsf": lambda d: NSF(d, transforms=3, bins=8, hidden_features=(64, 64)),
    "zuko-maf": lambda d: MAF(d, transforms=5, hidden_features=(64, 64)),
}
_LEARNING_RATE, _EPOCHS, _PATIENCE, _HELD_OUT = 1e-3, 200, 10, 0.1
_SMALL_ROWS, _SMALL_BATCH, _BATCH = 2_000, 64, 256
_SCORED_AT_ONCE = 4_096
_RIDGES = (1e-6, 1e-5, 1e-4, 1e-3)
_ROWS_A_COMPONENT = 5
_MOST_KERNEL_ROWS = 10_000
_WORSE_RUNGS = 2


@dataclass(frozen=True)
class Effort:
    """How much a rival tries.

    Attributes:
        components: numbers of components of a mixture, growing.
        bandwidths: of kernels, in standard deviations of the columns, shrinking.
        flow_seconds: most seconds of a flow's training.
    """

    components: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30)
    bandwidths: tuple[float, ...] = tuple(np.geomspace(2, 0.01, 24).tolist())
    flow_seconds: float = 120.0


def fit_rival(name: str, x: Array, *, seed: int = 0, effort: Effort = Effort()) -> LogProb:
    """The log-density of a rival fitted to rows.

    Args:
        name: one of `RIVALS`.
        x: rows `(n, d)` in the table's units; all that the rival may learn or choose from.
        seed: of starts, batches and the rival's own split.
        effort: see `Effort`.

    Returns:
        A function from rows `(m, d)` to their log-density in nats, in the table's units, `(m,)`.
    """
    z, shift, scale = standardized(x)
    with _without_known_warnings():
        log_prob = RIVALS[name](z, seed, effort)
    log_det = float(np.log(scale).sum())

    def in_own_units(points: Array) -> Array:
        with _without_known_warnings():
            return log_prob((points - shift) / scale) - log_det

    return in_own_units


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Without those of mixtures whose EM ends early, and of zuko's flows, which say nothing of their parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message=".*does not define `arg_constraints`")
        yield


def climb(rungs: Sequence[T], score: Callable[[T], float]) -> tuple[float, T]:
    """The largest score and its rung; the ladder is left when two rungs in a row are no better than one below.

    Raises:
        ContrastiveError: if no rung has a finite score.
    """
    best, worse = (-math.inf, rungs[0]), 0
    for rung in rungs:
        found = score(rung)
        best, worse = ((found, rung), 0) if found > best[0] else (best, worse + 1)
        if worse == _WORSE_RUNGS:
            break
    if not math.isfinite(best[0]):
        raise ContrastiveError("none of the candidates can be fitted")
    return best


def _gaussian(z: Array, seed: int, effort: Effort) -> LogProb:
    return _log_prob_of(GaussianMixture(1, random_state=seed).fit(z))


def _mixture_bic(z: Array, seed: int, effort: Effort) -> LogProb:
    def score(components: int) -> float:
        model = GaussianMixture(components, random_state=seed)
        return -model.bic(z) if _is_fitted(model, z) else -math.inf

    _, components = climb(_affordable(effort.components, len(z)), score)
    return _log_prob_of(GaussianMixture(components, random_state=seed).fit(z))


def _mixture_held_out(z: Array, seed: int, effort: Effort) -> LogProb:
    def mixture(components: int, ridge: float) -> Any:
        return GaussianMixture(components, reg_covar=ridge, random_state=seed)

    components = _affordable(effort.components, len(z))
    tops = []
    for ridge in _RIDGES:
        score, best = climb(components, lambda k, ridge=ridge: _held_out(mixture(k, ridge), z, seed))  # type: ignore[misc]
        tops.append((score, best, ridge))
    _, best, ridge = max(tops)
    return _log_prob_of(mixture(best, ridge).fit(z))


def _kernels(z: Array, seed: int, effort: Effort) -> LogProb:
    z = z[np.random.default_rng(seed).permutation(len(z))[:_MOST_KERNEL_ROWS]]

    def kernels(bandwidth: float) -> Any:
        return KernelDensity(bandwidth=bandwidth, rtol=1e-4)

    _, bandwidth = climb(effort.bandwidths, lambda bandwidth: _held_out(kernels(bandwidth), z, seed))
    return _log_prob_of(kernels(bandwidth).fit(z))


def _held_out(model: Any, z: Array, seed: int) -> float:
    """Sum of the log-densities of held-out rows; -inf if a part cannot be fitted."""
    total = 0.0
    for fitting, scored in held_out_parts(len(z), seed):
        if not _is_fitted(model, z[fitting.numpy()]):
            return -math.inf
        total += float(model.score_samples(z[scored.numpy()]).sum())
    return total


def _is_fitted(model: Any, z: Array) -> bool:
    """Fit; False where scikit-learn says that a component has no covariance, as many components on few rows may."""
    try:
        model.fit(z)
    except ValueError as error:
        if "covariance" not in str(error):
            raise
        return False
    return True


def _affordable(components: Sequence[int], rows: int) -> list[int]:
    return [k for k in components if k == 1 or k * _ROWS_A_COMPONENT <= rows]


def _log_prob_of(model: Any) -> LogProb:
    return lambda points: np.asarray(model.score_samples(points), dtype=np.float64)


def _flow(name: str) -> Callable[[Array, int, Effort], LogProb]:
    def fit(z: Array, seed: int, effort: Effort) -> LogProb:
        with seeded(seed):
            flow = FLOWS[name](z.shape[1])
            rows = torch.from_numpy(z).float()[torch.randperm(len(z))]
            held_out, training = rows.tensor_split([max(1, round(_HELD_OUT * len(rows)))])
            maximize_likelihood(flow, lambda rows: flow().log_prob(rows), training, held_out, effort.flow_seconds)
        return lambda points: (
            in_parts(lambda rows: flow().log_prob(rows), torch.from_numpy(points).float()).double().numpy()
        )

    return fit


def maximize_likelihood(
    flow: nn.Module, log_prob: Callable[[Tensor], Tensor], training: Tensor, held_out: Tensor, seconds: float
) -> None:
    """Adam until held-out rows gain no more, or the time is up; the flow ends with its best state there.

    Args:
        flow: what learns.
        log_prob: the flow's log-density of rows.
        training: rows to learn from.
        held_out: rows to stop by.
        seconds: most seconds.
    """
    deadline = time.monotonic() + seconds
    optimizer = torch.optim.Adam(flow.parameters(), lr=_LEARNING_RATE)
    batch = _SMALL_BATCH if len(training) + len(held_out) < _SMALL_ROWS else _BATCH
    best, state, waited = -math.inf, copy.deepcopy(flow.state_dict()), 0
    for _ in range(_EPOCHS):
        for rows in training[torch.randperm(len(training))].split(batch):
            loss = -log_prob(rows).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if time.monotonic() > deadline:
                break
        score = float(in_parts(log_prob, held_out).double().mean())
        if score > best:
            best, state, waited = score, copy.deepcopy(flow.state_dict()), 0
        else:
            waited += 1
        if waited == _PATIENCE or time.monotonic() > deadline:
            break
    flow.load_state_dict(state)


@torch.no_grad()
def in_parts(log_prob: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """The log-density of many rows, some thousands at a time."""
    return torch.cat([log_prob(part) for part in z.split(_SCORED_AT_ONCE)])


RIVALS: dict[str, Callable[[Array, int, Effort], LogProb]] = {
    "gaussian": _gaussian,
    "mixture-bic": _mixture_bic,
    "mixture-held-out": _mixture_held_out,
    "kde": _kernels,
    **{name: _flow(name) for name in FLOWS},
}
