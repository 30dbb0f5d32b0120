"""Who moves next: the energy or the noise."""

from typing import Literal, Protocol

from contrastive.errors import ContrastiveError

Player = Literal["energy", "noise"]


class Schedule(Protocol):
    """Chooses the player of every update from what it has been told of the updates before."""

    mover: Player

    def update(self, accuracy: float) -> None:
        """Told after a move how well the energy told data from noise in it; sets `mover` for the next."""
        ...

    def state_dict(self) -> dict[str, int | str]:
        """All that a resumed run needs, as JSON."""
        ...

    def load_state_dict(self, state: dict[str, int | str]) -> None:
        """The inverse of `state_dict`."""
        ...


class _Turns:
    """The mover, and for how many moves it has been on."""

    def __init__(self) -> None:
        self.mover: Player = "energy"
        self.run = 0

    def _next(self, switch: bool) -> None:
        self.run = 0 if switch else self.run
        if switch:
            self.mover = "noise" if self.mover == "energy" else "energy"

    def state_dict(self) -> dict[str, int | str]:
        return {"mover": self.mover, "run": self.run}

    def load_state_dict(self, state: dict[str, int | str]) -> None:
        self.mover = "noise" if state["mover"] == "noise" else "energy"
        self.run = int(state["run"])


class EnergyOnly(_Turns):
    """The noise is held: NCE."""

    def update(self, accuracy: float) -> None:
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

    def update(self, accuracy: float) -> None:
        """Switch when the turn is over."""
        self.run += 1
        self._next(self.run >= self.lengths[self.mover])


class AccuracyGate(_Turns):
    """The paper's gate: the energy moves until it tells data from noise well, then the noise until it does not.

    Args:
        threshold: accuracy in [0.5, 1) at which the turn changes hands.
        max_noise_run: the noise gives way after this many moves: a flow that cannot follow would take every update.
        min_energy_run: the energy keeps its turn for at least this many moves, however well it tells them apart.

    Reference: Gao et al. (2020), section 4.
    """

    def __init__(self, threshold: float = 0.6, max_noise_run: int = 50, min_energy_run: int = 1) -> None:
        super().__init__()
        self.threshold, self.max_noise_run, self.min_energy_run = threshold, max_noise_run, min_energy_run

    def update(self, accuracy: float) -> None:
        """Compare the last move's accuracy with the threshold. NaN counts as below it."""
        self.run += 1
        told_apart = accuracy > self.threshold
        if self.mover == "energy":
            self._next(told_apart and self.run >= self.min_energy_run)
        else:
            self._next(not told_apart or self.run >= self.max_noise_run)
