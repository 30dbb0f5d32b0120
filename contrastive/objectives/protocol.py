"""What the core asks of an objective, and the defaults of one that does not derive from `Objective`."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from contrastive.errors import warn_renamed
from contrastive.objectives.contrast import Contrast


class ObjectiveFunction(Protocol):
    """From log-ratios to losses: an `Objective`, or a plain function with the same signature."""

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float, /
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """One loss a row: of the data, and of the noise samples with nu counted."""
        ...


@runtime_checkable
class CheckingObjective(Protocol):
    """An objective that refuses energies it cannot learn; every `Objective` is one."""

    def check(self, energy: Any, /) -> None:
        """Raise a `ContrastiveError` that says which energy to take."""
        ...


@runtime_checkable
class SamplingObjective(Protocol):
    """An objective with points of its own, between data and noise or beside the data.

    The energy then learns from `contrast`; reports give the call, as of every objective, as the value V.
    """

    def contrast(self, energy: Any, z: Tensor, z_noise: Tensor, /) -> Contrast:
        """Log-ratios and loss terms, from data and as many noise samples."""
        ...


@runtime_checkable
class SolvingObjective(Protocol):
    """An objective of energies with log normalisers of their own, which it solves for before training."""

    def solve_log_normalizers(self, energy: Any, z: Tensor, z_noise: Tensor, /) -> None:
        """Set them to their optimum for the present energy, from as many noise samples as data; c is 0."""
        ...


@runtime_checkable
class BalancingObjective(Protocol):
    """Deprecated: `SolvingObjective`."""

    def balance(self, energy: Any, z: Tensor, z_noise: Tensor, /) -> None:
        """As `solve_log_normalizers`."""
        ...


def learns_normalizer(objective: ObjectiveFunction) -> bool:
    """Whether c is learned (default: True); if not, log Z has to be estimated."""
    return bool(getattr(objective, "learns_normalizer", True))


def allows_adaptive_noise(objective: ObjectiveFunction) -> bool:
    """Whether minus the loss is a divergence that a noise can minimise (default: True)."""
    return bool(getattr(objective, "allows_adaptive_noise", True))


def own_solver(objective: ObjectiveFunction) -> Callable[[Any, Tensor, Tensor], None] | None:
    """The method by which an objective solves for its energy's log normalisers (default: None, c is the only one)."""
    if isinstance(objective, SolvingObjective):
        return objective.solve_log_normalizers
    if isinstance(objective, BalancingObjective):
        warn_renamed(f"{type(objective).__name__}.balance", "solve_log_normalizers")
        return objective.balance
    return None


def check_energy(objective: ObjectiveFunction, energy: Any) -> None:
    """Let the objective refuse the energy (default: none is refused).

    Raises:
        ContrastiveError: if it does.
    """
    if isinstance(objective, CheckingObjective):
        objective.check(energy)
