"""Step sizes that give a wanted acceptance, adapted during warm-up and fixed afterwards."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.sampling.kernels import Alternating, Kernel, State, TunableKernel

_SHRINKAGE, _DELAY, _DECAY = 0.05, 10.0, 0.75  # gamma, t0 and kappa of Hoffman & Gelman


class Adaptation(NamedTuple):
    """The search for the step size of each kind of local move in a kernel; nothing to do for one that has none.

    Attributes:
        kernel: as it was given.
        searches: one for each of its local kernels.
    """

    kernel: Kernel
    searches: tuple["DualAveraging", ...]

    @classmethod
    def start(cls, kernel: Kernel, device: torch.device) -> Self:
        """Searches that begin at the kernel's own step sizes."""
        return cls(
            kernel,
            tuple(DualAveraging.start(k.step_size, k.target_acceptance, device) for k in local_kernels(kernel)),
        )

    def trial(self) -> Kernel:
        """The kernel to take the next step with."""
        return _with_step_sizes(self.kernel, (search.trial_step for search in self.searches))

    def update(self, state: State) -> Self:
        """Learn from the acceptance of that step."""
        kinds = (kernel.kind for kernel in local_kernels(self.kernel))
        pairs = zip(self.searches, kinds)
        return self._replace(searches=tuple(search.update(state.acceptance[kind]) for search, kind in pairs))

    def frozen(self) -> Kernel:
        """The kernel to keep."""
        return _with_step_sizes(self.kernel, (search.step_size for search in self.searches))


def local_kernels(kernel: Kernel) -> tuple[TunableKernel, ...]:
    """The parts of a kernel that have a step size."""
    if isinstance(kernel, Alternating):
        return kernel.nearby
    return (kernel,) if isinstance(kernel, TunableKernel) else ()


def _with_step_sizes(kernel: Kernel, sizes: Iterable[Tensor]) -> Kernel:
    tuned = tuple(part.with_step_size(size) for part, size in zip(local_kernels(kernel), sizes))
    if isinstance(kernel, Alternating):
        return replace(kernel, nearby=tuned)
    return tuned[0] if tuned else kernel


class DualAveraging(NamedTuple):
    """Nesterov's dual averaging of log epsilon towards a mean acceptance, over all chains at once.

    All numbers are 0-d tensors, so that no step waits for the device.

    Attributes:
        target: wanted acceptance probability.
        anchor: mu, the log step size that the search is drawn to.
        missed: H, the running mean of `target` minus the acceptance.
        log_step: log epsilon to try next.
        averaged: its weighted mean over the search, the step size to keep.
        updates: updates so far.

    Reference: Hoffman & Gelman (2014), "The No-U-Turn Sampler", JMLR 15, section 3.2.
    """

    target: float
    anchor: Tensor
    missed: Tensor
    log_step: Tensor
    averaged: Tensor
    updates: int = 0

    @classmethod
    def start(cls, step_size: float | Tensor, target: float, device: torch.device) -> Self:
        """A search that begins at `step_size`."""
        log_step = torch.as_tensor(step_size, dtype=torch.float32, device=device).log()
        return cls(target, log_step, torch.zeros_like(log_step), log_step, log_step)

    def update(self, acceptance: Float[Tensor, " chains"]) -> Self:
        """Learn from the acceptance probabilities of one step of every chain."""
        updates = self.updates + 1
        share = 1 / (updates + _DELAY)
        missed = (1 - share) * self.missed + share * (self.target - acceptance.float().mean())
        log_step = self.anchor - updates**0.5 / _SHRINKAGE * missed
        weight = updates**-_DECAY
        averaged = weight * log_step + (1 - weight) * self.averaged
        return self._replace(missed=missed, log_step=log_step, averaged=averaged, updates=updates)

    @property
    def trial_step(self) -> Float[Tensor, ""]:
        """epsilon to try next."""
        return self.log_step.exp()

    @property
    def step_size(self) -> Float[Tensor, ""]:
        """epsilon to keep."""
        return self.averaged.exp()
