"""Any `torch.distributions.Distribution` as a noise that moves with the estimator."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Transform

from contrastive.errors import ContrastiveError


class DistributionNoise(nn.Module):
    """A plain distribution, held as a fixed noise.

    Distributions do not move with modules: their tensors are copied to the device and dtype that the enclosing
    module is moved to, the caller's object is left as it was.

    Args:
        distribution: a distribution with an empty batch shape.

    Raises:
        ContrastiveError: if the batch shape is not empty; the fix is `Independent(distribution, n)`.
    """

    anchor: Tensor

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        if distribution.batch_shape:
            raise ContrastiveError(
                f"the distribution has batch shape {tuple(distribution.batch_shape)}, a noise must be one density: "
                f"wrap it, torch.distributions.Independent(distribution, {len(distribution.batch_shape)})"
            )
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # tells where the module was moved
        self._given = distribution
        self._moved: tuple[torch.device, torch.dtype, Distribution] | None = None

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one draw."""
        return self._given.event_shape

    def distribution(self) -> Distribution:
        """The distribution on this module's device and in its dtype."""
        device, dtype = self.anchor.device, self.anchor.dtype
        if self._moved is None or self._moved[:2] != (device, dtype):
            self._moved = (device, dtype, _move(self._given, device, dtype))
        return self._moved[2]

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`."""
        return self.distribution().sample(torch.Size(sample_shape))

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats."""
        return self.distribution().log_prob(value)

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return str(self._given)


def _move(item: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A copy of a distribution, or of what it is made of, with its tensors moved."""
    if isinstance(item, Tensor):
        return item.detach().to(device, dtype if item.is_floating_point() else None)
    if isinstance(item, list | tuple):
        return type(item)(_move(part, device, dtype) for part in item) if type(item) in (list, tuple) else item
    if isinstance(item, Distribution | Transform):
        moved = copy.copy(item)
        # Through __dict__: setattr would trip over lazy properties.
        moved.__dict__.update({name: _move(part, device, dtype) for name, part in vars(item).items()})
        if isinstance(moved, Distribution):
            moved._validate_args = False  # it reads values back from the device in every call
        return moved
    return item
