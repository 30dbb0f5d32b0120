"""The interface of an objective."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from contrastive.objectives.contrast import Contrast


class Objective(Protocol):
    """From log-ratios to losses.

    A plain function will do; what it does not say of itself is taken to be so. `learns_normalizer = False` says that c
    cancels in the loss, `allows_adaptive_noise = False` that minus the loss is no divergence for a noise to minimise.
    `check(energy)` may refuse an energy.
    """

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float, /
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """One loss a row: of the data, and of the noise with nu counted."""
        ...


@runtime_checkable
class SamplingObjective(Protocol):
    """An objective that looks at points of its own, between data and noise or beside the data.

    The energy then learns from `contrast`; the call, as of every objective, is what a report calls V.
    """

    def contrast(self, energy: Any, z: Tensor, z_noise: Tensor, /) -> Contrast:
        """From data and as many noise draws."""
        ...


@runtime_checkable
class BalancingObjective(Protocol):
    """An objective that knows better than NCE's optimum which constants to start from."""

    def balance(self, energy: Any, z: Tensor, z_noise: Tensor, /) -> None:
        """Set them in the energy; the estimator's c is 0."""
        ...


def learns_normalizer(objective: Objective) -> bool:
    """Whether c is learned; if not, log Z has to be estimated."""
    return bool(getattr(objective, "learns_normalizer", True))


def allows_adaptive_noise(objective: Objective) -> bool:
    """Whether a noise may play against the energy in this loss."""
    return bool(getattr(objective, "allows_adaptive_noise", True))
