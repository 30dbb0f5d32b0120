"""Rings, a checkerboard, a pinwheel."""

import math

import torch
from torch import Tensor

from contrastive.data.densities.base import Density, normal_log_prob


class Rings(Density):
    """Circles of radius 1, 2, 3, 4, equally likely, each blurred by an isotropic Gaussian.

    A circle of radius R convolved with N(0, s^2 I) has the density
    exp(-(r^2 + R^2) / 2 s^2) I0(r R / s^2) / (2 pi s^2), a Rice density over the plane.

    Args:
        sd: s.
    """

    def __init__(self, sd: float = 0.12) -> None:
        self.radii, self.sd = (1.0, 2.0, 3.0, 4.0), sd
        reach = 4 + 5.5 * sd
        self.extent = (-reach, reach, -reach, reach)

    def _sample(self, n: int) -> Tensor:
        angle = 2 * math.pi * torch.rand(n)
        radius = torch.tensor(self.radii)[torch.randint(len(self.radii), (n,))]
        return radius[:, None] * torch.stack([angle.cos(), angle.sin()], -1) + self.sd * torch.randn(n, 2)

    def _log_prob(self, x: Tensor) -> Tensor:
        r = x.norm(dim=-1, keepdim=True)
        radii, variance = torch.tensor(self.radii, dtype=x.dtype, device=x.device), self.sd**2
        # i0e is I0 scaled by exp(-|.|), which turns the exponent into -(r - R)^2 / 2 s^2.
        log_ring = -(r - radii).square() / (2 * variance) + torch.special.i0e(r * radii / variance).log()
        constant = math.log(2 * math.pi * variance) + math.log(len(self.radii))
        return torch.logsumexp(log_ring, -1) - constant


class Checkerboard(Density):
    """Uniform on the 8 dark squares, of side 2, of a 4 by 4 board on [-4, 4]^2."""

    extent = (-4.5, 4.5, -4.5, 4.5)

    def _sample(self, n: int) -> Tensor:
        column = torch.randint(4, (n,))
        row = 2 * torch.randint(2, (n,)) + column % 2
        return 2 * (torch.stack([column, row], -1) + torch.rand(n, 2)) - 4

    def _log_prob(self, x: Tensor) -> Tensor:
        # Closed squares, one by one: a draw that rounds onto an edge stays inside.
        square = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        centre = 2 * square[square.sum(-1) % 2 == 0].to(x) - 3
        dark = ((x[:, None] - centre).abs() <= 1).all(-1).any(-1)
        return torch.where(dark, -math.log(32.0), -math.inf).to(x.dtype)


class Pinwheel(Density):
    """Five Gaussian arms, each point turned by an angle that grows with its radius.

    A turn by an angle that depends on the radius alone keeps areas, so the density is that of the straight arms.
    (The usual recipe turns by the coordinate along the arm, which differs little and folds far out.)

    Args:
        arms: number of arms.
        along: standard deviation along an arm.
        across: standard deviation across it.
    """

    def __init__(self, arms: int = 5, along: float = 0.6, across: float = 0.2) -> None:
        self.arms, self.along, self.across, self.distance, self.rate = arms, along, across, 2.0, 0.25
        reach = self.distance + 5.5 * along
        self.extent = (-reach, reach, -reach, reach)

    def _turned(self, x: Tensor, sign: float, arm: Tensor) -> Tensor:
        r = x.norm(dim=-1)
        # Beyond any mass the exponential is held back, to stay finite.
        angle = sign * (self.rate * (r.clamp_max(20.0) / 2).exp() + 2 * math.pi / self.arms * arm)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], -1)

    def _sample(self, n: int) -> Tensor:
        arm = torch.randint(self.arms, (n,))
        straight = torch.randn(n, 2) * torch.tensor([self.along, self.across])
        straight[:, 0] += self.distance
        return self._turned(straight, 1.0, arm)

    def _log_prob(self, x: Tensor) -> Tensor:
        straight = self._turned(x[:, None], -1.0, torch.arange(self.arms, device=x.device))
        log_along = normal_log_prob((straight[..., 0] - self.distance) / self.along, math.log(self.along))
        log_across = normal_log_prob(straight[..., 1] / self.across, math.log(self.across))
        return torch.logsumexp(log_along + log_across, -1) - math.log(self.arms)
