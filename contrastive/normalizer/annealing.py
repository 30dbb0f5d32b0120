"""log Z along a path from the noise to the EBM: annealed importance sampling, forward and in reverse.

The path is pi_b = q^(1 - b) exp(b f), b from 0 to 1. A chain that starts at a draw of q and follows it with Metropolis
transitions gathers the work W = sum_t (b_t - b_(t-1)) (f - log q)(z_(t-1)); E[exp(W)] = Z, so log mean exp(W) lies
below log Z on average. A chain that starts at a sample of the EBM and goes back gives E[exp(-W)] = 1 / Z, hence a value
above log Z on average: exactly so for exact samples, approximately for those of a Markov chain. exp(W) / Z is the ratio
of the densities of a path and its reverse, so the acceptance-ratio estimate takes both works together.

References: Neal (2001), "Annealed importance sampling"; Crooks (2000), "Path-ensemble averages"; Grosse, Ghahramani &
Adams (2015), "Sandwiching the marginal likelihood"; Burda, Grosse & Salakhutdinov (2015) for the reverse.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from contrastive.core.estimator import Estimator
from contrastive.normalizer.bridge import bridge_estimate
from contrastive.normalizer.importance import WeightSummary, importance_estimate
from contrastive.normalizer.result import LogPartition
from contrastive.normalizer.tuning import Schedule, Tuning
from contrastive.normalizer.weights import log_weight, path_density, portions
from contrastive.protocols import sample_and_log_prob
from contrastive.sampling.kernels import Kernel

#: Forward and reverse must agree this well, in nats.
AGREEMENT = 0.1


@torch.no_grad()
def anneal(
    estimator: Estimator,
    schedule: Schedule,
    z: Float[Tensor, "chains *event"],
    *,
    reverse: bool = False,
    advance: Callable[[int], object] = lambda steps: None,
) -> Float[Tensor, " chains"]:
    """The work W of each path from `z`, nats, float64.

    Args:
        estimator: f and q.
        schedule: temperatures and transitions, chosen beforehand and fixed.
        z: where paths start, in model coordinates: draws of the noise, or with `reverse` samples of the EBM.
        reverse: go from the EBM to the noise.
        advance: called with 1 for each temperature that a portion of the paths has passed, as by a progress bar.
    """
    steps = list(zip(pairwise(schedule.betas.tolist()), (None, *schedule.kernels)))
    works = []
    for part in z.split(portions(len(z), estimator.noise.event_shape)):
        work = torch.zeros(len(part), dtype=torch.float64, device=part.device)
        for (lower, upper), kernel in reversed(steps) if reverse else steps:
            # A transition stands between two increments: before its own going forward, after it in reverse.
            if kernel is not None and not reverse:
                part = _moved(estimator, kernel, part, lower)
            work += (upper - lower) * log_weight(estimator, part)
            if kernel is not None and reverse:
                part = _moved(estimator, kernel, part, lower)
            advance(1)
        works.append(work)
    return torch.cat(works)


def _moved(estimator: Estimator, kernel: Kernel, z: Tensor, beta: float) -> Tensor:
    target = path_density(estimator, beta)
    return kernel.step(kernel.begin(z, target), target)[0].position


def annealing_estimate(
    forward: Float[Tensor, " m"], reverse: Float[Tensor, "chains draws"], *, level: float = 0.95
) -> LogPartition:
    """log Z by the acceptance ratio on the work of forward and reverse paths.

    Doubtful where forward and reverse differ by more than 0.1 nat, and where `bridge_estimate` is.

    Args:
        forward: work from independent draws of the noise.
        reverse: work from samples of the EBM, one row a chain.
        level: of the interval.
    """
    both = bridge_estimate(reverse, forward, level=level, method="annealing")
    below = importance_estimate(WeightSummary.of(forward), level=level)
    above = importance_estimate(WeightSummary.of(-reverse.flatten()), level=level)
    gap = -above.log_z - below.log_z
    reasons = list(both.reasons)
    if not abs(gap) <= AGREEMENT:
        reasons.append(f"forward and reverse annealing differ by {abs(gap):.2g} nats, more than {AGREEMENT}")
    return LogPartition.normal(
        both.log_z,
        both.standard_error,
        level=level,
        method="annealing",
        reasons=reasons,
        diagnostics={
            **both.diagnostics,
            "forward": below.log_z,
            "forward_standard_error": below.standard_error,
            "reverse_approximate": -above.log_z,
            "reverse_standard_error": above.standard_error,
        },
    )


def annealed_partition(
    estimator: Estimator,
    tuning: Tuning,
    samples: Float[Tensor, "chains draws *event"],
    *,
    max_temperatures: int,
    level: float = 0.95,
    progress: bool = False,
) -> LogPartition:
    """Annealing of doubled length until forward and reverse agree within 0.1 nat, or it has `max_temperatures`.

    Args:
        estimator: f and q.
        tuning: where to put the temperatures, and the step sizes; found beforehand.
        samples: of the EBM, in model coordinates, one row a chain; as many paths start at the noise.
        max_temperatures: number of temperatures to end with.
        level: of the interval.
        progress: show a bar.
    """
    chains, draws = samples.shape[:2]
    length = min(8, max_temperatures)
    while True:
        schedule = tuning.schedule(length)
        portioned = len(portions(chains * draws, estimator.noise.event_shape))
        with tqdm(
            total=2 * length * portioned, desc=f"annealing, {length} temperatures", disable=not progress, leave=False
        ) as bar:
            start = sample_and_log_prob(estimator.noise, chains * draws)[0].detach()
            forward = anneal(estimator, schedule, start, advance=bar.update)
            back = anneal(estimator, schedule, samples.flatten(0, 1), reverse=True, advance=bar.update)
        estimate = annealing_estimate(forward, back.reshape(chains, draws), level=level)
        estimate.diagnostics["temperatures"] = length
        if estimate.is_reliable or 2 * length > max_temperatures:
            return estimate
        length *= 2
