"""Global moves between modes, local ones within."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.sampling.kernels.base import Kernel, LogDensity, State, TunableKernel


@dataclass(frozen=True)
class Alternating:
    """One global move, then `moves` of each local kind: a cycle of kernels, each of which leaves the target invariant.

    Where the noise is near p the global move makes draws nearly independent; where the noise is too thin for a global
    move to leave, the local ones still move.

    Args:
        everywhere: makes the global move.
        nearby: make the local moves, each of another kind.
        moves: how many of each.

    Reference: Tierney (1994), section 2.4, on cycles of kernels.
    """

    everywhere: Kernel
    nearby: tuple[TunableKernel, ...]
    moves: int = 1

    def begin(self, z: Float[Tensor, "chains *event"], target: LogDensity) -> State:
        """The state of chains that stand at `z`, as the global kernel has it."""
        return self.everywhere.begin(z, target)

    def step(self, state: State, target: LogDensity) -> tuple[State, Bool[Tensor, " chains"]]:
        """One cycle; a chain moved if any of its moves was accepted."""
        current, moved = self.everywhere.step(state, target)
        acceptance = dict(current.acceptance)
        for kernel in self.nearby:
            current = kernel.begin(current.position, target)
            for turn in range(self.moves):
                current, accepted = kernel.step(current, target)
                moved = moved | accepted
                share = current.acceptance[kernel.kind] / self.moves
                acceptance[kernel.kind] = acceptance[kernel.kind] + share if turn else share
        return self.everywhere.begin(current.position, target)._replace(acceptance=acceptance), moved
