"""What a user sees of a run: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from typing import Any

from tqdm import tqdm

#: Nats by which telling data from noise is worse than guessing; the first updates of a good fit cost less.
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
        self.total = self._done = 0
        self._started = 0.0
        self._last = self._metrics = ""
        self._hinted = False

    def start(self, stage: str, total: int, done: int) -> None:
        """A stage begins (or goes on after `done` updates)."""
        self.close()
        self.total, self._done, self._started = total, done, time.monotonic()
        if not self.quiet and not self.lines:
            self.bar = tqdm(total=total, initial=done, desc=stage, unit="step", dynamic_ncols=True, leave=True)

    def update(self, done: int, mover: str) -> None:
        """One more update was made."""
        if self.bar is not None:
            self.bar.update(done - self.bar.n)
            if mover != self._last:
                self._last = mover
                self._postfix()

    def report(self, metrics: dict[str, Any]) -> None:
        """An evaluation came in."""
        self._metrics = describe(metrics)
        if self.bar is not None:
            self._postfix()
        elif not self.quiet:
            step = metrics["step"]
            rate = (step - self._done) / max(time.monotonic() - self._started, 1e-9)
            pace = f"{rate:.0f} steps/s  {(self.total - step) / max(rate, 1e-9):.0f} s left"
            print(f"{metrics['stage']} {step}/{self.total}  {self._metrics}  {pace}", file=sys.stderr, flush=True)
        self._hint(-metrics.get("twice_jsd", 0.0))

    def close(self) -> None:
        """The stage is over."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _hint(self, loss: float) -> None:
        """Say once, early, what would else be said when hours are over."""
        if self.quiet or self._hinted or not loss > _LOST:
            return
        self._hinted = True
        tqdm.write(
            f"note: so far telling data from noise costs {loss:.0f} nats more than guessing would. If that does not "
            "fall, the energy is slow to learn the size of log q: begin from the noise (--energy tilted)",
            file=sys.stderr,
        )

    def _postfix(self) -> None:
        self.bar.set_postfix_str(f"{self._metrics} {self._last} moves".strip(), refresh=False)


def describe(metrics: dict[str, Any]) -> str:
    """The few figures of an evaluation that fit a line."""
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
    if "bits_per_dim_noise" in metrics:  # log p and log q say the same
        shown = {key: label for key, label in shown.items() if not key.startswith("test_log_prob")}
    return "  ".join(f"{label} {metrics[key]:.4f}" for key, label in shown.items() if metrics.get(key) is not None)
