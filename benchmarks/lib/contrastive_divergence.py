"""Contrastive divergence, one-step and persistent: how energies were learned before, as a reference for benchmarks.

Maximum likelihood ascends E_data[grad f] - E_p[grad f]. The second mean is taken over the ends of Markov chains that
leave p invariant: one transition from each data point (one-step: Hinton 2002), or chains that go on from update to
update (persistent: Tieleman 2008). The transition is MALA, corrected by Metropolis, its step size steered to an
acceptance of 0.574. Nothing is known of log Z, so log p has no scale: c is left at 0.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive.config import FitConfig, by_path, changed, resolve
from contrastive.data.preparation import prepare
from contrastive.protocols import EnergyModel, FittableNoise
from contrastive.sampling.kernels import MALA
from contrastive.training.models import facts_of, new_estimator
from contrastive.training.run_directory import RunDirectory

_STEERING = 0.05  # of the log step size, an update


@dataclass
class Chains:
    """The negative phase.

    Attributes:
        persistent: where chains stand, shape `(chains, *event)`; None starts each at a data point.
        transitions: an update.
        restart: share of the persistent chains that begin again at a data point, an update.
        kernel: its step size is steered as it goes.
    """

    persistent: Tensor | None = None
    transitions: int = 1
    restart: float = 0.0
    kernel: MALA = field(default_factory=lambda: MALA(step_size=0.02))

    def move(self, energy: EnergyModel, z: Tensor) -> Tensor:
        """Ends of `len(z)` chains after their transitions under exp(f); without a graph."""
        rows = None
        start = z
        if self.persistent is not None:
            rows = torch.randint(len(self.persistent), (len(z),))
            start = self.persistent[rows]
            again = torch.rand(len(z)) < self.restart
            start = torch.where(again.reshape(-1, *[1] * (z.ndim - 1)), z, start)
        state = self.kernel.begin(start, energy)
        for _ in range(self.transitions):
            state, _ = self.kernel.step(state, energy)
            (acceptance,) = state.acceptance.values()
            surplus = float(acceptance.mean()) - self.kernel.target_acceptance
            factor = torch.tensor(_STEERING * surplus).exp()
            self.kernel = self.kernel.with_step_size(float(self.kernel.step_size * factor))
        ends = state.position.detach()
        if self.persistent is not None:
            self.persistent[rows] = ends
        return ends


def divergence_loss(energy: EnergyModel, z: Tensor, negatives: Tensor, *, regularization: float = 0.0) -> Tensor:
    """Mean f at the negatives less mean f at the data: minus its gradient is contrastive divergence's.

    Args:
        energy: gives f, high = likely.
        z: data.
        negatives: ends of chains.
        regularization: weight of the mean of f^2 at both, which keeps f near 0 (Du & Mordatch 2019, section 3.3).
    """
    f = energy(torch.cat([z, negatives]))
    f_data, f_negative = f[: len(z)], f[len(z) :]
    loss = f_negative.mean() - f_data.mean()
    return loss + regularization * (f_data.square().mean() + f_negative.square().mean())


def fit_by_divergence(
    data: Any,
    config: FitConfig,
    path: Path,
    *,
    persistent: int = 0,
    transitions: int = 1,
    regularization: float = 1e-3,
    clip_norm: float = 10.0,
) -> None:
    """Train the energy that `config` names and keep it as a finished run at `path`; a finished one is left alone.

    `contrastive.load(path)` reads it. The noise of the run has had no part in the training.

    Args:
        data: as in `contrastive.fit`.
        config: `energy`, `steps`, `batch_size`, `learning_rate` and `seed` count.
        path: of the run.
        persistent: number of persistent chains; 0 is one-step contrastive divergence.
        transitions: of a chain, an update.
        regularization: see `divergence_loss`.
        clip_norm: of the gradient.
    """
    directory = RunDirectory(path)
    if directory.is_finished:
        return
    directory.check_free(overwrite=True)  # before the work
    config = changed(config, {"noise.name": "diag-gaussian", "run.out": str(path)})
    prepared = prepare(data, config)
    estimator, config = new_estimator(config, prepared)
    settled = resolve(config, prepared.facts, facts_of(estimator))
    steps, learning_rate = settled.game.steps, settled.game.energy.learning_rate
    if isinstance(estimator.noise, FittableNoise):
        estimator.noise.fit(prepared.fitting)
    torch.manual_seed(settled.run.seed)
    chains = Chains(None, transitions)
    if persistent:
        chains = Chains(estimator.noise.sample(torch.Size([persistent])), transitions, restart=0.01)
    energy = estimator.energy
    parameters = list(energy.parameters())  # type: ignore[attr-defined]
    optimizer = torch.optim.Adam(parameters, learning_rate, betas=(0.5, 0.99))
    stream = prepared.source.batches(prepared.batch_size, settled.run.seed, 0)
    started = time.monotonic()
    for step in range(steps):
        z = next(stream).z
        loss = divergence_loss(energy, z, chains.move(energy, z), regularization=regularization)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        optimizer.step()
    name = "persistent" if persistent else "one-step"
    summary = {
        "trained_by": f"benchmarks/lib/contrastive_divergence.py, {name}",
        "steps": steps,
        "seconds": round(time.monotonic() - started, 2),
        "step_size": float(chains.kernel.step_size),
        "event_shape": list(prepared.event_shape),
        "columns": prepared.columns,
    }
    directory.create(settled, overwrite=True)
    directory.write_model(estimator.state_dict(), {"config": by_path(settled), "summary": summary})
    directory.write_summary(summary)
