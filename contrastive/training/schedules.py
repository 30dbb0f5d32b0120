"""Schedules: whether the energy or the noise is updated next."""

import math
import sys
from typing import Literal, Protocol, TypeAlias

from contrastive.errors import ContrastiveError
from contrastive.objectives.contrast import Contrast

Role = Literal["energy", "noise"]
State: TypeAlias = dict[str, int | str | float | None]


class Schedule(Protocol):
    """Chooses for every update whether energy or noise is trained, from the contrasts of the updates before."""

    mover: Role

    def update(self, contrast: Contrast) -> None:
        """Takes the contrast of an update and sets `mover` for the next."""
        ...

    def state_dict(self) -> State:
        """All that a resumed run needs, as JSON."""
        ...

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""
        ...


class _Turns:
    """The side that is trained, and for how many updates in a row."""

    def __init__(self) -> None:
        self.mover: Role = "energy"
        self.run = 0

    def _next(self, switch: bool) -> None:
        self.run = 0 if switch else self.run
        if switch:
            self.mover = "noise" if self.mover == "energy" else "energy"

    def state_dict(self) -> State:
        return {"mover": self.mover, "run": self.run}

    def load_state_dict(self, state: State) -> None:
        self.mover = "noise" if state["mover"] == "noise" else "energy"
        self.run = int(state["run"] or 0)


class EnergyOnly(_Turns):
    """Every update is of the energy: NCE."""

    def update(self, contrast: Contrast) -> None:
        """Nothing to decide."""


class Alternate(_Turns):
    """A fixed number of updates of the energy, then of the noise.

    Args:
        energy_updates: of the energy in a turn.
        noise_updates: of the noise in a turn.
    """

    def __init__(self, energy_updates: int = 5, noise_updates: int = 1) -> None:
        super().__init__()
        if min(energy_updates, noise_updates) < 1:
            raise ContrastiveError("energy and noise need at least one update each in a turn")
        self.lengths = {"energy": energy_updates, "noise": noise_updates}

    def update(self, contrast: Contrast) -> None:
        """Switch when the turn is over."""
        self.run += 1
        self._next(self.run >= self.lengths[self.mover])


class Gate(_Turns):
    """The paper's gate: the energy is trained until its accuracy exceeds a threshold, then the noise until it does not.

    Args:
        threshold: level of `measure` at which the turn changes hands.
        max_noise_steps: most noise updates in a row: a flow that cannot fit the data would take every update.
        min_energy_steps: fewest energy updates in a row, however well the energy discriminates.
        measure: "accuracy" as in the paper, or "divergence", 2 JSD in nats, which also counts how far a point's
            posterior is from 1/2.
        ema: decay of a moving average of the measure, in [0, 1): a single batch is noisy.
        margin: hysteresis: the energy has to exceed threshold + margin, the noise to fall to threshold - margin.

    Reference: Gao et al. (2020), section 4.
    """

    def __init__(
        self,
        threshold: float,
        max_noise_steps: int = sys.maxsize,
        min_energy_steps: int = 1,
        *,
        measure: Literal["accuracy", "divergence"] = "accuracy",
        ema: float = 0.0,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        self.threshold, self.max_noise_steps, self.min_energy_steps = threshold, max_noise_steps, min_energy_steps
        self.measure, self.ema, self.margin = measure, ema, margin
        self.level: float | None = None

    def update(self, contrast: Contrast) -> None:
        """Compare the measure with the threshold. NaN counts as below it, and is left out of the average."""
        self.run += 1
        level = float(contrast.accuracy if self.measure == "accuracy" else contrast.twice_jsd)
        if math.isfinite(level):
            self.level = level if self.level is None else self.ema * self.level + (1 - self.ema) * level
            level = self.level
        if self.mover == "energy":
            self._next(level > self.threshold + self.margin and self.run >= self.min_energy_steps)
        else:
            self._next(not level > self.threshold - self.margin or self.run >= self.max_noise_steps)

    def state_dict(self) -> State:
        """The side that is trained, for how many updates, and the moving average."""
        return {**super().state_dict(), "level": self.level}

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        level = state["level"]
        self.level = None if level is None else float(level)
