"""The stages of training: maximum likelihood of the noise, then noise contrastive estimation."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.data.sources import Batch, Source
from contrastive.objectives.contrast import CHANCE_LEVEL, Contrast
from contrastive.objectives.protocol import SamplingObjective
from contrastive.protocols import NoiseAwareEnergy
from contrastive.training.draws import Draws
from contrastive.training.execution import autocast, eagerly
from contrastive.training.players import Player
from contrastive.training.schedules import Role, Schedule
from contrastive.training.terms import EnergyTerm, dropout_off, total


class Stage(Protocol):
    """A part of a run: what one update does with one batch, and what it starts and ends with."""

    name: str
    steps: int
    players: dict[str, Player]

    @property
    def begins_as_density(self) -> bool:
        """Whether the model is a density before the stage's first update, and so a candidate for the best state."""
        ...

    def begin(self, batch: Batch, source: Source) -> None:
        """Called once before the first update; not when resumed in the middle."""
        ...

    def resume(self, source: Source) -> None:
        """Called instead of `begin` when resumed in the middle."""
        ...

    def update(self, batch: Batch, progress: float) -> str:
        """One update; returns the role that was updated, "energy" or "noise"."""
        ...

    def finish(self) -> None:
        """Called once after the last update."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """JSON state, without that of the players."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        ...


