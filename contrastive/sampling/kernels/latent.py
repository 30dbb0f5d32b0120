"""A local kernel in the latent space of a flow."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.protocols import InvertibleNoise
from contrastive.sampling.kernels.base import LATENT, LogDensity, State, TunableKernel, select


@dataclass(frozen=True)
class Latent:
    """Moves over u with z = g(u), where g is the flow's map: NeuTra.

    The target over u is f(g(u)) + log |det dg/du|. The nearer the flow is to p, the nearer that is to the flow's base
    density, a standard normal as a rule, on which local moves mix fast whatever the shape of p.

    Args:
        kernel: makes the moves, a fresh one for the latent space (`HMC`, `MALA`).
        noise: the flow.

    Reference: Hoffman et al. (2019), "NeuTra-lizing bad geometry in Hamiltonian Monte Carlo using neural transport".
    """

    kind: ClassVar[str] = LATENT

    kernel: TunableKernel
    noise: InvertibleNoise

    def pulled_back(self, target: LogDensity) -> LogDensity:
        """The target's density over the latent space."""

        def latent_log_density(u: Tensor) -> Tensor:
            z, log_det = self.noise.from_latent(u)
            return target(z) + log_det

        return latent_log_density

    def begin(self, z: Float[Tensor, "chains *event"], target: LogDensity) -> State:
        """The state of chains that stand at `z`; it remembers the state in the latent space."""
        with torch.no_grad():
            u, log_det = self.noise.to_latent(z)
        inner = self.kernel.begin(u, self.pulled_back(target))
        return State(z, inner.log_density + log_det, {}, inner)

    def step(self, state: State, target: LogDensity) -> tuple[State, Bool[Tensor, " chains"]]:
        """One move of the inner kernel."""
        inner, accepted = self.kernel.step(state.memory, self.pulled_back(target))
        with torch.no_grad():
            z, log_det = self.noise.from_latent(inner.position)
        # A chain that stays keeps its z to the last bit, not g(g^-1(z)).
        position = select(accepted, z, state.position)
        log_density = select(accepted, inner.log_density - log_det, state.log_density)
        return State(position, log_density, {LATENT: inner.acceptance[self.kernel.kind]}, inner), accepted

    @property
    def step_size(self) -> float | Tensor:
        """The inner kernel's."""
        return self.kernel.step_size

    @property
    def target_acceptance(self) -> float:
        """The inner kernel's."""
        return self.kernel.target_acceptance

    def with_step_size(self, step_size: float | Tensor) -> Self:
        """The same kernel with another step size."""
        return replace(self, kernel=self.kernel.with_step_size(step_size))
