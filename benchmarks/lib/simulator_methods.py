"""What draws from p(theta | x) in the benchmark of simulators: the library, sbi's NPE and NRE, the truth.

* `default`: `contrastive.fit(theta, given=x)` with no other setting.
* `noise`: the noise that the default chose, alone, without the energy; made in one fit with the default.
* `npe`, `nre`: the package `sbi`, every setting at its default (NPE-C with a masked autoregressive flow, NRE-B with a
  residual classifier and vectorised slice sampling). They are left out where sbi is not installed.
* `exact`: draws of the posterior itself, where it has a closed form: what C2ST gives where nothing is left to learn.

Draws outside the prior's support are drawn anew: of `default` and `noise` here, of `npe` by sbi.
"""

import contextlib
import io
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

import contrastive
from benchmarks.lib.simulators import Task, rejected_outside
from contrastive.errors import ContrastiveError, ContrastiveWarning
from contrastive.numerics.random_state import seeded
from contrastive.protocols import NoiseOverRows


@dataclass(frozen=True)
class Asked:
    """What a method is given.

    Attributes:
        task: prior and simulator.
        theta: parameters of the simulations, `(n, d)`.
        x: their data, `(n, k)`.
        observed: data of the observations, `(m, k)`.
        draws: samples wanted of each posterior.
        seed: of the fit.
        steps: updates of a fit, for tests; None: as many as it takes.
    """

    task: Task
    theta: Float[Tensor, "n d"]
    x: Float[Tensor, "n k"]
    observed: Float[Tensor, "m k"]
    draws: int
    seed: int
    steps: int | None = None


@dataclass(frozen=True)
class Drawn:
    """Posterior samples, and how they came about.

    Attributes:
        samples: `(m, draws, d)`.
        fit_seconds: of training.
        draw_seconds: of all samples.
        notes: what else is to be kept.
    """

    samples: Float[Tensor, "m draws d"]
    fit_seconds: float
    draw_seconds: float
    notes: dict[str, Any]


Draw = Callable[[int, Tensor], Tensor]


def has_sbi() -> bool:
    """Whether the package sbi is installed."""
    return find_spec("sbi") is not None


def draw_all(method: str, asked: Asked) -> dict[str, Drawn]:
    """Posterior samples by a method for every observation; of the default's fit, those of its noise too.

    Raises:
        ContrastiveError: if the method does not apply to the task, or cannot be fitted.
    """
    started = time.monotonic()
    with warnings.catch_warnings(), seeded(asked.seed):
        warnings.simplefilter("ignore", ContrastiveWarning)
        warnings.filterwarnings("ignore", module=r"sbi\b.*")
        samplers, notes = _FITS[method](asked)
        seconds = time.monotonic() - started
        return {name: _drawn(draw, asked, seconds, notes) for name, draw in samplers.items()}


def _drawn(draw: Draw, asked: Asked, seconds: float, notes: dict[str, Any]) -> Drawn:
    started = time.monotonic()
    samples = torch.stack([draw(asked.draws, x).float() for x in asked.observed])
    return Drawn(samples, seconds, time.monotonic() - started, notes)


def _ours(asked: Asked) -> tuple[dict[str, Draw], dict[str, Any]]:
    settings: dict[str, Any] = {} if asked.steps is None else {"steps": asked.steps, "noise": "gaussian"}
    estimator = contrastive.fit(asked.theta, given=asked.x, seed=asked.seed, quiet=True, **settings)
    summary = estimator.summary or {}
    notes: dict[str, Any] = {name: summary[name] for name in _FIGURES if name in summary}

    def of_energy(n: int, x: Tensor) -> Tensor:
        return rejected_outside(asked.task, partial(estimator.sample, given=x), n)

    def of_noise(n: int, x: Tensor) -> Tensor:
        noise, y = estimator.noise, estimator.model_contexts(x[None])
        assert isinstance(noise, NoiseOverRows)

        def draw(m: int) -> Tensor:
            return estimator.scaling.inverse(noise.sample_given(y.expand(m, -1)))[:, : asked.theta.shape[1]]

        return rejected_outside(asked.task, draw, n)

    return {"default": of_energy, "noise": of_noise}, notes


_FIGURES = (
    "noise",
    "energy_kept",
    "test_log_prob_energy",
    "test_log_prob_noise",
    "log_partition_verdict",
    "best_update",
)


def _exact(asked: Asked) -> tuple[dict[str, Draw], dict[str, Any]]:
    if asked.task.exact_posterior is None:
        raise ContrastiveError("the posterior has no closed form")
    return {"exact": asked.task.exact_posterior}, {}


class _Untracked:
    """sbi's tracker of training, which would write a folder of logs."""

    log_dir = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _sbi(method: str, asked: Asked) -> tuple[dict[str, Draw], dict[str, Any]]:
    from sbi import __version__
    from sbi.inference import NPE, NRE

    trainer = {"npe": NPE, "nre": NRE}[method](
        prior=asked.task.prior, show_progress_bars=False, tracker=_Untracked()
    ).append_simulations(asked.theta, asked.x)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train(**({} if asked.steps is None else {"max_num_epochs": 1}))
    posterior = trainer.build_posterior()

    def draw(n: int, x: Tensor) -> Tensor:
        samples: Tensor = posterior.sample((n,), x=x[None], show_progress_bars=False)
        return samples

    return {method: draw}, {"sbi": __version__, "epochs": trainer.summary["epochs_trained"][-1]}


_FITS: dict[str, Callable[[Asked], tuple[dict[str, Draw], dict[str, Any]]]] = {
    "default": _ours,
    "npe": partial(_sbi, "npe"),
    "nre": partial(_sbi, "nre"),
    "exact": _exact,
}
#: Methods that are asked for; `noise` comes with the default.
METHODS = tuple(_FITS)
