"""Mixtures of logistics over the grey levels of a pixel's channels."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from contrastive_autoregressive.bins import Bins
from contrastive_autoregressive.families import bounded_log_scale, draw_component, draw_logistic_like


class PixelMixture(NamedTuple):
    """A mixture over the C channels of each pixel, in the units of `Bins.scale`.

    Given the component, channel c is a logistic of mean mu_c + sum_{c' < c} links[c, c'] v_c', rounded to the nearest
    level; the first and the last level take the tails.

    Reference: Salimans et al. (2017), "PixelCNN++".
    """

    log_weights: Float[Tensor, "*pixels k"]
    means: Float[Tensor, "*pixels k c"]
    log_scales: Float[Tensor, "*pixels k c"]
    links: Float[Tensor, "*pixels k c c"]

    @classmethod
    def from_raw(cls, raw: Float[Tensor, "*pixels numbers"], channels: int) -> "PixelMixture":
        """From a network's K (1 + 2 C + C (C - 1) / 2) numbers a pixel."""
        per_component = raw.unflatten(-1, (-1, raw_size(1, channels)))
        logits, means, log_scales, slopes = per_component.split([1, channels, channels, _pairs(channels)], -1)
        links = raw.new_zeros(*means.shape, channels)
        row, column = torch.tril_indices(channels, channels, -1, device=raw.device)
        links[..., row, column] = slopes.tanh()
        return cls(logits.squeeze(-1).log_softmax(-1), means, bounded_log_scale(log_scales), links)

    def log_mass(self, level: Float[Tensor, "*pixels c"], bins: Bins) -> Float[Tensor, "*pixels"]:
        """Log-probability of each pixel's levels, in nats."""
        pixel = bins.scale(level)[..., None, :]
        means = self.means + (self.links @ pixel[..., None]).squeeze(-1)
        rate, half = (-self.log_scales).exp(), 1 / (bins.levels - 1)
        up_to = logsigmoid((pixel + half - means) * rate)
        above = logsigmoid(-(pixel - half - means) * rate)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of near numbers.
        inside = up_to + above + (-torch.expm1(-2 * half * rate)).log()
        first, last = (level == 0)[..., None, :], (level == bins.levels - 1)[..., None, :]
        of_channels = torch.where(first, up_to, torch.where(last, above, inside))
        return (self.log_weights + of_channels.sum(-1)).logsumexp(-1)

    def sample(self, bins: Bins) -> Float[Tensor, "*pixels c"]:
        """Levels of one draw of each pixel."""
        index = draw_component(self.log_weights)[..., None, None]
        means, log_scales = (v.take_along_dim(index, -2).squeeze(-2) for v in (self.means, self.log_scales))
        links = self.links.take_along_dim(index[..., None], -3).squeeze(-3)
        level, pixel = torch.zeros_like(means), torch.zeros_like(means)
        free = log_scales.exp() * draw_logistic_like(means)
        for c in range(means.shape[-1]):  # the channels after c are still 0, and their links too
            value = means[..., c] + free[..., c] + (links[..., c, :] * pixel).sum(-1)
            level[..., c] = ((value + 1) * ((bins.levels - 1) / 2)).round().clamp(0, bins.levels - 1)
            pixel[..., c] = bins.scale(level[..., c])
        return level


def raw_size(components: int, channels: int) -> int:
    """Numbers a pixel that `PixelMixture.from_raw` takes."""
    return components * (1 + 2 * channels + _pairs(channels))


def starting_numbers(components: int, channels: int) -> Float[Tensor, " numbers"]:
    """Raw numbers of mixtures whose components divide [-1, 1] among them."""
    means = (2 * torch.arange(components) + 1) / components - 1
    start = torch.zeros(components, raw_size(1, channels))
    start[:, 1 : 1 + channels] = means[:, None]
    start[:, 1 + channels : 1 + 2 * channels] = -math.log(components)
    return start.flatten()


def _pairs(channels: int) -> int:
    return channels * (channels - 1) // 2
