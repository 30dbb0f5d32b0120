"""Defensive mixtures: Hesterberg (1995), "Weighted average importance sampling and defensive mixture distributions",
Technometrics 37.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError, warn_renamed
from contrastive.protocols import NoiseModel, sample_and_log_prob


@dataclass(frozen=True)
class DefensiveMixture:
    """(1 - w) q + w h, a mixture that covers h's support however light q's tails are.

    Args:
        noise: q.
        defensive_component: h, with wide tails, over the same events.
        share: w in (0, 1), the weight of h.

    Raises:
        ContrastiveError: if the share is out of range, or the event shapes differ.
    """

    noise: NoiseModel
    defensive_component: NoiseModel
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ContrastiveError(f"the defensive share must be in (0, 1), got {self.share:g}")
        if tuple(self.noise.event_shape) != tuple(self.defensive_component.event_shape):
            raise ContrastiveError(
                f"the defensive component is over events of shape {tuple(self.defensive_component.event_shape)}, the "
                f"noise over {tuple(self.noise.event_shape)}"
            )

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one draw."""
        return self.noise.event_shape

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log of the mixture's density, nats."""
        return self._mixed(self.noise.log_prob(value), value)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Samples of shape `sample_shape + event_shape`, in random order."""
        shape = torch.Size(sample_shape)
        x, _ = self.sample_and_log_prob(torch.Size([shape.numel()]))
        return x[torch.randperm(len(x), device=x.device)].reshape(*shape, *self.event_shape)

    @torch.no_grad()
    def sample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """Samples and the mixture's log-density there, in nats; the samples of q come first.

        Stratified: of n samples w n are h's, rounded up or down at random, so that means stay unbiased.
        """
        shape = torch.Size(sample_shape)
        n = shape.numel()
        wide = math.floor(self.share * n + float(torch.rand(())))
        parts = []
        if wide < n:
            parts.append(sample_and_log_prob(self.noise, n - wide))
        if wide:
            y = self.defensive_component.sample(torch.Size([wide]))
            parts.append((y, self.noise.log_prob(y)))
        x, log_q = (torch.cat(part) for part in zip(*parts))
        return x.reshape(*shape, *self.event_shape), self._mixed(log_q, x).reshape(shape)

    def _mixed(self, log_q: Tensor, x: Tensor) -> Tensor:
        log_h = self.defensive_component.log_prob(x)
        return torch.logaddexp(log_q + math.log1p(-self.share), log_h + math.log(self.share))

    @property
    def defence(self) -> NoiseModel:
        """Deprecated: `defensive_component`."""
        warn_renamed("DefensiveMixture.defence", "defensive_component")
        return self.defensive_component
