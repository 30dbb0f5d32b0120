"""Evaluation of a run: metrics during training, the early-stopping score, the summary."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive.config import ResolvedConfig
from contrastive.core.estimator import Estimator
from contrastive.data.labels import LabelledSource
from contrastive.data.preparation import Prepared
from contrastive.data.sources import Labelled
from contrastive.errors import ContrastiveError
from contrastive.metrics import (
    classification,
    evaluate,
    evaluate_training,
    held_out_values,
    log_densities,
    noise_warning,
    partition_figures,
)
from contrastive.metrics.conditional import conditional_figures
from contrastive.normalizer import log_partitions
from contrastive.numerics.random_state import seeded
from contrastive.numerics.row_weights import effective_size, resampled, weighted_mean, weights_of
from contrastive.objectives.protocol import SamplingObjective, learns_normalizer
from contrastive.protocols import FittableNoise, NoiseModel, is_discrete, learns_by_gradient
from contrastive.training.trainer import Trainer

_TRAINING_ROWS = 500
_BELOW_CHANCE = 0.01  # nats
_NO_DENSITY = "the energy learned from the labels alone: it is a classifier, and its log p means nothing"


def make_judge(estimator: Estimator, data: Prepared) -> Callable[[Estimator, str], dict[str, Any]]:
    """What gives the figures of an estimator in a stage of the run."""
    gaussian = _gaussian_log_prob(estimator, data, data.curve_rows)
    weight = weights_of(data.test_weight, slice(len(data.curve_rows)))

    def judge(candidate: Estimator, stage: str) -> dict[str, Any]:
        started = has_energy(stage)
        if started:
            fill_log_normalizer(candidate, data)
        metrics = evaluate(candidate, data.curve_rows, data.truth, energy=started, sample_weight=weight) | gaussian
        metrics |= _training_figures(candidate, data, energy=started)
        if started:
            metrics |= _classification(candidate, data, len(data.curve_rows))
        return metrics

    return judge


def make_scorer(data: Prepared) -> Callable[[Estimator, str], Tensor]:
    """What gives the score of an estimator at each held-out row: early stopping goes by its mean.

    While the noise is fitted alone that is log q(x). Where the energy learns it is the row's part in the value V of NCE
    against a noise that stands still: log p(x) alone would reward a c that is too low, V is highest where p is the
    data's density, normalised. Where the noise moves, or may be far from the data by design (`telescoping`), a Gaussian
    of the data stands in for it. Where classes are learned the mean log P(y | x) at labelled rows is added; labels are
    too few to hold out, so those rows are trained on.
    """
    labelled = _labelled_rows(data)

    def score(candidate: Estimator, stage: str) -> Tensor:
        if not has_energy(stage):
            return log_densities(candidate, data.validation, energy=False)
        values = held_out_values(candidate, data.validation, _reference(candidate, data))
        return values if labelled is None else values + _log_posterior(candidate, labelled)

    return score


def _reference(estimator: Estimator, data: Prepared) -> NoiseModel:
    """A noise that stands still, for values that can be compared from one update to the next."""
    far = isinstance(estimator.objective, SamplingObjective)
    if not (estimator.adapt_noise or far) or is_discrete(estimator.noise):
        return estimator.noise
    try:
        return data.gaussian.to(estimator.log_normalizer.device)
    except ContrastiveError:  # too few rows for one
        return estimator.noise


def has_energy(stage: str) -> bool:
    """Whether the energy learns in a stage of this name."""
    return stage in ("energy", "contrast")


def _training_figures(estimator: Estimator, data: Prepared, *, energy: bool) -> dict[str, float]:
    """Those of rows that repeat, as many as are held out for the curves: fresh draws cannot be overfitted."""
    if not data.repeats:
        return {}
    most = max(len(data.curve_rows), _TRAINING_ROWS)
    weight = weights_of(data.fitting_weight, slice(most))
    return evaluate_training(estimator, data.fitting[:most], energy=energy, sample_weight=weight)


def _labelled_rows(data: Prepared) -> Labelled | None:
    """A batch of the labelled training rows; None where there are no classes to learn."""
    if not isinstance(data.source, LabelledSource):
        return None
    with seeded(0):
        return next(data.source.batches(data.batch_size, 0, 0)).labelled


@torch.no_grad()
def _log_posterior(estimator: Estimator, labelled: Labelled) -> float:
    """Mean log P(y | x), nats."""
    log_posterior = estimator.class_logits(labelled.z).log_softmax(-1)
    return float(log_posterior.gather(1, labelled.y.unsqueeze(1)).double().mean())


def fill_log_normalizer(estimator: Estimator, data: Prepared) -> None:
    """Where the objective leaves c open, set it to NCE's optimum for f as it is. Leaves the random state as it was."""
    if learns_normalizer(estimator.objective):
        return
    with seeded(0, estimator.log_normalizer.device):
        first = data.first_rows
        estimator.solve_log_normalizer(first, weights_of(data.fitting_weight, slice(len(first))))


