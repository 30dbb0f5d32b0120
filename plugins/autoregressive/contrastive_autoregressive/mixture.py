"""Mixtures of a location-scale family, one for each entry of a vector."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive_autoregressive.families import Family, bounded_log_scale, draw_component, raw_log_scale


class Mixture(NamedTuple):
    """sum_k w_k F((x - mu_k) / sigma_k), for a batch of numbers x; each field has shape `(*batch, K)`."""

    log_weights: Float[Tensor, "*batch k"]
    means: Float[Tensor, "*batch k"]
    log_scales: Float[Tensor, "*batch k"]

    @classmethod
    def from_raw(cls, raw: Float[Tensor, "*batch numbers"]) -> "Mixture":
        """From a network's 3 K numbers: logits, means, unbounded log-scales."""
        logits, means, log_scales = raw.chunk(3, -1)
        return cls(logits.log_softmax(-1), means, bounded_log_scale(log_scales))

    def log_prob(self, x: Float[Tensor, "*batch"], family: Family) -> Float[Tensor, "*batch"]:
        """Log-density of each number, in nats."""
        return (self.log_weights + family.log_density(self._standard(x)) - self.log_scales).logsumexp(-1)

    def cdf(self, x: Float[Tensor, "*batch"], family: Family) -> Float[Tensor, "*batch"]:
        """Distribution function at each number."""
        return (self.log_weights.exp() * family.cdf(self._standard(x))).sum(-1)

    def sample(self, family: Family) -> Float[Tensor, "*batch"]:
        """One draw of each mixture."""
        index = draw_component(self.log_weights)[..., None]
        mean, log_scale = (values.gather(-1, index).squeeze(-1) for values in (self.means, self.log_scales))
        return mean + log_scale.exp() * family.draw_like(mean)

    def _standard(self, x: Tensor) -> Tensor:
        return (x[..., None] - self.means) * (-self.log_scales).exp()


def starting_numbers(components: int, family: Family) -> Float[Tensor, " numbers"]:
    """Raw numbers of a mixture with mean 0 and variance 1, its components spread so that they can part.

    Their means are the K mid-quantiles of a standard normal.
    """
    means = torch.special.ndtri((torch.arange(components, dtype=torch.float64) + 0.5) / components)
    log_scale = 0.5 * ((1 - means.square().mean()) / family.variance).log()
    scales = raw_log_scale(log_scale).expand(components)
    return torch.cat([torch.zeros_like(means), means, scales]).to(torch.get_default_dtype())
