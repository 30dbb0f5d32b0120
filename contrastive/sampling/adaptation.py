"""Step sizes that give a wanted acceptance, found during warm-up and held afterwards."""

from typing import NamedTuple, Self

import torch
from jaxtyping import Float
from torch import Tensor

_SHRINKAGE, _DELAY, _DECAY = 0.05, 10.0, 0.75  # gamma, t0 and kappa of Hoffman & Gelman


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
    def start(cls, step_size: float | Tensor, target: float, *, device: torch.device | None = None) -> Self:
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
