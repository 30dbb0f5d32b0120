"""What an objective is."""

from typing import Protocol

from jaxtyping import Float
from torch import Tensor


class Objective(Protocol):
    """From log-ratios to losses.

    A plain function will do; what it does not say of itself is taken to be so. `learns_normalizer = False` says that c
    cancels in the loss, `allows_adaptive_noise = False` that minus the loss is no divergence for a noise to minimise.
    """

    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float, /
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """One loss a row: of the data, and of the noise with nu counted."""
        ...


def learns_normalizer(objective: Objective) -> bool:
    """Whether c is learned; if not, log Z has to be estimated."""
    return bool(getattr(objective, "learns_normalizer", True))


def allows_adaptive_noise(objective: Objective) -> bool:
    """Whether a noise may play against the energy in this loss."""
    return bool(getattr(objective, "allows_adaptive_noise", True))
