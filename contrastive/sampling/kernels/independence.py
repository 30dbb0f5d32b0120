"""Global moves: a draw of the noise, wherever the chain stands."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from contrastive.protocols import NoiseModel, sample_and_log_prob
from contrastive.sampling.kernels.base import INDEPENDENCE, LogDensity, State, evaluate, metropolis


@dataclass(frozen=True)
class IndependenceMetropolis:
    """Independence Metropolis-Hastings: z' ~ q, accepted with probability min(1, w(z') / w(z)), w = exp(f) / q.

    It jumps between modes however far apart, and is as good as the noise is near: where w is bounded by W times its
    mean, the distance to p falls at least by 1 - 1/W a step. No gradient is needed, so p may be discrete.

    Args:
        noise: q.

    Reference: Tierney (1994), "Markov chains for exploring posterior distributions", Annals of Statistics 22.
    """

    noise: NoiseModel

    def begin(self, z: Float[Tensor, "chains *event"], target: LogDensity) -> State:
        """The state of chains that stand at `z`; it remembers log q."""
        with torch.no_grad():
            log_q = self.noise.log_prob(z)
        return State(z, evaluate(target, z), {}, log_q)

    def step(self, state: State, target: LogDensity) -> tuple[State, Bool[Tensor, " chains"]]:
        """One proposal a chain."""
        with torch.no_grad():
            z, log_q = sample_and_log_prob(self.noise, len(state.position))
        z = z.to(state.position.dtype)
        proposed = State(z, evaluate(target, z), {}, log_q)
        log_ratio = (proposed.log_density - log_q) - (state.log_density - state.memory)
        return metropolis(state, proposed, log_ratio, INDEPENDENCE)
