"""Stages, players and schedule of a run, from its config."""

from typing import Any

import torch

from contrastive.config import FitConfig
from contrastive.core.estimator import Estimator
from contrastive.objectives.protocol import learns_normalizer
from contrastive.protocols import trainable_parameters
from contrastive.training.players import Player
from contrastive.training.schedules import Alternate, EnergyOnly, Gate, Schedule
from contrastive.training.stages import Game, MaximumLikelihood, Stage
from contrastive.training.terms import EnergyTerm


def plan_stages(config: FitConfig, estimator: Estimator, averaged: Estimator, terms: list[EnergyTerm]) -> list[Stage]:
    """The stages of a run: likelihood alone, the energy against a noise that is held, then the game."""
    assert config.steps is not None
    noise_parameters = trainable_parameters(estimator.noise)
    noise_averages = _twins(averaged.noise, estimator.noise)
    common: dict[str, Any] = {"decay": config.decay, "clip_norm": config.clip_norm}
    execution: dict[str, Any] = {"accumulate": config.accumulate, "precision": config.precision}
    stages: list[Stage] = []
    likelihood_steps = config.steps if config.method == "mle" else config.pretrain_steps
    if likelihood_steps:
        pupil = Player(
            noise_parameters,
            noise_averages,
            learning_rate=config.pretrain_learning_rate or 1e-3,
            ema=config.noise_ema or 0.0,
            **common,
        )
        name = "likelihood" if config.method == "mle" else "pretrain"
        stages.append(MaximumLikelihood(estimator, pupil, likelihood_steps, name=name, **execution))
    if config.method == "mle":
        return stages
    common["momentum"] = 0.9 if config.momentum is None else config.momentum
    own = trainable_parameters(estimator.energy)
    own_averages = _twins(averaged.energy, estimator.energy)
    if learns_normalizer(estimator.objective):
        own, own_averages = [estimator.log_normalizer, *own], [averaged.log_normalizer, *own_averages]

    def energy_player(**decay: Any) -> Player:
        return Player(
            own,
            own_averages,
            optimizer=config.optimizer or "adam",
            learning_rate=config.learning_rate or 1e-3,
            ema=config.ema or 0.0,
            **{**common, **decay},
        )

    game: dict[str, Any] = {"averaged": averaged, "terms": terms, "contrast_weight": config.contrast_weight}
    game |= execution
    if config.energy_steps:
        # At its full rate: the game goes on from here.
        alone = {"energy": energy_player(decay="constant")}
        stages.append(Game(estimator, alone, EnergyOnly(), config.energy_steps, name="energy", **game))
    players = {"energy": energy_player()}
    schedule: Schedule = EnergyOnly()
    if estimator.adapt_noise:
        players["noise"] = Player(
            noise_parameters,
            noise_averages,
            optimizer=config.noise_optimizer or "adam",
            learning_rate=config.noise_learning_rate or 1e-3,
            ema=config.noise_ema or 0.0,
            **common,
        )
        schedule = _schedule(config)
    main = Game(
        estimator,
        players,
        schedule,
        config.steps,
        likelihood_weight=config.noise_likelihood_weight or 0.0,
        hold_noise_after=config.hold_noise_after or 1.0,
        path_only=config.noise_gradient == "path",
        non_saturating=config.noise_loss == "non-saturating",
        restart_energy_every=config.restart_energy_every,
        goes_on=bool(config.energy_steps),
        **game,
    )
    return [*stages, main]


def _schedule(config: FitConfig) -> Schedule:
    if config.schedule == "alternate":
        return Alternate(config.energy_updates or 5, config.noise_updates)
    return Gate(
        (config.gate_accuracy or 0.6) if config.gate_on == "accuracy" else config.gate_divergence,
        config.max_noise_run or 50,
        config.min_energy_run or 1,
        measure=config.gate_on,
        memory=config.gate_memory,
        margin=config.gate_margin,
    )


def _twins(averaged: Any, module: Any) -> list[torch.nn.Parameter]:
    """The parameters of `averaged` that stand for the trainable ones of `module`."""
    if not isinstance(module, torch.nn.Module):
        return []
    return [twin for twin, own in zip(averaged.parameters(), module.parameters()) if own.requires_grad]
