"""Energies whose log Z is known exactly, in 1 to thousands of dimensions: what an estimate of log Z is tried on.

Each is an estimator (energy and noise, untrained), the exact log Z, and exact samples of the EBM.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, StudentT

from contrastive import ContrastiveEstimator, Energy
from contrastive.protocols import NoiseModel


@dataclass(frozen=True)
class Oracle:
    """A problem with its answer.

    Attributes:
        name: for tables.
        estimator: the energy and the noise.
        log_z: the exact log Z, nats.
        sample: `n` exact, independent samples of the EBM, shape `(n, *event)`; None where there is no such sampler.
    """

    name: str
    estimator: ContrastiveEstimator
    log_z: float
    sample: Callable[[int], Tensor] | None = None


class LogDensityEnergy(Energy):
    """f(x) = k + log p(x) for a known density p: log Z = k."""

    def __init__(self, density: NoiseModel, constant: float) -> None:
        super().__init__()
        self.density, self.constant = density, constant

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x)."""
        return self.density.log_prob(x) + self.constant


class ShearFlow:
    """A flow in closed form, of any size: the first half is scaled, the second scaled and sheared along the first.

        x_a = exp(s_a) u_a,    x_b = exp(s_b) u_b + sin(x_a) + x_a^2 / 4,    u standard normal

    Args:
        dim: even number of dimensions.
    """

    def __init__(self, dim: int) -> None:
        self.event_shape = torch.Size([dim])
        self.log_scale = 0.5 * torch.linspace(-1, 1, dim)

    def from_latent(self, u: Float[Tensor, "batch d"]) -> tuple[Float[Tensor, "batch d"], Float[Tensor, " batch"]]:
        """x = g(u) and log |det dx/du|."""
        a, b = (u * self.log_scale.exp()).chunk(2, 1)
        return torch.cat([a, b + _shear(a)], 1), self.log_scale.sum().expand(len(u))

    def to_latent(self, x: Float[Tensor, "batch d"]) -> tuple[Float[Tensor, "batch d"], Float[Tensor, " batch"]]:
        """u = g^-1(x) and log |det du/dx|."""
        a, b = x.chunk(2, 1)
        return torch.cat([a, b - _shear(a)], 1) * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(x))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + (dim,)`."""
        n = torch.Size(sample_shape).numel()
        return self.from_latent(torch.randn(n, *self.event_shape))[0].reshape(*sample_shape, *self.event_shape)

    def log_prob(self, value: Float[Tensor, "batch d"]) -> Float[Tensor, " batch"]:
        """log q(value)."""
        u, log_det = self.to_latent(value)
        return log_det - 0.5 * u.square().sum(1) - 0.5 * math.log(2 * math.pi) * u.shape[1]


def _shear(a: Tensor) -> Tensor:
    return a.sin() + a.square() / 4


class CosineTilt(Energy):
    """f(x) = log q(x) + log(1 + a cos(2 pi j Phi(u_1(x)))), u_1 the flow's first latent: log Z = 0.

    Phi(u_1) is uniform under q, so the weights 1 + a cos(2 pi j U) have mean 1 and variance a^2 / 2, at any size.

    Args:
        flow: q.
        amplitude: 0 <= a < 1.
        waves: j, a whole number.
    """

    def __init__(self, flow: ShearFlow, amplitude: float, waves: int) -> None:
        super().__init__()
        self.flow, self.amplitude, self.waves = flow, amplitude, waves

    def forward(self, x: Float[Tensor, "batch d"]) -> Float[Tensor, " batch"]:
        """f(x)."""
        u = self.flow.to_latent(x)[0][:, 0]
        return self.flow.log_prob(x) + torch.log1p(self.amplitude * self._wave(u))

    def sample(self, n: int) -> Float[Tensor, "n d"]:
        """Exact samples by rejection in u_1, at a rate of 1 / (1 + a)."""
        u = torch.randn(4 * n + 100, dtype=torch.get_default_dtype())
        kept = u[torch.rand_like(u) * (1 + self.amplitude) < 1 + self.amplitude * self._wave(u)][:n]
        rest = torch.randn(len(kept), *self.flow.event_shape)
        rest[:, 0] = kept
        return self.flow.from_latent(rest)[0]

    def _wave(self, u: Tensor) -> Tensor:
        return torch.cos(2 * math.pi * self.waves * torch.special.ndtr(u))


class IsingTorus(Energy):
    """f(s) = J sum over neighbours of s_i s_j on a square torus, spins -1 and +1.

    Args:
        side: L, spins to a side, 3 or more.
        coupling: J.
    """

    is_discrete = True

    def __init__(self, side: int, coupling: float) -> None:
        super().__init__()
        self.side, self.coupling = side, coupling

    def forward(self, x: Float[Tensor, "batch d"]) -> Float[Tensor, " batch"]:
        """f(s) for `x` of -1 and +1, shape `(batch, side^2)`."""
        s = x.reshape(-1, self.side, self.side)
        return self.coupling * (s * (s.roll(1, 1) + s.roll(1, 2))).sum((1, 2))

    def log_partition(self) -> float:
        """log Z = log tr T^L, T the 2^L x 2^L transfer matrix from one row to the next; for L up to about 10.

        Reference: Kramers & Wannier (1941), "Statistics of the two-dimensional ferromagnet".
        """
        states = torch.arange(2**self.side)[:, None] >> torch.arange(self.side) & 1
        rows = 2.0 * states.double() - 1
        within = self.coupling * (rows * rows.roll(1, 1)).sum(1)
        transfer = (self.coupling * rows @ rows.mT + (within[:, None] + within) / 2).exp()
        return float(torch.linalg.eigvalsh(transfer).pow(self.side).sum().log())


def gaussian_oracle(name: str, dim: int, *, scale: float, shift: float = 0.0, noise_scale: float = 1.0) -> Oracle:
    """N(shift, scale^2 I) against the noise N(0, noise_scale^2 I), log Z as of exp(-|x - shift|^2 / (2 scale^2))."""
    target = Independent(Normal(torch.full((dim,), shift), torch.full((dim,), scale)), 1)
    log_z = dim * (0.5 * math.log(2 * math.pi) + math.log(scale))
    return density_oracle(name, target, Independent(Normal(torch.zeros(dim), noise_scale * torch.ones(dim)), 1), log_z)


def mixture_oracle(name: str, centres: Float[Tensor, "K d"], sd: float, noise: NoiseModel | None = None) -> Oracle:
    """An equal mixture of Gaussians against a noise (default: a Gaussian with its moments), log Z = 2."""
    k, dim = centres.shape
    target = MixtureSameFamily(Categorical(torch.ones(k)), Independent(Normal(centres, sd * torch.ones(k, dim)), 1))
    if noise is None:
        covariance = torch.cov(centres.mT, correction=0).reshape(dim, dim) + sd**2 * torch.eye(dim)
        noise = MultivariateNormal(centres.mean(0), covariance)
    return density_oracle(name, target, noise, 2.0)


def constant_oracle(name: str, dim: int, constant: float) -> Oracle:
    """f = k + log q: log Z = k and every weight is the same."""
    flow = ShearFlow(dim)
    return Oracle(
        name,
        ContrastiveEstimator(LogDensityEnergy(flow, constant), flow),
        constant,
        lambda n: flow.sample(torch.Size([n])),
    )


def cosine_oracle(name: str, dim: int, amplitude: float, waves: int = 2) -> Oracle:
    """See `CosineTilt`."""
    flow = ShearFlow(dim)
    energy = CosineTilt(flow, amplitude, waves)
    return Oracle(name, ContrastiveEstimator(energy, flow), 0.0, energy.sample)


def student_noise(dim: int, *, scale: float = 1.0, df: float = 5.0) -> Any:
    """Independent Student-t entries: tails heavier than any of these energies'."""
    return Independent(StudentT(torch.full((dim,), df), torch.zeros(dim), scale * torch.ones(dim)), 1)


def density_oracle(name: str, target: Any, noise: Any, log_z: float) -> Oracle:
    """f = log Z + log p for a known density p with `sample` and `log_prob`."""
    energy = LogDensityEnergy(target, log_z)
    return Oracle(name, ContrastiveEstimator(energy, noise), log_z, lambda n: target.sample(torch.Size([n])))
