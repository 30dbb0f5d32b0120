"""Independent draws from p(x | y) for chosen contexts y, many at once."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.core.estimator import Estimator
from contrastive.errors import ContrastiveError
from contrastive.protocols import NoiseOverRows
from contrastive.sampling.kernels import IndependenceMetropolis, LogDensity
from contrastive.sampling.kernels.base import INDEPENDENCE
from contrastive.sampling.targets import energy_target

_PILOT, _MOST_PILOT_ROWS = 500, 100_000
_DISTANCE = 1e-3  # total variation that is left at the end of a chain
_MOST_STEPS = 300
_ROWS = 20_000  # at once


@dataclass(frozen=True)
class ConditionalSamples:
    """Draws from p(x | y), and how far to trust them.

    Attributes:
        rows: (x, y) in original units, shape `(n, m, d + k)` for m contexts.
        num_given: k.
        steps: transitions of independence Metropolis that each draw is the end of; 0 where the energy is the noise.
        acceptance: mean acceptance probability.
        distance: estimated total variation between the law of a draw and p(. | y), the largest over contexts.
    """

    rows: Float[Tensor, "n m row"]
    num_given: int
    steps: int
    acceptance: float
    distance: float

    @property
    def x(self) -> Float[Tensor, "n m d"]:
        """The draws without their contexts."""
        return self.rows[..., : -self.num_given]

    def __str__(self) -> str:
        n, m = self.rows.shape[:2]
        what = f"{n} independent draws for {'the context' if m == 1 else f'each of {m} contexts'}"
        if not self.steps:
            return f"{what}: the energy is the noise, whose draws are exact"
        return f"{what}, each the end of {self.steps} steps of independence Metropolis, accepted: {self.acceptance:.2f}"

    @property
    def warning(self) -> str:
        """What is doubtful about the draws, with what to do; empty if nothing is."""
        if self.distance <= 2 * _DISTANCE:
            return ""
        return (
            f"after {self.steps} steps the draws may still be {self.distance:.2g} in total variation away from "
            "p(x | given): the noise is far from the energy; take a nearer noise, or sampler='mixed'"
        )


@torch.no_grad()
def sample_given(estimator: Estimator, n: int, y: Float[Tensor, "m k"]) -> ConditionalSamples:
    """`n` independent draws from p(x | y) for each context, by independence Metropolis with proposals from q(x | y).

    Each draw is the end of a chain of its own. With w = exp(f) / q bounded by W times its mean, the total variation to
    p(. | y) after t steps is at most (1 - 1/W)^t (Mengersen & Tweedie 1996, theorem 2.1). W is estimated by the largest
    of 500 weights for each context, and t is chosen so that 0.001 is left, at most 300.

    Args:
        estimator: of a conditional density.
        n: draws for each context.
        y: contexts in model coordinates.

    Raises:
        ContrastiveError: if `n` is below 1, the model conditions on nothing, or the energy is finite at no proposal.
    """
    if n < 1:
        raise ContrastiveError(f"sampling needs n of at least 1, got {n}")
    noise = estimator.noise
    if not isinstance(noise, NoiseOverRows) or noise.num_given != y.shape[1]:
        raise ContrastiveError("this model is not conditional on that: leave out given")
    target = energy_target(estimator)
    worst = _worst_weight(target, noise, y)
    steps = 0 if worst <= 1 + 1e-6 else min(_MOST_STEPS, math.ceil(math.log(_DISTANCE) / math.log1p(-1 / worst)))
    parts, accepted = [], 0.0
    contexts = y.repeat(n, 1)
    for part in contexts.split(_ROWS):
        z, acceptance = _walked(target, noise, part, steps)
        parts.append(z)
        accepted += acceptance * len(part)
    rows = estimator.scaling.inverse(torch.cat(parts)).reshape(n, len(y), -1)
    distance = (1 - 1 / worst) ** steps if steps else 0.0
    return ConditionalSamples(rows, y.shape[1], steps, accepted / len(contexts), distance)


def _worst_weight(target: LogDensity, noise: NoiseOverRows, y: Float[Tensor, "m k"]) -> float:
    """The largest weight over the mean weight of proposals, of the context where it is largest."""
    pilot = max(20, min(_PILOT, _MOST_PILOT_ROWS // len(y)))
    log_weights = []
    for part in y.repeat(pilot, 1).split(_ROWS):
        z = noise.sample_given(part)
        log_weights.append((target(z) - noise.log_prob(z)).nan_to_num(nan=-torch.inf, posinf=-torch.inf))
    log_w = torch.cat(log_weights).double().reshape(pilot, len(y))
    if not bool(log_w.isfinite().any(0).all()):
        raise ContrastiveError("the energy is finite at no draw of the noise for some context: nothing can be drawn")
    log_mean = log_w.logsumexp(0) - math.log(pilot)
    return float((log_w.max(0).values - log_mean).max().exp())


@dataclass(frozen=True)
class _AtContexts:
    """q(. | y) for the context of each chain: a draw for one is a draw for each."""

    noise: NoiseOverRows
    contexts: Float[Tensor, "n k"]

    @property
    def event_shape(self) -> torch.Size:
        return self.noise.event_shape

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        assert torch.Size(sample_shape).numel() == len(self.contexts)
        return self.noise.sample_given(self.contexts)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.noise.log_prob(value)


def _walked(target: LogDensity, noise: NoiseOverRows, y: Float[Tensor, "n k"], steps: int) -> tuple[Tensor, float]:
    """The ends of chains of `steps` transitions, one for each context, and the mean acceptance."""
    z = noise.sample_given(y)
    if not steps:
        return z, 1.0
    kernel = IndependenceMetropolis(_AtContexts(noise, y))

    def density(z: Tensor) -> Tensor:
        # A chain that starts where the energy is no number must be able to leave: from density 0 it takes any proposal.
        return target(z).nan_to_num(nan=-torch.inf, posinf=-torch.inf)

    state, total = kernel.begin(z, density), 0.0
    for _ in range(steps):
        state, _ = kernel.step(state, density)
        total += float(state.acceptance[INDEPENDENCE].mean())
    return state.position, total / steps
