"""Where to put the temperatures of annealing, and how long its steps: found by a sequential Monte Carlo run before."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.estimator import ContrastiveEstimator
from contrastive.normalizer.weights import log_weight, path_density
from contrastive.protocols import InvertibleNoise, draw
from contrastive.sampling.kernels import HMC, IndependenceMetropolis, Kernel, Latent, TunableKernel

_EFFECTIVE_SHARE = 0.7  # of the particles, after each increment
_MOVES = 4  # at each temperature
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
        kernel: the transition, its step size still to be set.
        betas: temperatures that the run passed, from 0 to 1.
        spread: standard deviation of f - log q at each, nats.
        log_step_size: tuned at each; zeros for a kernel that has none.
        particles: where the run ended: approximate samples of the EBM, in model coordinates.
    """

    kernel: Kernel
    betas: Float[Tensor, " K"]
    spread: Float[Tensor, " K"]
    log_step_size: Float[Tensor, " K"]
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
        kernel = self.kernel
        if not isinstance(kernel, TunableKernel):
            return Schedule(betas, (kernel,) * (length - 1))
        sizes = _interpolated(betas[1:-1], self.betas, self.log_step_size).exp()
        # Trajectories of many lengths, so that no orbit's period is met: 0.4 to 1 of the tuned step, by multiples of
        # the golden ratio, which never repeat. Not random: forward and reverse must take the same.
        sizes = sizes * (0.4 + 0.6 * (torch.arange(length - 1) * _GOLDEN % 1))
        return Schedule(betas, tuple(kernel.with_step_size(size) for size in sizes.tolist()))


@torch.no_grad()
def tune(estimator: ContrastiveEstimator, particles: int, kernel: Kernel | None = None) -> Tuning:
    """Carry draws of the noise to the EBM by tempering, reweighting, resampling and moving; note what is met.

    Each increment of beta is the largest that leaves 70 % of the particles effective. Step sizes go after their target
    acceptance from one move to the next; nothing of this run enters an estimate.

    Args:
        estimator: f and q.
        particles: how many.
        kernel: the transition [see `annealing_kernel`].

    Reference: Del Moral, Doucet & Jasra (2006), "Sequential Monte Carlo samplers"; (2012), "An adaptive sequential
    Monte Carlo method", for the choice of temperatures.
    """
    z = draw(estimator.noise, particles)[0].detach()
    kernel = kernel or annealing_kernel(estimator, z)
    beta, betas, spreads, log_sizes = 0.0, [0.0], [], [0.0]
    log_size = torch.as_tensor(kernel.step_size).log() if isinstance(kernel, TunableKernel) else torch.zeros(())
    while True:
        weights = log_weight(estimator, z)
        finite = weights[weights.isfinite()]
        spreads.append(float(finite.std()) if len(finite) > 1 else 0.0)
        if beta == 1.0:
            break
        step = _increment(weights, 1.0 - beta) if len(betas) < _MOST_TEMPERATURES else 1.0 - beta
        beta = 1.0 if step >= 1.0 - beta else beta + step
        z = z[_resampled(step * weights)]
        target = path_density(estimator, beta)
        for _ in range(_MOVES):
            tuned = kernel.with_step_size(log_size.exp()) if isinstance(kernel, TunableKernel) else kernel
            state, _ = tuned.step(tuned.begin(z, target), target)
            z = state.position
            if isinstance(kernel, TunableKernel):
                accepted = torch.stack(list(state.acceptance.values())).mean()
                log_size = log_size + accepted.cpu() - kernel.target_acceptance
        betas.append(beta)
        log_sizes.append(float(log_size))
    log_sizes[0] = log_sizes[1]
    table = [torch.tensor(values, dtype=torch.float64) for values in (betas, spreads, log_sizes)]
    return Tuning(kernel, table[0], table[1], table[2], z)


def annealing_kernel(estimator: ContrastiveEstimator, z: Float[Tensor, "n *event"]) -> Kernel:
    """A reversible transition for the path.

    HMC, in the latent space where the noise is a flow; for discrete events independence Metropolis, which needs no
    gradient. The number of leapfrog steps is fixed: one drawn for all chains would break the identity between forward
    and reverse work, by an error that no number of chains makes smaller.

    Args:
        estimator: f and q.
        z: draws of the noise, whose spread gives each coordinate its scale.
    """
    noise = estimator.noise
    if any(getattr(model, "is_discrete", False) for model in (estimator.energy, noise)):
        return IndependenceMetropolis(noise)
    if isinstance(noise, InvertibleNoise):
        return Latent(HMC(steps=_LEAPFROGS, varied=False), noise)
    return HMC(steps=_LEAPFROGS, varied=False, scale=z.std(0).clamp_min(1e-12))


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
