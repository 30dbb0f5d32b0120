"""Curves blurred by a Gaussian: a mixture over the curve's parameter, by quadrature.

p(x) = mean over branches of the integral of w(t) N(x; curve(t), sd^2 I) dt. The integrand is smooth in t, so
Gauss-Legendre nodes closer than the blur give it to far below 1e-4 nats (tests compare with four times the nodes).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from contrastive.data.densities.base import LabelledDensity

_PAIRS_AT_ONCE = 4_000_000


class BlurredCurves(LabelledDensity):
    """Points at a random place on one of several curves, plus isotropic Gaussian noise; a point's class is its curve.

    Args:
        branches: maps from t, shape `(n,)`, to points, shape `(n, 2)`; each branch is equally likely.
        start: least t.
        stop: largest t.
        power: t = start + (stop - start) u^(1/power) for uniform u: 1 is uniform, 2 has density linear in t - start.
        sd: of the noise.
        nodes: of the quadrature, a branch.
    """

    def __init__(
        self,
        branches: Sequence[Callable[[Tensor], Tensor]],
        *,
        start: float,
        stop: float,
        power: int,
        sd: float,
        nodes: int,
    ) -> None:
        self.branches, self.start, self.stop, self.power, self.sd = branches, start, stop, power, sd
        roots, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(nodes))
        u = (roots + 1) / 2
        t = start + (stop - start) * u
        density = power * u ** (power - 1)  # of u^(1/power)
        self.nodes = torch.cat([branch(t) for branch in branches])
        self.log_weights, self.num_classes = (weights / 2 * density).log(), len(branches)
        low, high = self.nodes.amin(0) - 5.5 * sd, self.nodes.amax(0) + 5.5 * sd
        self.extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))

    def _sample_labelled(self, n: int) -> tuple[Tensor, Tensor]:
        t = self.start + (self.stop - self.start) * torch.rand(n) ** (1 / self.power)
        chosen = torch.randint(len(self.branches), (n,))
        points = torch.stack([branch(t) for branch in self.branches])[chosen, torch.arange(n)]
        return points + self.sd * torch.randn(n, 2), chosen

    def class_log_prob(self, x: Tensor) -> Tensor:
        """log p(x | curve k) in nats."""
        nodes, log_weights = self.nodes.to(x), self.log_weights.to(x)
        parts = []
        for part in x.split(max(1, _PAIRS_AT_ONCE // len(nodes))):
            # Coordinate by coordinate: the expanded square |x|^2 - 2 x.c + |c|^2 would cancel in float32.
            distance = (part[:, :1] - nodes[:, 0]).square() + (part[:, 1:] - nodes[:, 1]).square()
            exponent = log_weights - distance.reshape(len(part), self.num_classes, len(log_weights)) / (2 * self.sd**2)
            parts.append(torch.logsumexp(exponent, -1))
        return torch.cat(parts) - math.log(2 * math.pi * self.sd**2)


def _spiral(t: Tensor, sign: float) -> Tensor:
    return sign * t[:, None] / 3 * torch.stack([t.cos(), t.sin()], -1)


def two_spirals() -> BlurredCurves:
    """Two arms of one and a half turns, radius up to pi, about evenly filled along their length."""
    branches = [lambda t: _spiral(t, 1.0), lambda t: _spiral(t, -1.0)]
    return BlurredCurves(branches, start=0.0, stop=3 * math.pi, power=2, sd=0.1, nodes=400)


def moons() -> BlurredCurves:
    """scikit-learn's two moons with noise 0.1."""

    def outer(t: Tensor) -> Tensor:
        return torch.stack([t.cos(), t.sin()], -1)

    def inner(t: Tensor) -> Tensor:
        return torch.stack([1 - t.cos(), 0.5 - t.sin()], -1)

    return BlurredCurves([outer, inner], start=0.0, stop=math.pi, power=1, sd=0.1, nodes=100)


def swissroll() -> BlurredCurves:
    """The plane section of scikit-learn's Swiss roll with noise 1, divided by 5."""

    def roll(t: Tensor) -> Tensor:
        return t[:, None] / 5 * torch.stack([t.cos(), t.sin()], -1)

    return BlurredCurves([roll], start=1.5 * math.pi, stop=4.5 * math.pi, power=1, sd=0.2, nodes=300)
