"""An interval of log Z that no assumption can break.

For f = log q0 + B tanh(h) the weights w = exp(f - log q0) lie between exp(-B) and exp(B), and Z is their mean over
independent draws of q0. An empirical Bernstein bound on that mean holds with the stated probability at every number of
draws: no normality, no mixing, no tail to be guessed.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.core.estimator import Estimator
from contrastive.energies.tilted import Tilted
from contrastive.errors import ContrastiveError
from contrastive.normalizer.result import LogPartition
from contrastive.normalizer.weights import OneClass, portions
from contrastive.numerics.statistics import bernstein_radius
from contrastive.protocols import NoiseModel


class BoundedTilt(NamedTuple):
    """f - log q0 where it has a bound: |tilt| <= bound, q0 the base."""

    base: NoiseModel
    tilt: Callable[[Tensor], Tensor]
    bound: float


def bounded_tilt(energy: object) -> BoundedTilt | None:
    """The tilt of a `tilted` energy (or one class of it) with a bound; None for every other energy."""
    if isinstance(energy, OneClass):
        whole, index = bounded_tilt(energy.energy), energy.index
        return None if whole is None else whole._replace(tilt=lambda z: whole.tilt(z)[:, index])
    if isinstance(energy, Tilted) and energy.bound is not None and energy.base is not None:
        return BoundedTilt(energy.base, energy.tilt, energy.bound)
    return None


def is_bounded_on_noise(estimator: Estimator) -> bool:
    """Whether |f - log q| is bounded, q being the present noise: a bounded tilt on a copy of it."""
    tilted, noise = bounded_tilt(estimator.energy), estimator.noise
    if tilted is None or not isinstance(noise, nn.Module) or not isinstance(tilted.base, nn.Module):
        return False
    base, own = tilted.base.state_dict(), noise.state_dict()
    same = type(tilted.base) is type(noise) and base.keys() == own.keys()
    return same and all(torch.equal(base[name], own[name]) for name in own)


@torch.no_grad()
def certified_partition(estimator: Estimator, draws: int, *, level: float = 0.95) -> LogPartition:
    """The certified interval from `draws` draws of the energy's own base q0.

    Args:
        estimator: its energy is `tilted` with a bound.
        draws: of q0, which need not be the present noise.
        level: of the interval.

    Raises:
        ContrastiveError: for every other energy.
    """
    tilted = bounded_tilt(estimator.energy)
    if tilted is None:
        raise ContrastiveError(
            "a certified interval needs an energy with a bound: fit with --energy tilted --energy.bound 3, or take "
            "another method"
        )
    sizes = portions(draws, tilted.base.event_shape)
    tilts = [tilted.tilt(tilted.base.sample(torch.Size([size]))).double().cpu() for size in sizes]
    return certified_interval(torch.cat(tilts), tilted.bound, level=level)


def certified_interval(tilts: Float[Tensor, " n"], bound: float, *, level: float = 0.95) -> LogPartition:
    """The empirical Bernstein interval of log E[exp(tilt)] from independent tilts within +-`bound`.

    The standard error beside it is the delta method's, for comparison.

    Args:
        tilts: f - log q0 at independent draws of q0, nats.
        bound: B.
        level: of the interval, with finite-sample coverage.

    Reference: Maurer & Pontil (2009), "Empirical Bernstein bounds and sample variance penalization", theorem 4.
    """
    # The weights are divided by exp(B) first: their range is then below 1 whatever B is.
    scaled = (tilts.double() - bound).exp()
    mean, radius = (
        float(x) for x in bernstein_radius(scaled[:, None], width=-math.expm1(-2 * bound), false_alarm=1 - level)
    )
    n = len(scaled)
    return LogPartition(
        math.log(mean) + bound,
        float(scaled.std()) / (math.sqrt(n) * mean),
        max(math.log(mean - radius) if mean > radius else -math.inf, -2 * bound) + bound,
        min(math.log(mean + radius), 0.0) + bound,
        level,
        "certified",
        diagnostics={"draws": n, "bound": bound},
    )