def summarize(config: ResolvedConfig, trainer: Trainer, data: Prepared) -> dict[str, Any]:
    """The figures of a finished run, all on the whole test set."""
    estimator, at = trainer.estimator, trainer.position
    started = time.monotonic()
    metrics = evaluate(estimator, data.test, data.truth, sample_weight=data.test_weight)
    metrics |= _gaussian_log_prob(estimator, data, data.test)
    metrics |= _training_figures(estimator, data, energy=True)
    metrics |= _classification(estimator, data, len(data.test))
    metrics |= _partition(config, estimator, data)
    return {
        "data": config.data.source,
        "method": config.game.method,
        "noise": config.noise.name,
        "energy": config.energy.name,
        "objective": config.objective.name,
        "noise_ratio": config.objective.noise_ratio,
        "recipe": config.run.recipe,
        "seed": config.run.seed,
        "steps": sum(at.moves.values()) + config.game.energy.steps,
        "steps_energy": at.moves["energy"] + config.game.energy.steps,
        "steps_noise": at.moves["noise"],
        "pretrain_steps": at.updates - sum(at.moves.values()) - config.game.energy.steps,
        "skipped_steps": sum(player.skipped for stage in trainer.stages for player in stage.players.values()),
        "stopped_early": at.stopped_early,
        **({"best_update": at.best_updates} if config.run.early_stopping else {}),
        "seconds": round(at.seconds, 2),
        "seconds_evaluation": round(time.monotonic() - started, 2),
        "device": config.run.device,
        "event_shape": list(data.event_shape),
        "columns": data.columns,
        "columns_are_named": data.named,
        **({"given": data.columns[-data.num_given :]} if data.num_given else {}),
        **({} if data.train_rows is None else {"train_rows": data.train_rows}),
        "test_rows": len(data.test),
        **({} if data.duplicated_test_rows is None else {"duplicated_test_rows": data.duplicated_test_rows}),
        **_weight_figures(data),
        **_label_figures(data),
        **metrics,
        "noise_warning": _warning(config, trainer, metrics),
    }


def _warning(config: ResolvedConfig, trainer: Trainer, metrics: dict[str, Any]) -> str:
    """What is wrong with the run, in one sentence; empty if nothing is."""
    if not config.game.contrast_weight:
        return _NO_DENSITY
    if isinstance(trainer.estimator.noise, FittableNoise) and not trainer.estimator.adapt_noise:
        metrics = {**metrics, "noise_spread": 1.0}  # a maximum of the likelihood drops no modes: heavy tails do that
    return noise_warning(metrics) or _no_gain(config, trainer)


def _no_gain(config: ResolvedConfig, trainer: Trainer) -> str:
    """Said where the best state is below chance level on held-out rows, against the noise itself; empty elsewhere."""
    estimator, best = trainer.estimator, trainer.position.best_score
    own = config.game.method == "nce" and not isinstance(estimator.objective, SamplingObjective)
    if not config.run.early_stopping or not own or estimator.num_classes is not None or not math.isfinite(best):
        return ""
    nu = estimator.noise_ratio
    chance = nu * math.log(nu) - (1 + nu) * math.log(1 + nu)
    if best > chance - _BELOW_CHANCE:
        return ""
    return (
        f"on held-out rows the energy is no better than its noise (NCE value {best:.3f} nats, chance level "
        f"{chance:.3f}): there are too few rows for it, or nothing that the noise lacks; take an energy that begins as "
        "the noise (--energy tilted), or the noise alone"
    )


def _classification(estimator: Estimator, data: Prepared, rows: int) -> dict[str, float]:
    if data.classes is None or data.test_labels is None:
        return {}
    weight = weights_of(data.test_weight, slice(rows))
    return classification(estimator, data.test[:rows], data.test_labels[:rows], weight)


def _weight_figures(data: Prepared) -> dict[str, Any]:
    """Effective numbers of rows of a weighted run, and how many rows had the weight 0."""
    zeros = {"zero_weight_rows": data.zero_weights} if data.zero_weights else {}
    if data.fitting_weight is None or data.test_weight is None:
        return zeros
    parts = {"train": data.fitting_weight, "test": data.test_weight}
    return zeros | {f"effective_{part}_rows": effective_size(weight, len(weight)) for part, weight in parts.items()}


def _label_figures(data: Prepared) -> dict[str, Any]:
    if data.classes is None or data.labels is None:
        return {}
    figures = {"classes": data.classes, "labelled_rows": int((data.labels >= 0).sum())}
    return figures if data.test_labels is None else {**figures, "test_labels": int((data.test_labels >= 0).sum())}


def _partition(config: ResolvedConfig, estimator: Estimator, data: Prepared) -> dict[str, Any]:
    """log Z with its interval beside the learned c, by importance sampling: the method that takes but a moment.

    `contrastive normalizer` goes on where that is doubtful. A model that gives no estimate still gets its summary.
    """
    if not config.run.log_partition_draws:
        return {}
    with seeded(config.run.seed, estimator.log_normalizer.device):
        try:
            rows = resampled(data.curve_rows, weights_of(data.test_weight, slice(len(data.curve_rows))))
            settings: dict[str, Any] = {"draws": config.run.log_partition_draws, "data": rows}
            estimates = log_partitions(estimator, "importance", **settings)
            figures = partition_figures(estimator, estimates, data.test, data.test_weight)
            given = bool(data.num_given) and estimator.num_classes is None
            return figures | (conditional_figures(estimator, data.test, data.test_weight) if given else {})
        except ContrastiveError as error:
            return {"log_partition_verdict": f"doubtful because {error}"}


def _gaussian_log_prob(estimator: Estimator, data: Prepared, x: Tensor) -> dict[str, float]:
    """Mean log-density of a Gaussian of the data at `x`, original units: what a learned noise has to beat."""
    noise = estimator.noise
    if not learns_by_gradient(noise) or is_discrete(noise):
        return {}
    if len(data.event_shape) != 1:
        return {}
    try:
        gaussian = data.gaussian
    except ContrastiveError:  # too few rows: there is no Gaussian to beat
        return {}
    z = estimator.model_coordinates(x)
    with torch.no_grad():
        log_q = gaussian.to(z.device).log_prob(z.float()).double().cpu()
    log_prob = weighted_mean(log_q, weights_of(data.test_weight, slice(len(x))))
    return {"test_log_prob_gaussian": float(log_prob + estimator.scaling.log_det(x).mean())}
