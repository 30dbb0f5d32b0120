"""The training loop: updates, evaluations, early stopping, checkpoints."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.data.sources import Batch, Source
from contrastive.errors import ContrastiveError, NumericalError
from contrastive.io.checkpoints import read_checkpoint, write_checkpoint
from contrastive.numerics.random_state import seeded
from contrastive.numerics.statistics import mean_with_error
from contrastive.training.callbacks import Callback
from contrastive.training.clock import Clock
from contrastive.training.interrupt import Interrupt
from contrastive.training.position import Position
from contrastive.training.progress import Progress
from contrastive.training.run_directory import RunDirectory
from contrastive.training.stages import Stage

_SKIPS_IN_A_ROW = 25


class Trainer:
    """Runs stages one after the other.

    Args:
        estimator: what is trained.
        averaged: its twin with the moving averages, which is evaluated and which the run ends with.
        source: the stream of batches.
        stages: in order.
        evaluate: the metrics of an estimator in a stage, by its name.
        score: the score of an estimator at each held-out row, for early stopping; higher is better.
        score_weight: of the held-out rows, by which the mean of their scores is taken.
        batch_size: data points per update.
        seed: of the stream and of every other random number.
        evaluate_every: updates between evaluations.
        checkpoint_every: updates between checkpoints.
        early_stopping: evaluations without a better mean score after which a stage stops; each stage then ends with
            its best state, or with its last where that is within a standard error of it. 0: never.
        deadline: by `time.monotonic()`. Stages share what is left in proportion to their updates; the progress of one
            is that of its updates or of its time, whichever is more, so that learning rates end as they should.
        directory: where the run is kept; None keeps nothing.
        progress: what the user sees.
        callbacks: called in order; see `Callback`.
    """

    def __init__(
        self,
        estimator: Estimator,
        averaged: Estimator,
        source: Source,
        stages: list[Stage],
        evaluate: Callable[[Estimator, str], dict[str, Any]],
        score: Callable[[Estimator, str], Tensor] | None = None,
        *,
        score_weight: Tensor | None = None,
        batch_size: int,
        seed: int = 0,
        evaluate_every: int = 250,
        checkpoint_every: int = 250,
        early_stopping: int = 0,
        deadline: float = math.inf,
        directory: RunDirectory | None = None,
        progress: Progress | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.estimator, self.averaged, self.source, self.stages = estimator, averaged, source, stages
        self.evaluate, self.score, self.score_weight = evaluate, score, score_weight
        self.batch_size, self.seed = batch_size, seed
        self.evaluate_every, self.checkpoint_every = evaluate_every, checkpoint_every
        self.early_stopping, self.deadline, self.directory = early_stopping, deadline, directory
        self.progress = progress or Progress(quiet=True)
        self.callbacks = tuple(callbacks)
        self.position = Position()
        self.best: dict[str, Tensor] | None = None
        self._rng: dict[str, Tensor] = {}

    def run(self) -> Position:
        """Go on from the present position to the end; the estimator then holds the averaged (or best) weights.

        Raises:
            NumericalError: after too many non-finite gradients in a row.
            KeyboardInterrupt: on Ctrl-C, after the update under way is done and saved.
        """
        with seeded(self.seed, self.estimator.log_normalizer.device), Interrupt() as interrupt:
            self._restore_rng()
            self.estimator.train()
            stream = self.source.batches(self.batch_size, self.seed, self.position.batches)
            try:
                for index in range(self.position.stage, len(self.stages)):
                    self._run_stage(index, stream, interrupt)
            finally:
                self.estimator.eval()  # what is reported has no dropout
                self.progress.close()
        return self.position

    def _run_stage(self, index: int, stream: Iterator[Batch], interrupt: Interrupt) -> None:
        at, stage = self.position, self.stages[index]
        if at.stage != index:
            at.stage, at.step, at.stopped_early = index, 0, False
        self.progress.start(stage.name, stage.steps, at.step)
        if at.step == 0:
            at.best_score, at.best_updates, at.evaluations_since_best, self.best = -float("inf"), 0, 0, None
            stage.begin(self._next(stream), self.source)
            self.averaged.load_state_dict(self.estimator.state_dict())
            if self.early_stopping and stage.begins_as_density:
                self._evaluate(stage)  # where it begins may be the best that these rows allow
        else:
            stage.resume(self.source)
        started = time.monotonic() - at.seconds
        clock = Clock(self._share_of_time(index), at.step / stage.steps)
        while at.step < stage.steps and not (at.stopped_early or clock.is_over):
            mover = stage.update(self._next(stream), clock.progress(at.step / stage.steps))
            at.step, at.updates = at.step + 1, at.updates + 1
            at.moves[mover] += stage is self.stages[-1]
            at.seconds = time.monotonic() - started
            self._check(stage, mover)
            try:
                for callback in self.callbacks:
                    callback.on_update(self, mover)
            except KeyboardInterrupt:
                interrupt.asked = True  # saved first, as on Ctrl-C
            if at.step % self.evaluate_every == 0 or at.step == stage.steps or clock.is_over:
                self._evaluate(stage)
            if at.step % self.checkpoint_every == 0 and at.step < stage.steps:
                self.save()
            self.progress.update(at.step, mover)
            if interrupt.asked:
                self.save()
                raise KeyboardInterrupt
        self._restore_best(stage)
        stage.finish()
        if self.early_stopping:
            self.progress.ended(stage.name, at.updates, at.best_updates, stopped_early=at.stopped_early)

    def _share_of_time(self, index: int) -> float:
        """Seconds that the stage may take of those that are left."""
        left = self.stages[index].steps - self.position.step
        if left == 0:
            return 0.0
        return (self.deadline - time.monotonic()) * left / (left + sum(s.steps for s in self.stages[index + 1 :]))

    def _next(self, stream: Iterator[Batch]) -> Batch:
        self.position.batches += 1
        return next(stream)

    def _check(self, stage: Stage, mover: str) -> None:
        if stage.players[mover].skipped_in_a_row >= _SKIPS_IN_A_ROW:
            rate = "noise_learning_rate" if mover == "noise" else "learning_rate"
            raise NumericalError(
                f"{_SKIPS_IN_A_ROW} updates of the {mover} in a row had non-finite gradients after "
                f"{self.position.updates} updates; lower --{rate.replace('_', '-')} or --clip-norm, or take another "
                "noise; the last good checkpoint is kept"
            )

    def _evaluate(self, stage: Stage) -> None:
        at = self.position
        metrics = self.evaluate(self.averaged, stage.name)
        if self.early_stopping and self.score is not None:
            metrics["score"] = mean_with_error(self.score(self.averaged, stage.name), self.score_weight)[0]
        skipped = sum(player.skipped for player in stage.players.values())
        line = {
            "stage": stage.name,
            "step": at.step,
            "updates": at.updates,
            "updates_energy": at.moves["energy"],
            "updates_noise": at.moves["noise"],
            "skipped": skipped,
            "seconds": round(at.seconds, 3),
            **metrics,
        }
        self.progress.report(line)
        if self.directory is not None:
            self.directory.record(line)
        for callback in self.callbacks:
            callback.on_evaluation(self, line)
        if "score" in metrics:
            self._remember_best(metrics["score"])

    def _remember_best(self, score: float) -> None:
        at = self.position
        if score > at.best_score:
            at.best_score, at.best_updates, at.evaluations_since_best = score, at.updates, 0
            self.best = {name: tensor.clone() for name, tensor in self.averaged.state_dict().items()}
            if self.directory is not None:
                write_checkpoint(self._best_path(at.stage), self.best, {"updates": at.updates, "score": score})
        else:
            at.evaluations_since_best += 1
            at.stopped_early = at.evaluations_since_best >= self.early_stopping

    def _restore_best(self, stage: Stage) -> None:
        """Go back to the best state, unless the last is within a standard error of it.

        A run that overfits ends far below its best; one that converges ends with the smallest learning rate, and of
        states as good the last is then the most exact.
        """
        if self.best is None or self.score is None:
            return
        last = {name: tensor.clone() for name, tensor in self.averaged.state_dict().items()}
        scores = self.score(self.averaged, stage.name)
        self.averaged.load_state_dict(self.best)
        gain = self.score(self.averaged, stage.name) - scores
        mean, error = mean_with_error(gain, self.score_weight)
        if bool(torch.isfinite(gain).all()) and mean <= (error if math.isfinite(error) else 0.0):
            self.averaged.load_state_dict(last)
            self.position.best_updates = self.position.updates
        else:
            self.estimator.load_state_dict(self.best)

    def _best_path(self, stage: int) -> Path:
        """Each stage has a file of its own: a run killed early in one goes on from late in the one before."""
        assert self.directory is not None
        return (
            self.directory.best_path
            if stage == len(self.stages) - 1
            else self.directory.best_of(self.stages[stage].name)
        )

    # Saving ----------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint, if the run is kept and has begun."""
        if self.directory is None or self.position.step == 0:
            return
        tensors = {f"estimator.{k}": v for k, v in self.estimator.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.estimator.log_normalizer.is_cuda:
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.estimator.log_normalizer.device)
        stage = self.stages[self.position.stage]
        counters = {}
        for name, player in stage.players.items():
            state = player.state_dict()
            counters[name] = state["counters"]
            tensors |= {f"player.{name}.{k}": v for k, v in state["tensors"].items()}
        position = copy.deepcopy(vars(self.position))
        position["best_score"] = None if self.best is None else self.position.best_score
        write_checkpoint(
            self.directory.checkpoint_path,
            tensors,
            {"position": position, "counters": counters, "stage": stage.state_dict()},
        )

    def _restore_rng(self) -> None:
        if "cpu" in self._rng:
            torch.set_rng_state(self._rng["cpu"])
        if "cuda" in self._rng and self.estimator.log_normalizer.is_cuda:
            torch.cuda.set_rng_state(self._rng["cuda"], self.estimator.log_normalizer.device)

    def load(self) -> None:
        """Take up the checkpoint of the run directory; without one, the run starts anew.

        Raises:
            ContrastiveError: if the checkpoint is damaged or belongs to other models.
        """
        if self.directory is None or not self.directory.checkpoint_path.exists():
            if self.directory is not None:
                self.directory.rewind(-1)
            return
        tensors, state = read_checkpoint(self.directory.checkpoint_path)
        try:
            self._load(tensors, state)
        except (KeyError, TypeError) as error:
            raise ContrastiveError(
                f"{self.directory.checkpoint_path} was written by another version ({error}): fit again, with "
                f"--config {self.directory.config_path} --out NEW"
            ) from error
        self.directory.rewind(self.position.updates)

    def _load(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        position = dict(state["position"])
        if position["best_score"] is None:
            position["best_score"] = -float("inf")
        self.position = Position(**position)
        try:
            self.estimator.load_state_dict(_under("estimator.", tensors))
            self.averaged.load_state_dict(_under("averaged.", tensors))
        except RuntimeError as error:
            raise ContrastiveError(f"the checkpoint is of other models: {' '.join(str(error).split())}") from error
        stage = self.stages[self.position.stage]
        for name, player in stage.players.items():
            player.load_state_dict({"tensors": _under(f"player.{name}.", tensors), "counters": state["counters"][name]})
        stage.load_state_dict(state["stage"])
        self._rng = _under("rng.", tensors)
        if self.position.best_score > -float("inf"):
            self.best = read_checkpoint(self._best_path(self.position.stage))[0]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
