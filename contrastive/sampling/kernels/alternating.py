"""Global moves between modes, local ones within."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.sampling.kernels.base import LOCAL, Kernel, LogDensity, State, TunableKernel


@dataclass(frozen=True)
class Alternating:
    """One global move, then `moves` local ones: a cycle of kernels, each of which leaves the target invariant.

    Where the noise is near p the global move makes draws nearly independent; where it is too thin for a global move to
    leave, the local ones still move.

    Args:
        everywhere: makes the global move.
        nearby: makes the local moves.
        moves: how many of them.

    Reference: Tierney (1994), section 2.4, on cycles of kernels.
    """

    everywhere: Kernel
    nearby: TunableKernel
    moves: int = 2

    def begin(self, z: Float[Tensor, "chains *event"], target: LogDensity) -> State:
        """The state of chains that stand at `z`, as the global kernel has it."""
        return self.everywhere.begin(z, target)

    def step(self, state: State, target: LogDensity) -> tuple[State, Bool[Tensor, " chains"]]:
        """One cycle; a chain moved if any of its moves was accepted."""
        jumped, moved = self.everywhere.step(state, target)
        local, probabilities = self.nearby.begin(jumped.position, target), []
        for _ in range(self.moves):
            local, accepted = self.nearby.step(local, target)
            moved = moved | accepted
            probabilities.append(local.acceptance[LOCAL])
        acceptance = {**jumped.acceptance, LOCAL: torch.stack(probabilities).mean(0)}
        return self.everywhere.begin(local.position, target)._replace(acceptance=acceptance), moved

    @property
    def step_size(self) -> float | Tensor:
        """The local kernel's."""
        return self.nearby.step_size

    @property
    def target_acceptance(self) -> float:
        """The local kernel's."""
        return self.nearby.target_acceptance

    def with_step_size(self, step_size: float | Tensor) -> Self:
        """The same kernel with another step size of the local moves."""
        return replace(self, nearby=self.nearby.with_step_size(step_size))
