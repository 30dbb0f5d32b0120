"""Schedules: which player moves next."""

import math
from typing import Literal, Protocol, TypeAlias

from contrastive.errors import ContrastiveError
from contrastive.objectives.contrast import Contrast

Role = Literal["energy", "noise"]
State: TypeAlias = dict[str, int | str | float | None]


class Schedule(Protocol):
    """Chooses the player of every update from what it has been told of the updates before."""

    mover: Role

    def update(self, contrast: Contrast) -> None:
        """Told after a move how data and noise compared in it; sets `mover` for the next."""
        ...

    def state_dict(self) -> State:
        """All that a resumed run needs, as JSON."""
        ...

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""
        ...


class _Turns:
    """The mover, and for how many moves it has been on."""

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
    """The noise is held: NCE."""

    def update(self, contrast: Contrast) -> None:
        """Nothing to decide."""


class Alternate(_Turns):
    """A fixed number of moves each.

    Args:
        energy_updates: moves of the energy in a turn.
        noise_updates: moves of the noise in a turn.
    """

    def __init__(self, energy_updates: int = 5, noise_updates: int = 1) -> None:
        super().__init__()
        if min(energy_updates, noise_updates) < 1:
            raise ContrastiveError("each player needs at least one move in its turn")
        self.lengths = {"energy": energy_updates, "noise": noise_updates}

    def update(self, contrast: Contrast) -> None:
        """Switch when the turn is over."""
        self.run += 1
        self._next(self.run >= self.lengths[self.mover])


class Gate(_Turns):
    """The paper's gate: the energy moves until its accuracy exceeds a threshold, then the noise until it does not.

    Args:
        threshold: level of `measure` at which the turn changes hands.
        max_noise_run: the noise gives way after this many moves: a flow that cannot follow would take every update.
        min_energy_run: the energy keeps its turn for at least this many moves, however well it tells them apart.
        measure: how well; the paper's is "accuracy". "divergence" is 2 JSD, nats, which every pair of densities has,
            where accuracy sees only on which side of 1/2 a point falls.
        memory: decay of a moving average of the measure, in [0, 1): a batch alone is noisy.
        margin: hysteresis: the energy has to pass threshold + margin, the noise to fall to threshold - margin.

    Reference: Gao et al. (2020), section 4.
    """

    def __init__(
        self,
        threshold: float = 0.6,
        max_noise_run: int = 50,
        min_energy_run: int = 1,
        *,
        measure: Literal["accuracy", "divergence"] = "accuracy",
        memory: float = 0.0,
        margin: float = 0.0,
    ) -> None:
        super().__init__()
        self.threshold, self.max_noise_run, self.min_energy_run = threshold, max_noise_run, min_energy_run
        self.measure, self.memory, self.margin = measure, memory, margin
        self.level: float | None = None

    def update(self, contrast: Contrast) -> None:
        """Compare the measure with the threshold. NaN counts as below it, and is not remembered."""
        self.run += 1
        level = float(contrast.accuracy if self.measure == "accuracy" else contrast.twice_jsd)
        if math.isfinite(level):
            self.level = level if self.level is None else self.memory * self.level + (1 - self.memory) * level
            level = self.level
        if self.mover == "energy":
            self._next(level > self.threshold + self.margin and self.run >= self.min_energy_run)
        else:
            self._next(not level > self.threshold - self.margin or self.run >= self.max_noise_run)

    def state_dict(self) -> State:
        """Mover, run and the moving average."""
        return {**super().state_dict(), "level": self.level}

    def load_state_dict(self, state: State) -> None:
        """The inverse of `state_dict`."""
        super().load_state_dict(state)
        level = state["level"]
        self.level = None if level is None else float(level)
