"""The time that a stage may take, and what share of the stage is over."""

import math
import time


class Clock:
    """Progress of a stage by its updates or by its time, whichever is more.

    Args:
        seconds: from now on; infinite for no limit.
        begun: progress at the start, of a stage that is resumed.
    """

    def __init__(self, seconds: float, begun: float = 0.0) -> None:
        self.start, self.seconds, self.begun = time.monotonic(), seconds, begun

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return time.monotonic() - self.start >= self.seconds

    def progress(self, of_updates: float) -> float:
        """The share of the stage that is over, in [0, 1], where that share of its updates is made."""
        if math.isinf(self.seconds):
            return of_updates
        used = min(1.0, (time.monotonic() - self.start) / max(self.seconds, 1e-9))
        return max(of_updates, self.begun + (1 - self.begun) * used)