class MaximumLikelihood:
    """Fit the noise by maximum likelihood; it ends as its moving average."""

    def __init__(
        self,
        estimator: Estimator,
        noise: Player,
        steps: int,
        *,
        name: str = "pretrain",
        accumulate: int = 1,
        precision: str = "float32",
    ) -> None:
        self.estimator, self.steps, self.players, self.name = estimator, steps, {"noise": noise}, name
        self.accumulate, self.precision = accumulate, precision

    @property
    def begins_as_density(self) -> bool:
        """Always: a noise is normalised, whatever its parameters."""
        return True

    def begin(self, batch: Batch, source: Source) -> None:
        """Nothing to prepare."""

    def resume(self, source: Source) -> None:
        """Nothing to prepare."""

    def update(self, batch: Batch, progress: float) -> str:
        """One step down the negative mean log-likelihood."""
        self.players["noise"].step(self._losses(batch), progress)
        return "noise"

    def _losses(self, batch: Batch) -> Iterator[Tensor]:
        for part in batch.parts(self.accumulate):
            with autocast(self.precision, part.z.device):
                loss = -self.estimator.noise.log_prob(part.z).sum() / len(batch.z)
            yield loss

    def finish(self) -> None:
        """Go on from the averaged noise."""
        self.players["noise"].adopt_average()

    def state_dict(self) -> dict[str, Any]:
        """Empty: the players have all of the state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class Game:
    """Noise contrastive estimation: the energy alone is trained (NCE), or energy and noise in turn (FCE).

    While the NCE loss is more than a nat above chance level, the noise is trained by likelihood alone: the gradient of
    V through such an energy is uninformative.

    Args:
        estimator: energy and noise.
        players: "energy", and "noise" where it is trained.
        schedule: which of the two is updated next.
        steps: updates of both together.
        averaged: the twin with the moving averages; needed to restart the energy.
        likelihood_weight: weight of the data's log-likelihood in the noise's loss. The gradient of V in log q vanishes
            where q << p, so V alone lets the noise drop modes. The same hybrid: Grover et al. (2018), "Flow-GAN",
            eq. 4.
        freeze_after: share of the updates after which the noise is frozen at its moving average: f then converges
            against a fixed noise.
        non_saturating: the noise minimises E_q[-log sigmoid(r)] for NCE, in place of V, whose gradient in q vanishes
            where the energy discriminates every sample (Goodfellow et al. 2014, section 3).
        path_only: keep the path derivative alone, see `Estimator.noise_loss`.
        restart_every: updates after which an energy that is built on the noise is reset to it, in the first
            half of the stage; 0: never.
        terms: further terms of the energy's loss, such as the cross-entropy of labels.
        contrast_weight: weight of the contrastive loss in the energy's; at 0 it learns from the terms alone, which
            needs a frozen noise.
        goes_on: the energy was trained by a stage before, so c is not solved for.
        noise_reuse: times that a draw of the frozen noise is used.
        seed: of the draws that are used several times.
        name: of the stage, in reports and metrics.
        accumulate: parts of a batch, whose gradients are summed.
        precision: of the networks, "float32" or "bf16".
    """

    def __init__(
        self,
        estimator: Estimator,
        players: dict[str, Player],
        schedule: Schedule,
        steps: int,
        *,
        averaged: Estimator | None = None,
        likelihood_weight: float = 0.0,
        freeze_after: float = 1.0,
        non_saturating: bool = False,
        path_only: bool = False,
        restart_every: int = 0,
        terms: Sequence[EnergyTerm] = (),
        contrast_weight: float = 1.0,
        goes_on: bool = False,
        noise_reuse: int = 1,
        seed: int = 0,
        name: str = "contrast",
        accumulate: int = 1,
        precision: str = "float32",
    ) -> None:
        self.accumulate, self.precision = accumulate, precision
        self.estimator, self.players, self.schedule, self.steps = estimator, players, schedule, steps
        self.terms, self.contrast_weight, self.goes_on, self.name = terms, contrast_weight, goes_on, name
        self.averaged, self.likelihood_weight = averaged, likelihood_weight
        self.freeze_after, self.restart_every = freeze_after, restart_every
        self.path_only, self.non_saturating = path_only, non_saturating
        self.noise_is_frozen = "noise" not in players
        self.energy_is_lost = False
        self.draws = Draws(estimator, noise_reuse, seed)
        self._source: Source | None = None

    @property
    def begins_as_density(self) -> bool:
        """Where the energy is built on the noise, or was trained before; a fresh network's f is no density."""
        return self.goes_on or isinstance(self.estimator.energy, NoiseAwareEnergy)

    def begin(self, batch: Batch, source: Source) -> None:
        """Take the noise as pre-training left it, and solve for the c of the untrained energy."""
        self.estimator.update_base_noise()
        self.resume(source)
        if not self.goes_on:
            with eagerly():
                self.estimator.solve_log_normalizer(batch.z)

    def resume(self, source: Source) -> None:
        """Where the noise is frozen and rows repeat, cache what does not change of their log-ratio."""
        self._source = source
        self._keep_fixed_parts()

    def update(self, batch: Batch, progress: float) -> str:
        """One update of the energy or of the noise, as the schedule has it."""
        self._restart_energy(round(progress * self.steps))
        if not self.noise_is_frozen and progress >= self.freeze_after:
            self._freeze_noise()
        mover: Role = "energy" if self.noise_is_frozen else self.schedule.mover
        contrasts: list[Contrast] = []
        losses = self._losses(batch, mover, contrasts)
        self.players[mover].step(losses, progress if mover == "energy" else progress / self.freeze_after)
        if contrasts and not self.noise_is_frozen:
            contrast = Contrast.joined(contrasts)
            self.energy_is_lost = bool(contrast.twice_jsd < CHANCE_LEVEL)
            self.schedule.update(contrast)
        return mover

    def _losses(self, batch: Batch, mover: Role, contrasts: list[Contrast]) -> Iterator[Tensor]:
        """The loss of the role to be updated, part by part; its contrasts are appended to `contrasts`."""
        for part in batch.parts(self.accumulate):
            with autocast(self.precision, part.z.device):
                contrast, loss = self._energy_loss(part) if mover == "energy" else self._noise_loss(part)
            if contrast is not None:
                contrasts.append(contrast.detached())
            yield loss * (len(part.z) / len(batch.z))

    def _energy_loss(self, batch: Batch) -> tuple[Contrast | None, Tensor]:
        contrast, loss = None, batch.z.new_zeros(())
        if self.contrast_weight:
            contrast = self._contrast(batch)
            loss = contrast.loss if self.contrast_weight == 1 else self.contrast_weight * contrast.loss
        return contrast, total(self.terms, loss, self.estimator, batch)

    def _contrast(self, batch: Batch) -> Contrast:
        if not self.noise_is_frozen or isinstance(self.estimator.objective, SamplingObjective):
            return self.estimator.energy_loss(batch.z)
        fixed = self.estimator.fixed_log_ratio(batch.z) if batch.fixed is None else batch.fixed
        return self.estimator.scored_contrast(
            batch.z, fixed, *self.draws.take(self.estimator.draws_for(len(batch.z)), batch.z)
        )

    def _noise_loss(self, batch: Batch) -> tuple[Contrast, Tensor]:
        # Without dropout: that density is the reported one, and a random f would add variance to q's gradient.
        with dropout_off(self.estimator.energy):
            contrast = self.estimator.noise_loss(batch.z, path_only=self.path_only)
        loss = contrast.value
        if self.energy_is_lost:
            loss = torch.zeros_like(loss)
        elif self.non_saturating:
            loss = self.estimator.objective(contrast.r_noise, contrast.r_noise, self.estimator.noise_ratio)[0].mean()
        # In q's parameters, r at the data is minus log q at the data.
        return contrast, loss + self.likelihood_weight * contrast.r_data.mean()

    def _freeze_noise(self) -> None:
        self.players["noise"].adopt_average()
        self.noise_is_frozen = True
        self._keep_fixed_parts()

    def _keep_fixed_parts(self) -> None:
        """Score anew, where the noise is frozen, what is kept of rows and draws: noise or q0 may have changed."""
        self.draws.forget_scores()
        if self.noise_is_frozen and self._source is not None:
            self._source.cache(self.estimator.fixed_log_ratio)

    def _restart_energy(self, step: int) -> None:
        every = self.restart_every
        # In the second half the decayed learning rate would leave too little to train the reset energy.
        if every and step and step % every == 0 and 2 * step <= self.steps:
            self.estimator.restart_energy()
            self._keep_fixed_parts()
            if self.averaged is not None:
                self.averaged.restart_energy(self.estimator.noise)

    def finish(self) -> None:
        """Both players end as their moving averages."""
        for player in self.players.values():
            player.adopt_average()

    def state_dict(self) -> dict[str, Any]:
        """The schedule's state, whether the noise is frozen, and whether the energy is below chance level."""
        flags = {"noise_is_frozen": self.noise_is_frozen, "energy_is_lost": self.energy_is_lost}
        return {"schedule": self.schedule.state_dict(), **flags, "draws": self.draws.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, for checkpoints of version 0.1 too, which have `noise_is_held`."""
        self.schedule.load_state_dict(state["schedule"])
        frozen = "noise_is_held" if "noise_is_held" in state else "noise_is_frozen"
        self.noise_is_frozen, self.energy_is_lost = state[frozen], state["energy_is_lost"]
        self.draws.load_state_dict(state.get("draws", {}))
