"""Temperatures and step sizes of annealing, tuned by a preliminary sequential Monte Carlo run."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.normalizer.weights import log_weight, path_density
from contrastive.protocols import InvertibleNoise, is_discrete, sample_and_log_prob
from contrastive.sampling.kernels import HMC, IndependenceMetropolis, Kernel, Latent, LogDensity, TunableKernel
from contrastive.sampling.samplers import scale_of_moves

_EFFECTIVE_SHARE = 0.7  # of the particles, after each increment
_ROUNDS = 4  # of moves at each temperature
_MOST_TEMPERATURES = 200
_LEAPFROGS = 3
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Schedule:
    """Inverse temperatures from 0 to 1, and the transition at each that lies between.

    Attributes:
        betas: ascending, `T + 1` of them, the first 0 and the last 1.
        kernels: T - 1 transitions; each must be reversible, for the reverse to be the forward's own.
    """

    betas: Float[Tensor, " temperatures"]
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True)
class Tuning:
    """What a run along the path has shown.

    Attributes:
        kernels: the transitions that take turns, their step sizes still to be set.
        betas: the K temperatures that the run passed, from 0 to 1.
        spread: standard deviation of f - log q at each, nats.
        log_step_sizes: tuned at each, one column a kernel; zeros for a kernel that has none.
        particles: where the run ended: approximate samples of the EBM, in model coordinates.
    """

    kernels: tuple[Kernel, ...]
    betas: Float[Tensor, " K"]
    spread: Float[Tensor, " K"]
    log_step_sizes: Float[Tensor, "K kernels"]
    particles: Float[Tensor, "n *event"]

    def schedule(self, length: int) -> Schedule:
        """`length` increments of equal (beta increment) x (spread), and the transitions between them.

        This is the path's constant speed in the Fisher metric, the best spacing for many temperatures: Gelman & Meng
        (1998), "Simulating normalizing constants", section 4.3.
        """
        gaps = self.betas.diff() * (self.spread[1:] + self.spread[:-1]) / 2
        distance = torch.cat([torch.zeros(1, dtype=gaps.dtype), gaps.clamp_min(1e-12).cumsum(0)])
        even = torch.linspace(0, 1, length + 1, dtype=torch.float64) * distance[-1]
        betas = _interpolated(even, distance, self.betas)
        betas[0], betas[-1] = 0.0, 1.0
        kernels = []
        for t in range(length - 1):
            turn = t % len(self.kernels)
            log_size = _interpolated(betas[t + 1 : t + 2], self.betas, self.log_step_sizes[:, turn])
            # Trajectories of many lengths, so that no orbit's period is met: 0.4 to 1 of the tuned step, by multiples
            # of the golden ratio, which never repeat. Not random: forward and reverse must take the same.
            kernels.append(_sized(self.kernels[turn], float(log_size.exp()) * (0.4 + 0.6 * (t * _GOLDEN % 1))))
        return Schedule(betas, tuple(kernels))


@torch.no_grad()
def tune(estimator: Estimator, particles: int) -> Tuning:
    """Sequential Monte Carlo from the noise to the EBM; temperatures and step sizes are recorded on the way.

    Each increment of beta is the largest that leaves 70 % of the particles effective. Step sizes go after their target
    acceptance from one move to the next; nothing of this run enters an estimate.

    Args:
        estimator: f and q.
        particles: how many.

    Reference: Del Moral, Doucet & Jasra (2006), "Sequential Monte Carlo samplers"; (2012), "An adaptive sequential
    Monte Carlo method", for the choice of temperatures.
    """
    z = sample_and_log_prob(estimator.noise, particles)[0].detach()
    kernels = annealing_kernels(estimator, z)
    sizes = torch.tensor([float(k.step_size) if isinstance(k, TunableKernel) else 1.0 for k in kernels]).log()
    beta, betas, spreads, log_sizes = 0.0, [0.0], [], [sizes]
    while True:
        weights = log_weight(estimator, z)
        finite = weights[weights.isfinite()]
        spreads.append(float(finite.std()) if len(finite) > 1 else 0.0)
        if beta == 1.0:
            break
        step = _increment(weights, 1.0 - beta) if len(betas) < _MOST_TEMPERATURES else 1.0 - beta
        beta = 1.0 if step >= 1.0 - beta else beta + step
        z = z[_resampled(step * weights)]
        z, sizes = _move_and_adapt(kernels, sizes, z, path_density(estimator, beta))
        betas.append(beta)
        log_sizes.append(sizes)
    log_sizes[0] = log_sizes[1]
    passed, spread = (torch.tensor(values, dtype=torch.float64) for values in (betas, spreads))
    return Tuning(kernels, passed, spread, torch.stack(log_sizes).double(), z)


def annealing_kernels(estimator: Estimator, z: Float[Tensor, "n *event"]) -> tuple[Kernel, ...]:
    """The transitions that take turns along the path, each reversible.

    HMC, and where the noise is a flow HMC in its latent space too; for discrete events independence Metropolis, which
    needs no gradient. The number of leapfrog steps is fixed: one drawn for all chains would break the identity between
    forward and reverse work, by an error that no number of chains makes smaller.

    Args:
        estimator: f and q.
        z: draws of the noise, whose spread gives each coordinate its scale.
    """
    noise = estimator.noise
    if is_discrete(estimator.energy) or is_discrete(noise):
        return (IndependenceMetropolis(noise),)
    local = HMC(steps=_LEAPFROGS, varied=False, scale=scale_of_moves(z, noise))
    if isinstance(noise, InvertibleNoise):
        return Latent(HMC(steps=_LEAPFROGS, varied=False), noise), local
    return (local,)


def _move_and_adapt(
    kernels: tuple[Kernel, ...], log_sizes: Float[Tensor, " kernels"], z: Float[Tensor, "n *event"], target: LogDensity
) -> tuple[Tensor, Tensor]:
    """A few rounds of every kernel, each step size adapted to its acceptance."""
    log_sizes = log_sizes.clone()
    for _ in range(_ROUNDS):
        for turn, kernel in enumerate(kernels):
            sized = _sized(kernel, float(log_sizes[turn].exp()))
            state, _ = sized.step(sized.begin(z, target), target)
            z = state.position
            if isinstance(kernel, TunableKernel):
                log_sizes[turn] += float(state.acceptance[kernel.kind].mean()) - kernel.target_acceptance
    return z, log_sizes


def _sized(kernel: Kernel, step_size: float) -> Kernel:
    return kernel.with_step_size(step_size) if isinstance(kernel, TunableKernel) else kernel


def _increment(log_weights: Float[Tensor, " n"], most: float) -> float:
    """The largest increment of beta, up to `most`, with the wanted effective share; by bisection."""

    def share(step: float) -> float:
        weights = torch.softmax(step * log_weights, 0)
        return float(1 / (len(weights) * weights.square().sum()))

    if share(most) >= _EFFECTIVE_SHARE:
        return most
    low, high = 0.0, most
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) >= _EFFECTIVE_SHARE else (low, middle)
    return high


def _resampled(log_weights: Float[Tensor, " n"]) -> Tensor:
    """Indices by systematic resampling."""
    n = len(log_weights)
    points = (torch.arange(n, device=log_weights.device) + torch.rand((), device=log_weights.device)) / n
    return torch.searchsorted(torch.softmax(log_weights, 0).cumsum(0), points.double()).clamp_max(n - 1)


def _interpolated(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Piecewise linear through (xs, ys), xs ascending."""
    right = torch.searchsorted(xs, x).clamp(1, len(xs) - 1)
    x0, x1, y0, y1 = xs[right - 1], xs[right], ys[right - 1], ys[right]
    return y0 + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0, 1)
