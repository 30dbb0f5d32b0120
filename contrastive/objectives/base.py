"""Base of objectives."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from contrastive.protocols import EnergyModel


class Objective(ABC):
    """Base of objectives: from log-ratios to losses; the rest has defaults.

    A subclass implements the call. A plain function of the same signature works as well, with the same defaults. An
    objective that draws points of its own has a method `contrast` too: `SamplingObjective`.

    Attributes:
        learns_normalizer: whether c enters the loss; where it cancels, log Z has to be estimated.
        allows_adaptive_noise: whether minus the loss is a divergence that a noise can minimise (FCE).

    Example:
        >>> import torch
        >>> from torch.nn.functional import softplus
        >>> class NCE(Objective):
        ...     def __call__(self, r_data, r_noise, noise_ratio):
        ...         return softplus(-r_data), noise_ratio * softplus(r_noise)
        >>> NCE()(torch.zeros(1), torch.zeros(1), 2.0)
        (tensor([0.6931]), tensor([1.3863]))
    """

    learns_normalizer = True
    allows_adaptive_noise = True

    @abstractmethod
    def __call__(
        self, r_data: Float[Tensor, " data"], r_noise: Float[Tensor, " noise"], noise_ratio: float, /
    ) -> tuple[Float[Tensor, " data"], Float[Tensor, " noise"]]:
        """One loss a row: of the data, and of the noise samples with nu counted."""

    def check(self, energy: EnergyModel, /) -> None:  # noqa: B027 (a default, not an omission)
        """Refuse an energy that cannot be learned by this objective (default: none is refused).

        Raises:
            ContrastiveError: saying which energy to take.
        """
