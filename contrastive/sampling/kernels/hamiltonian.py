"""Local moves along the gradient: Hamiltonian Monte Carlo, and MALA as its one-step case."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.sampling.kernels.base import LOCAL, LogDensity, State, evaluate_with_gradient, metropolis

Evaluation = tuple[Float[Tensor, " chains"], Float[Tensor, "chains *event"]]


@dataclass(frozen=True)
class HMC:
    """Hamiltonian Monte Carlo: leapfrog steps with fresh normal momenta, then a Metropolis test on the energy error.

    Args:
        step_size: epsilon.
        steps: largest number of leapfrog steps; each move takes 1 to `steps`, drawn uniformly, so that no orbit's
            period is met.
        varied: False takes `steps` always. One number is drawn for all chains, so where many chains stand for one
            law, as in annealing, it must not be random.
        scale: a length for each coordinate, broadcast to the event: the moves are those over z / scale.
        target_acceptance: what `step_size` is adapted to; 0.651 is optimal in many dimensions (Beskos et al. 2013), a
            little more is safer in few.

    Reference: Duane et al. (1987); Neal (2011), "MCMC using Hamiltonian dynamics".
    """

    kind: ClassVar[str] = LOCAL

    step_size: float | Tensor = 0.5
    steps: int = 8
    scale: float | Tensor = 1.0
    target_acceptance: float = 0.75
    varied: bool = True

    def begin(self, z: Float[Tensor, "chains *event"], target: LogDensity) -> State:
        """The state of chains that stand at `z`; it remembers the gradient."""
        log_density, gradient = evaluate_with_gradient(target, z)
        return State(z, log_density, {}, gradient)

    def step(self, state: State, target: LogDensity) -> tuple[State, Bool[Tensor, " chains"]]:
        """One trajectory a chain."""
        momentum = torch.randn_like(state.position)
        # Drawn on the host, where nothing waits for it.
        steps = int(torch.randint(1, self.steps + 1, ())) if self.varied and self.steps > 1 else self.steps
        z, end, log_density, gradient = leapfrog(
            state.position,
            momentum,
            state.memory,
            lambda z: evaluate_with_gradient(target, z),
            step_size=self.step_size,
            scale=self.scale,
            steps=steps,
        )
        log_ratio = log_density - state.log_density + _kinetic(momentum) - _kinetic(end)
        return metropolis(state, State(z, log_density, {}, gradient), log_ratio, LOCAL)

    def with_step_size(self, step_size: float | Tensor) -> Self:
        """The same kernel with another step size."""
        return replace(self, step_size=step_size)


@dataclass(frozen=True)
class MALA(HMC):
    """Metropolis-adjusted Langevin: z' = z + (eps s)^2 grad f(z) / 2 + eps s xi, with the exact Metropolis ratio.

    One leapfrog step of HMC is this proposal, and the energy error its log-ratio (Neal 2011, section 5.2). Optimal
    acceptance 0.574 (Roberts & Rosenthal 1998). s is `scale`.
    """

    steps: int = 1
    target_acceptance: float = 0.574


def leapfrog(
    position: Float[Tensor, "chains *event"],
    momentum: Float[Tensor, "chains *event"],
    gradient: Float[Tensor, "chains *event"],
    evaluation: Callable[[Tensor], Evaluation],
    *,
    step_size: float | Tensor,
    scale: float | Tensor = 1.0,
    steps: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Integrate Hamilton's equations of H = -f(s y) + |p|^2 / 2 over y = z / s, s the scale.

    Reversible (flip the end's momentum and come back), keeps volume, and errs in H by O(step_size^2).

    Args:
        position: z.
        momentum: p.
        gradient: of f at z.
        evaluation: gives f and its gradient.
        step_size: epsilon.
        scale: s, broadcast to the event.
        steps: number of steps, at least 1.

    Returns:
        z, p, f and the gradient of f at the end.
    """
    stride = step_size * scale
    momentum = momentum + 0.5 * stride * gradient
    for k in range(steps):
        position = position + stride * momentum
        log_density, gradient = evaluation(position)
        momentum = momentum + (stride if k < steps - 1 else 0.5 * stride) * gradient
    return position, momentum, log_density, gradient


def _kinetic(momentum: Float[Tensor, "chains *event"]) -> Float[Tensor, " chains"]:
    return 0.5 * momentum.square().flatten(1).sum(1)
