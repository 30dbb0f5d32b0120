"""The noise's log-density as the energy, for method mle."""

from jaxtyping import Float
from torch import Tensor

from contrastive.energies.built_on_noise import BuiltOnNoise


class NoiseEnergy(BuiltOnNoise):
    """f(x) = log q0(x), with q0 a frozen copy of the noise; high = likely. It has no parameters, and c = 0.

    A fit by `method="mle"` ends with it, so that its noise can be evaluated, sampled and plotted as any other model.

    Args:
        event_shape: shape of one data point.
    """

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__()

    def has_learned(self) -> bool:
        """Never."""
        return False

    def forget(self) -> None:
        """Nothing to forget."""

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`."""
        return self.log_base(x)
