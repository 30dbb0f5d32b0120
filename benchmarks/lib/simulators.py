"""Seven tasks of the public benchmark of simulation-based inference: prior, simulator, posterior where it is known.

Each follows Lueckmann et al. (2021), "Benchmarking simulation-based inference", appendix T, and the package `sbibm`
(1.1.0), which holds the observations and reference posterior samples that `simulator_files` reads. Two facts are the
package's: SLCP adds 1e-6 to the variances, and Lotka-Volterra's populations are clipped to [1e-10, 1e4].
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, Independent, LogNormal, MultivariateNormal, Uniform

from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded

Simulator = Callable[[Tensor], Tensor]
Posterior = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """A prior over parameters theta, and a simulator of data x given theta.

    Attributes:
        prior: over `(d,)`; outside its support is no posterior mass.
        simulate: theta `(n, d)` to x `(n, k)`, by torch's global generator.
        dim_data: k.
        exact_posterior: draws `(n, d)` of p(theta | x) for one x `(k,)`, where it has a closed form.
    """

    prior: Distribution
    simulate: Simulator
    dim_data: int
    exact_posterior: Posterior | None = None

    @property
    def dim_parameters(self) -> int:
        """d, the number of parameters."""
        return self.prior.event_shape.numel()

    def simulations(self, n: int, seed: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
        """`n` draws of (theta, x) from prior and simulator, float32; those of a seed are always the same."""
        with seeded(seed):
            theta = self.prior.sample(torch.Size([n]))
            return theta, self.simulate(theta)

    def in_support(self, theta: Float[Tensor, "n d"]) -> Tensor:
        """Whether the prior has mass at each row, booleans `(n,)`."""
        inside: Tensor = self.prior.support.check(theta)  # type: ignore[union-attr]
        return inside


def make_task(name: str) -> Task:
    """A task by the name that `sbibm` gives it.

    Raises:
        ContrastiveError: for an unknown one.
    """
    if name not in TASKS:
        raise ContrastiveError(f"no task {name!r}: there are {', '.join(TASKS)}")
    return TASKS[name]()


def rejected_outside(task: Task, draw: Callable[[int], Tensor], n: int) -> Float[Tensor, "n d"]:
    """`n` of the rows of `draw` on which the prior has mass.

    Raises:
        ContrastiveError: if fewer than one row in 1,000 is.
    """
    kept, drawn, found = list[Tensor](), 0, 0
    while found < n:
        rows = draw(n)
        kept.append(rows[task.in_support(rows)])
        drawn, found = drawn + n, found + len(kept[-1])
        if drawn > 10_000 and found < drawn / 1_000:
            raise ContrastiveError(f"{drawn - found} of {drawn} draws lie outside the prior's support")
    return torch.cat(kept)[:n]


def box(d: int, bound: float) -> Distribution:
    """Uniform on [-bound, bound]^d."""
    return Independent(Uniform(-bound * torch.ones(d), bound * torch.ones(d)), 1)


# Two moons ---------------------------------------------------------------------------------------------------------


def two_moons() -> Task:
    """Two crescents: x is a point of a half circle, shifted by the parameters in a way that forgets a sign."""
    task = Task(box(2, 1.0), lambda theta: _crescent(len(theta)) + _shift(theta), 2)
    return Task(task.prior, task.simulate, 2, lambda n, x: rejected_outside(task, partial(_moons_given, x), n))


def _crescent(n: int) -> Tensor:
    angle, radius = math.pi * (torch.rand(n) - 0.5), 0.1 + 0.01 * torch.randn(n)
    return torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], 1)


def _shift(theta: Tensor) -> Tensor:
    return torch.stack([-theta.sum(1).abs(), theta[:, 1] - theta[:, 0]], 1) / math.sqrt(2)


def _moons_given(x: Tensor, n: int) -> Tensor:
    """Solve x = crescent + shift(theta) for theta, the sign at random; NaN for points that no theta reaches."""
    points = _crescent(n)
    total, difference = points[:, 0] - x[0], x[1] - points[:, 1]
    signed = torch.where(torch.rand(n) < 0.5, total, -total)
    theta = torch.stack([signed - difference, signed + difference], 1) / math.sqrt(2)
    return torch.where(total[:, None] >= 0, theta, math.nan)


# Gaussians ---------------------------------------------------------------------------------------------------------

_VARIANCE = 0.1  # of the prior of gaussian_linear, and of both simulators, in 10 dimensions


def gaussian_linear() -> Task:
    """x is theta with Gaussian noise, under a Gaussian prior."""
    prior = MultivariateNormal(torch.zeros(10), _VARIANCE * torch.eye(10))
    return Task(prior, _with_noise, 10, lambda n, x: x / 2 + math.sqrt(_VARIANCE / 2) * torch.randn(n, 10))


def gaussian_linear_uniform() -> Task:
    """x is theta with Gaussian noise, under a uniform prior."""
    return Task(box(10, 1.0), _with_noise, 10, _truncated)


def _with_noise(theta: Tensor) -> Tensor:
    return theta + math.sqrt(_VARIANCE) * torch.randn_like(theta)


def _truncated(n: int, x: Tensor) -> Tensor:
    """N(x, 0.1 I) within [-1, 1]^d, by the inverse of its distribution function."""
    scale = math.sqrt(2 * _VARIANCE)
    low, high = (torch.erf((bound - x.double()) / scale) for bound in (-1.0, 1.0))
    theta = x + scale * torch.erfinv(low + (high - low) * torch.rand(n, len(x), dtype=torch.float64))
    return theta.clamp(-1, 1).float()


def gaussian_mixture() -> Task:
    """x is theta with noise of a standard deviation of 1 or 0.1."""
    task = Task(box(2, 10.0), _with_two_noises, 2)

    def posterior(n: int, x: Tensor) -> Tensor:
        return rejected_outside(task, lambda m: _with_two_noises(x.expand(m, 2)), n)

    return Task(task.prior, task.simulate, 2, posterior)


def _with_two_noises(theta: Tensor) -> Tensor:
    scale = torch.where(torch.rand(len(theta), 1) < 0.5, 1.0, 0.1)
    return theta + scale * torch.randn_like(theta)


# Others ------------------------------------------------------------------------------------------------------------


def slcp() -> Task:
    """Simple likelihood, complex posterior: four draws of a Gaussian of the plane, given by five parameters."""
    return Task(box(5, 3.0), _four_draws, 8)


def _four_draws(theta: Tensor) -> Tensor:
    mean, (first, second), rho = theta[:, :2], (theta[:, 2:4] ** 2).T, theta[:, 4].tanh()
    covariance = torch.stack([first**2 + 1e-6, rho * first * second, rho * first * second, second**2 + 1e-6], 1)
    x = MultivariateNormal(mean.double(), covariance.double().reshape(-1, 2, 2)).sample(torch.Size([4]))
    return x.transpose(0, 1).reshape(-1, 8).float()


def bernoulli_glm() -> Task:
    """Spikes of a generalised linear model with one stimulus; x are its ten sufficient statistics."""
    # The prior is smooth: it penalises second differences of the filter.
    difference = torch.eye(9) - torch.diag(torch.ones(8), -1)
    root = difference @ difference + torch.diag(torch.arange(9) / 9).sqrt()
    precision = torch.block_diag(torch.tensor([[0.5]]), root.T @ root)
    design = design_matrix()

    def simulate(theta: Tensor) -> Tensor:
        return torch.bernoulli(torch.sigmoid(theta @ design.T)) @ design

    return Task(MultivariateNormal(torch.zeros(10), precision_matrix=precision), simulate, 10)


@lru_cache(maxsize=1)
def design_matrix() -> Float[Tensor, "100 10"]:
    """An offset and the last nine values of the stimulus, 100 standard normals of a fixed seed, at each time."""
    # The legacy generator: the published observations are of its stimulus.
    stimulus = torch.from_numpy(np.random.RandomState(42).randn(100)).float()
    delayed = [torch.cat([torch.zeros(lag), stimulus[: 100 - lag]]) for lag in range(9)]
    return torch.stack([torch.ones(100), *delayed], 1)


def lotka_volterra() -> Task:
    """Prey and predators at ten times in 20 days, with log-normal noise of 10 %."""
    loc = torch.tensor([-0.125, -3.0, -0.125, -3.0])
    prior = Independent(LogNormal(loc, 0.5 * torch.ones(4)), 1)

    def simulate(theta: Tensor) -> Tensor:
        populations = predators_and_prey(theta).clamp(1e-10, 1e4)
        return (populations.log() + 0.1 * torch.randn_like(populations)).exp().float()

    return Task(prior, simulate, 20)


_STEPS_A_DAY = 500
_DAYS_BETWEEN = 2.1  # of the times that are observed
_START = (30.0, 1.0)


def predators_and_prey(theta: Float[Tensor, "n 4"]) -> Float[Tensor, "n 20"]:
    """Prey at 0, 2.1, ..., 18.9 days, then predators, float64: Runge-Kutta of order 4 for their logarithms."""
    alpha, beta, gamma, delta = theta.double().T

    def slope(state: Tensor) -> Tensor:
        prey, predators = state.exp()
        return torch.stack([alpha - beta * predators, delta * prey - gamma])

    state = torch.tensor(_START, dtype=torch.float64).log()[:, None].expand(2, len(theta))
    steps, seen = round(_STEPS_A_DAY * _DAYS_BETWEEN), [state]
    for _ in range(9):
        for _ in range(steps):
            state = _runge_kutta(slope, state, _DAYS_BETWEEN / steps)
        seen.append(state)
    return torch.stack(seen, 2).exp().transpose(0, 1).reshape(-1, 20)


def _runge_kutta(slope: Simulator, state: Tensor, step: float) -> Tensor:
    first = slope(state)
    second = slope(state + step / 2 * first)
    third = slope(state + step / 2 * second)
    fourth = slope(state + step * third)
    return state + step / 6 * (first + 2 * second + 2 * third + fourth)


TASKS: dict[str, Callable[[], Task]] = {
    "two_moons": two_moons,
    "slcp": slcp,
    "gaussian_linear": gaussian_linear,
    "gaussian_linear_uniform": gaussian_linear_uniform,
    "gaussian_mixture": gaussian_mixture,
    "bernoulli_glm": bernoulli_glm,
    "lotka_volterra": lotka_volterra,
}
