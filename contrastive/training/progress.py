"""Progress of a run on standard error: a bar on a terminal, plain lines elsewhere."""

import math
import sys
import time
from typing import Any

from tqdm import tqdm

#: Nats of the NCE loss above chance level; the first updates of a good fit stay below.
_LOST = 10.0


class Progress:
    """Reports of one run, on standard error.

    Args:
        quiet: say nothing.
        lines: plain lines instead of a bar; by default where standard error is no terminal.
    """

    def __init__(self, *, quiet: bool = False, lines: bool | None = None) -> None:
        self.quiet = quiet
        self.lines = not sys.stderr.isatty() if lines is None else lines
        self.bar: Any = None
        self.total = self._done = self._said = 0
        self._started = 0.0
        self._last = self._metrics = ""
        self._hinted = False

    def say(self, message: str) -> None:
        """One line on what is done before training."""
        if not self.quiet:
            tqdm.write(message, file=sys.stderr)

    def start(self, stage: str, total: int, done: int) -> None:
        """A stage begins (or goes on after `done` updates)."""
        self.close()
        self.total, self._done, self._said, self._started = total, done, done, time.monotonic()
        if not self.quiet and not self.lines:
            self.bar = tqdm(total=total, initial=done, desc=stage, unit="step", dynamic_ncols=True, leave=True)

    def update(self, done: int, mover: str) -> None:
        """Show that `done` updates are made, the last of them of `mover`, "energy" or "noise"."""
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            if mover != self._last:
                self._last = mover
                self._postfix()

    def report(self, metrics: dict[str, Any]) -> None:
        """Show the figures of an evaluation."""
        self._metrics = describe(metrics)
        if self.bar is not None:
            self._postfix()
        elif not self.quiet and self._is_due(metrics["step"]):
            self._said = step = metrics["step"]
            pace = ""
            if step > self._done:
                rate = (step - self._done) / max(time.monotonic() - self._started, 1e-9)
                pace = f"  {rate:.0f} steps/s  {(self.total - step) / rate:.0f} s left"
            print(f"{metrics['stage']} {step}/{self.total}  {self._metrics}{pace}", file=sys.stderr, flush=True)
        self._hint(-max(metrics.get("twice_jsd", 0.0), metrics.get("train_twice_jsd", -math.inf)))

    def _is_due(self, step: int) -> bool:
        """Some forty lines a stage: a small table is evaluated more often than anybody reads."""
        return step in (0, self.total) or step - self._said >= self.total // 40

    def ended(self, stage: str, updates: int, best: int, *, stopped_early: bool) -> None:
        """A stage with early stopping is over; its state at update `best` is what it ends with."""
        self.close()
        if not self.quiet:
            end = "stopped early" if stopped_early else "ended"
            print(
                f"{stage}: {end} at update {updates:,}; the state of update {best:,}, the best on held-out rows, "
                "is kept",
                file=sys.stderr,
            )

    def close(self) -> None:
        """The stage is over."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _hint(self, loss: float) -> None:
        """Say once, early in the run, that the loss is far above chance level."""
        if self.quiet or self._hinted or not loss > _LOST:
            return
        self._hinted = True
        tqdm.write(
            f"note: so far the NCE loss is {loss:.0f} nats above chance level. If that does not fall, the energy is "
            "slow to learn the size of log q: begin from the noise (--energy tilted)",
            file=sys.stderr,
        )

    def _postfix(self) -> None:
        self.bar.set_postfix_str(f"{self._metrics} {self._last} step".strip(), refresh=False)


def describe(metrics: dict[str, Any]) -> str:
    """The main figures of an evaluation, on one line."""
    shown = {
        "value": "value",
        "accuracy": "accuracy",
        "test_error": "label error",
        "mse_log_prob_energy": "mse",
        "bits_per_dim_energy": "bits/dim p",
        "bits_per_dim_noise": "bits/dim q",
        "test_log_prob_energy": "log p",
        "test_log_prob_noise": "log q",
        "test_log_prob_gaussian": "log Gaussian",
    }
    if "bits_per_dim_noise" in metrics:  # log p and log q are the same figures in nats
        shown = {key: label for key, label in shown.items() if not key.startswith("test_log_prob")}
    return "  ".join(f"{label} {metrics[key]:.4f}" for key, label in shown.items() if metrics.get(key) is not None)
