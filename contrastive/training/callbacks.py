"""Callbacks, which the trainer calls after updates and evaluations: to log, plot or stop."""

from typing import Any, Protocol

from contrastive.core.estimator import Estimator
from contrastive.training.position import Position


class Running(Protocol):
    """What a callback sees of the trainer."""

    estimator: Estimator
    averaged: Estimator
    position: Position


class Callback:
    """Called by the trainer; override what you need.

    `trainer.estimator` is what is trained, `trainer.averaged` its moving average, which is evaluated and what the run
    ends with, `trainer.position` where the run is. `KeyboardInterrupt` raised here ends the run as Ctrl-C does.

    Example:
        >>> from contrastive import fit
        >>> class Accuracy(Callback):
        ...     def on_evaluation(self, trainer, metrics):
        ...         print(metrics["step"], metrics["accuracy"] > 0.4)
        >>> _ = fit("moons", steps=50, quiet=True, log_partition_draws=0, callbacks=[Accuracy()])
        50 True
    """

    def on_update(self, trainer: Running, mover: str) -> None:
        """After each update, before it is evaluated or saved; `mover` is "energy" or "noise"."""

    def on_evaluation(self, trainer: Running, metrics: dict[str, Any]) -> None:
        """After each evaluation, with its line of metrics.jsonl."""
