"""The two families of mixture components, and what every mixture does with raw numbers of a network."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from contrastive.errors import ContrastiveError, did_you_mean

#: Largest absolute log-scale of a component, as in PixelCNN++: keeps densities finite in float32.
LOG_SCALE_BOUND = 7.0


@dataclass(frozen=True)
class Family:
    """The standard member (location 0, scale 1) of a location-scale family.

    Attributes:
        log_density: its log-density in nats.
        cdf: its distribution function.
        draw_like: independent draws of the shape, dtype and device of a tensor.
        variance: its variance.
    """

    log_density: Callable[[Tensor], Tensor]
    cdf: Callable[[Tensor], Tensor]
    draw_like: Callable[[Tensor], Tensor]
    variance: float


def draw_logistic_like(like: Tensor) -> Tensor:
    """Standard logistic draws: the difference of the logarithms of two exponentials, finite where logit(u) is not."""
    return torch.empty_like(like).exponential_().log() - torch.empty_like(like).exponential_().log()


def _normal_log_density(z: Tensor) -> Tensor:
    return -0.5 * (z.square() + math.log(2 * math.pi))


def _logistic_log_density(z: Tensor) -> Tensor:
    return logsigmoid(z) + logsigmoid(-z)


#: Families by name; named functions, so that a noise of one can be pickled.
FAMILIES = {
    "gaussian": Family(_normal_log_density, torch.special.ndtr, torch.randn_like, variance=1.0),
    "logistic": Family(_logistic_log_density, torch.sigmoid, draw_logistic_like, variance=math.pi**2 / 3),
}


def find_family(name: str) -> Family:
    """The family called `name`.

    Raises:
        ContrastiveError: if it is none of `FAMILIES`.
    """
    if name not in FAMILIES:
        raise ContrastiveError(f"unknown conditionals {name!r}; {did_you_mean(name, FAMILIES)}")
    return FAMILIES[name]


def bounded_log_scale(raw: Tensor) -> Tensor:
    """A log-scale within +-`LOG_SCALE_BOUND`, smooth, near `raw` where that is small."""
    return LOG_SCALE_BOUND * (raw / LOG_SCALE_BOUND).tanh()


def raw_log_scale(log_scale: Tensor) -> Tensor:
    """The number whose `bounded_log_scale` is `log_scale`."""
    return LOG_SCALE_BOUND * (log_scale / LOG_SCALE_BOUND).atanh()


def draw_component(log_weights: Float[Tensor, "*batch k"]) -> Int[Tensor, "*batch"]:
    """Index of a component, drawn with probability exp(log_weights): the first of k exponential clocks to ring."""
    clocks = torch.empty_like(log_weights).exponential_().log()
    return (log_weights - clocks).argmax(-1)
