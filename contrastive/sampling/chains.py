"""Many chains at once: warm-up, in which step sizes are found, then draws."""

import sys
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from contrastive.sampling.adaptation import Adaptation
from contrastive.sampling.kernels import Kernel, LogDensity, State

_SECONDS = 10.0  # between lines of progress, where there is no terminal for a bar


@dataclass(frozen=True)
class Chains:
    """What the chains went through after warm-up.

    Attributes:
        z: kept positions, shape `(chains, draws, *event)`.
        log_density: of the target there, shape `(chains, draws)`.
        acceptance: mean acceptance probability of each kind of move.
        longest_rejection: most transitions in a row that left a chain where it was.
        kernel: the kernel with its step sizes, frozen.
    """

    z: Float[Tensor, "chains draws *event"]
    log_density: Float[Tensor, "chains draws"]
    acceptance: dict[str, float]
    longest_rejection: int
    kernel: Kernel


@torch.no_grad()
def run_chains(
    kernel: Kernel,
    z: Float[Tensor, "chains *event"],
    target: LogDensity,
    *,
    draws: int,
    warmup: int = 0,
    thin: int = 1,
    progress: bool = False,
) -> Chains:
    """Run chains from `z`: `warmup` transitions that are thrown away, then `draws` times `thin` that are not.

    Args:
        kernel: its step sizes, if it has any, are adapted in warm-up and fixed afterwards, so that the kept transitions
            leave the target invariant.
        z: where the chains start.
        target: the log-density.
        draws: positions to keep of each chain.
        warmup: transitions before the first of them.
        thin: transitions from one to the next.
        progress: a bar on a terminal, else a line every ten seconds, on standard error.
    """
    bar = _Progress(warmup + draws * thin, shown=progress)
    kernel, state = _warm_up(kernel, kernel.begin(z, target), target, warmup, bar)
    positions, log_densities = [], []
    acceptance: dict[str, Tensor] = {}
    still = longest = torch.zeros(len(z), dtype=torch.long, device=z.device)
    for transition in range(1, draws * thin + 1):
        state, moved = kernel.step(state, target)
        acceptance = {kind: acceptance.get(kind, 0) + rate.mean() for kind, rate in state.acceptance.items()}
        still = torch.where(moved, 0, still + 1)
        longest = torch.maximum(longest, still)
        if transition % thin == 0:
            positions.append(state.position)
            log_densities.append(state.log_density)
        bar.update()
    bar.close()
    means = {kind: float(total) / (draws * thin) for kind, total in acceptance.items()}
    return Chains(torch.stack(positions, 1), torch.stack(log_densities, 1), means, int(longest.max()), kernel)


def _warm_up(kernel: Kernel, state: State, target: LogDensity, steps: int, bar: "_Progress") -> tuple[Kernel, State]:
    """The kernel with the step sizes that `steps` transitions taught, and where the chains are then."""
    adaptation = Adaptation.start(kernel, state.position.device)
    for _ in range(steps):
        state, _ = adaptation.trial().step(state, target)
        adaptation = adaptation.update(state)
        bar.update()
    return adaptation.frozen() if steps else kernel, state


class _Progress:
    """A bar on a terminal, a line now and then elsewhere, nothing if not `shown`; on standard error."""

    def __init__(self, total: int, *, shown: bool) -> None:
        terminal = sys.stderr.isatty()
        self.total, self.done, self.lines = total, 0, shown and not terminal
        self.last = time.monotonic()
        self.bar = tqdm(total=total, desc="sampling", unit="step", dynamic_ncols=True, disable=not (shown and terminal))

    def update(self) -> None:
        self.done += 1
        self.bar.update()
        if self.lines and time.monotonic() - self.last > _SECONDS:
            self.last = time.monotonic()
            print(f"sampling {self.done}/{self.total}", file=sys.stderr, flush=True)

    def close(self) -> None:
        self.bar.close()
