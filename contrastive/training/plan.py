"""Stages, players and schedule of a run, from its config."""

from typing import Any

import torch

from contrastive.config import ResolvedConfig
from contrastive.core.estimator import Estimator
from contrastive.objectives.protocol import learns_normalizer
from contrastive.protocols import trainable_parameters
from contrastive.training.players import Player
from contrastive.training.schedules import Alternate, EnergyOnly, Gate, Schedule
from contrastive.training.stages import Game, MaximumLikelihood, Stage
from contrastive.training.terms import EnergyTerm


def plan_stages(
    config: ResolvedConfig, estimator: Estimator, averaged: Estimator, terms: list[EnergyTerm]
) -> list[Stage]:
    """The stages of a run: likelihood alone, the energy against a noise that is held, then the game."""
    noise_parameters = trainable_parameters(estimator.noise)
    noise_averages = twins(averaged.noise, estimator.noise)
    common: dict[str, Any] = {"decay": config.game.decay, "clip_norm": config.game.clip_norm}
    execution: dict[str, Any] = {"accumulate": config.game.accumulate, "precision": config.run.precision}
    stages: list[Stage] = []
    likelihood_steps = config.game.steps if config.game.method == "mle" else config.likelihood.steps
    if likelihood_steps:
        pupil = Player(
            noise_parameters,
            noise_averages,
            learning_rate=config.likelihood.learning_rate,
            ema=config.game.noise.ema,
            **common,
        )
        name = "likelihood" if config.game.method == "mle" else "pretrain"
        stages.append(MaximumLikelihood(estimator, pupil, likelihood_steps, name=name, **execution))
    if config.game.method == "mle" or config.game.energy.keep == "never":
        return stages
    common["beta1"] = config.game.beta1
    own = trainable_parameters(estimator.energy)
    own_averages = twins(averaged.energy, estimator.energy)
    if learns_normalizer(estimator.objective):
        own, own_averages = [estimator.log_normalizer, *own], [averaged.log_normalizer, *own_averages]

    def energy_player(**decay: Any) -> Player:
        return Player(
            own,
            own_averages,
            optimizer=config.game.energy.optimizer,
            learning_rate=config.game.energy.learning_rate,
            ema=config.game.energy.ema,
            **{**common, **decay},
        )

    game: dict[str, Any] = {"averaged": averaged, "terms": terms, "contrast_weight": config.game.contrast_weight}
    game |= execution | {"noise_reuse": config.objective.noise_reuse, "seed": config.run.seed}
    if config.game.energy.steps:
        # At its full rate: the game goes on from here.
        alone = {"energy": energy_player(decay="constant")}
        stages.append(Game(estimator, alone, EnergyOnly(), config.game.energy.steps, name="energy", **game))
    players = {"energy": energy_player()}
    schedule: Schedule = EnergyOnly()
    if estimator.adapt_noise:
        players["noise"] = Player(
            noise_parameters,
            noise_averages,
            optimizer=config.game.noise.optimizer,
            learning_rate=config.game.noise.learning_rate,
            ema=config.game.noise.ema,
            **common,
        )
        schedule = _schedule(config)
    main = Game(
        estimator,
        players,
        schedule,
        config.game.steps,
        likelihood_weight=config.game.noise.likelihood_weight,
        freeze_after=config.game.noise.freeze_after,
        path_only=config.game.noise.gradient == "path",
        non_saturating=config.game.noise.loss == "non-saturating",
        restart_every=config.game.energy.restart_every,
        goes_on=bool(config.game.energy.steps),
        **game,
    )
    return [*stages, main]


def _schedule(config: ResolvedConfig) -> Schedule:
    chosen = config.game.schedule
    if chosen.name == "alternate":
        return Alternate(chosen.energy_updates, chosen.noise_updates)
    return Gate(
        chosen.accuracy if chosen.gate_on == "accuracy" else chosen.divergence,
        chosen.max_noise_steps,
        chosen.min_energy_steps,
        measure=chosen.gate_on,
        ema=chosen.ema,
        margin=chosen.margin,
    )


def twins(averaged: Any, module: Any) -> list[torch.nn.Parameter]:
    """The parameters of `averaged` that stand for the trainable ones of `module`."""
    if not isinstance(module, torch.nn.Module):
        return []
    return [twin for twin, own in zip(averaged.parameters(), module.parameters()) if own.requires_grad]
