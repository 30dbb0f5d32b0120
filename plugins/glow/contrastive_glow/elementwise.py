"""Invertible maps of single numbers, their parameters given by a network: what a coupling does to each entry.

`to_latent` maps data to latent, `from_latent` back. Both take numbers of any shape with raw parameters of one dimension
more, `(*shape, size)`, and return the mapped numbers with the logarithm of each one's slope, `shape`. Raw parameters of
zero give the identity.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from contrastive.errors import ContrastiveError, did_you_mean

Mapped = tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]

_LEAST = 1e-3  # share of a bin in the box, and slope at a knot, as in Durkan et al. 2019
_UNIT = math.log(math.expm1(1 - _LEAST))  # the raw slope that gives slope 1


class Elementwise(Protocol):
    """A monotone map of the line."""

    @property
    def size(self) -> int:
        """Raw parameters an entry."""
        ...

    def to_latent(self, x: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Data to latent."""
        ...

    def from_latent(self, z: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Latent to data."""
        ...


@dataclass(frozen=True)
class Additive:
    """x = z + t (Dinh et al. 2015): volumes are kept, so that the log-slope is 0."""

    size: int = 1

    def to_latent(self, x: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Data to latent."""
        return x - raw.squeeze(-1), x.new_zeros(()).expand_as(x)

    def from_latent(self, z: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Latent to data."""
        return z + raw.squeeze(-1), z.new_zeros(()).expand_as(z)


@dataclass(frozen=True)
class BoundedAffine:
    """x = z exp(s) + t, with |s| < `bound`.

    The bound keeps a flow that is trained against an energy from sending a point to infinity; normflows 1.7.3's `exp`
    map has none, and its `log(sigmoid(s + 2))` overflows.
    """

    bound: float = 2.0
    size: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.bound < math.inf:
            raise ContrastiveError(f"log-scales need a positive bound, got {self.bound}")

    def to_latent(self, x: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Data to latent."""
        shift, log_scale = self._shift_and_log_scale(raw)
        return (x - shift) * (-log_scale).exp(), -log_scale

    def from_latent(self, z: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Latent to data."""
        shift, log_scale = self._shift_and_log_scale(raw)
        return z * log_scale.exp() + shift, log_scale

    def _shift_and_log_scale(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = raw.unbind(-1)
        return shift, self.bound * torch.tanh(log_scale / self.bound)


@dataclass(frozen=True)
class RationalQuadratic:
    """A monotone rational-quadratic spline on [-tail_bound, tail_bound], the identity outside.

    On a bin of width w and height h, with s = h / w, slopes d0 and d1 at its ends and t the share of the bin's width:
    z = z0 + h (s t^2 + d0 t (1 - t)) / (s + (d0 + d1 - 2 s) t (1 - t)).

    normflows 1.7.3 computes the same (the tests compare), but in float32 its inverse of a strongly bent spline is off
    by whole units and its log-slope not finite; and it gathers the points inside the box by boolean masks, which
    synchronises the device in every call.

    Reference: Durkan et al. (2019), "Neural spline flows", equations 4 to 8 and appendix A.
    """

    bins: int = 8
    tail_bound: float = 5.0

    def __post_init__(self) -> None:
        if not 2 <= self.bins < 1 / _LEAST or not 0 < self.tail_bound < math.inf:
            raise ContrastiveError(
                f"a spline needs 2 to {1 / _LEAST:.0f} bins and a positive tail_bound, "
                f"got {self.bins} and {self.tail_bound}"
            )

    @property
    def size(self) -> int:
        """Widths and heights of the bins, slopes at the inner knots."""
        return 3 * self.bins - 1

    def to_latent(self, x: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Data to latent."""
        inside, place = self._split(x)
        (x0, width), (z0, height), d0, d1 = self._bin(place, raw, latent=False)
        s = height / width
        t = ((place - x0) / width).clamp(0, 1)
        z = z0 + height * t * (s * t + d0 * (1 - t)) / _denominator(t, s, d0, d1)
        return torch.where(inside, z, x), torch.where(inside, _log_slope(t, s, d0, d1), 0)

    def from_latent(self, z: Float[Tensor, "*shape"], raw: Float[Tensor, "*shape size"]) -> Mapped:
        """Latent to data."""
        inside, place = self._split(z)
        (x0, width), (z0, height), d0, d1 = self._bin(place, raw, latent=True)
        s = height / width
        share = ((place - z0) / height).clamp(0, 1)
        # The root of a t^2 + b t - c = 0 in [0, 1], in the form that does not cancel.
        change = share * (d0 + d1 - 2 * s)
        a, b, c = s - d0 + change, d0 - change, s * share
        root = (b.square() + 4 * a * c).clamp_min(torch.finfo(z.dtype).tiny).sqrt()
        t = torch.where(b >= 0, 2 * c / torch.where(b >= 0, b + root, 1), (root - b) / torch.where(b >= 0, 1, 2 * a))
        t = t.clamp(0, 1)
        return torch.where(inside, x0 + width * t, z), torch.where(inside, -_log_slope(t, s, d0, d1), 0)

    def _split(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Whether `value` is in the box, and the nearest point of the box."""
        return value.abs() <= self.tail_bound, value.clamp(-self.tail_bound, self.tail_bound)

    def _bin(
        self, place: Tensor, raw: Tensor, *, latent: bool
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor, Tensor]:
        """Of the bin that holds `place`: left end and width, lower end and height, and the slopes at both ends."""
        raw_widths, raw_heights, raw_slopes = raw.split([self.bins, self.bins, self.bins - 1], dim=-1)
        left, widths = self._intervals(raw_widths)
        lower, heights = self._intervals(raw_heights)
        slopes = F.pad(_LEAST + F.softplus(raw_slopes + _UNIT), (1, 1), value=1.0)
        index = ((lower if latent else left)[..., 1:] <= place[..., None]).sum(-1, keepdim=True)

        def of_bin(values: Tensor) -> Tensor:
            return values.gather(-1, index).squeeze(-1)

        ends = of_bin(slopes), of_bin(slopes[..., 1:])
        return (of_bin(left), of_bin(widths)), (of_bin(lower), of_bin(heights)), *ends

    def _intervals(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Starts and sizes of the bins that partition the box."""
        sizes = 2 * self.tail_bound * (_LEAST + (1 - _LEAST * self.bins) * raw.softmax(-1))
        return F.pad(sizes[..., :-1].cumsum(-1), (1, 0)) - self.tail_bound, sizes


def make_elementwise(kind: str, *, bound: float, bins: int, tail_bound: float) -> Elementwise:
    """The map called "additive", "affine" or "spline".

    Raises:
        ContrastiveError: for another name, or an option out of range.
    """
    affine = BoundedAffine(bound)  # both are made, so that a bad option is refused whichever is chosen
    spline = RationalQuadratic(bins, tail_bound)
    maps: dict[str, Elementwise] = {"additive": Additive(), "affine": affine, "spline": spline}
    if kind not in maps:
        raise ContrastiveError(f"unknown coupling {kind!r}; {did_you_mean(kind, maps)}")
    return maps[kind]


def _denominator(t: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    product = t * (1 - t)
    return s * (1 - 2 * product) + (d0 + d1) * product  # every term positive


def _log_slope(t: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    numerator = d1 * t.square() + 2 * s * t * (1 - t) + d0 * (1 - t).square()
    return 2 * s.log() + numerator.log() - 2 * _denominator(t, s, d0, d1).log()
