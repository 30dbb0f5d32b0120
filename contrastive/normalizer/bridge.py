"""log Z from samples of both sides: the acceptance-ratio (bridge) estimate.

With n samples of the EBM and m of the noise, c is where the noise's draws taken for the EBM's are as many as the EBM's
taken for noise: sum_p sigmoid(-r) = sum_q sigmoid(r), r = f - log q - c - log(m / n). This is NCE's optimum in c with
samples of the EBM in the place of the data. Real data must not be put there: they would give back the learned c, with
whatever is wrong with it.

References: Bennett (1976), "Efficient estimation of free energy differences from Monte Carlo data"; Meng & Wong (1996),
"Simulating ratios of normalizing constants via a simple identity".
"""

import math

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.normalizer.result import LogPartition
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer

_LEAST_OVERLAP = 0.05
_LARGEST_RHAT = 1.05
_FEWEST_FOR_RHAT = 20


def bridge_estimate(
    model: Float[Tensor, "chains draws"], noise: Float[Tensor, " m"], *, level: float = 0.95, method: str = "bridge"
) -> LogPartition:
    """log Z by the acceptance-ratio equation, with the standard error of the delta method.

        Var(c) = [Var_p(1 - P) / n + nu^2 Var_q(P) / m] / E_p[1 - P]^2,    P = sigmoid(r), nu = m / n

    n is divided by the autocorrelation time of 1 - P along the chains. Doubtful where the overlap
    E_p[q / (p + q)], 1/2 for equal densities, is below 0.05, or the chains disagree (R-hat above 1.05).

    Args:
        model: log-weights f - log q at samples of the EBM, one row a chain; never at data. For annealed paths: their
            work.
        noise: log-weights at independent draws of the noise.
        level: of the interval.
        method: name of the method in the result.

    Raises:
        ContrastiveError: if a log-weight is NaN, or none is finite.

    Example:
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <...>
        >>> x = torch.randn(4, 5000) + 1.0  # f(x) = -(x - 1)^2 / 2, q = N(0, 1): log Z = log(2 pi) / 2 = 0.9189
        >>> print(bridge_estimate(x - 0.5 + 0.9189, torch.randn(20000) - 0.5 + 0.9189))
        log Z = 0.9101 +- 0.0051 (95 %: [0.9001, 0.9201]) by bridge: reliable
    """
    model, noise = model.detach().double().cpu(), noise.detach().double().cpu()
    if bool(model.isnan().any() or noise.isnan().any()):
        raise ContrastiveError("a log-weight is NaN: log Z has no estimate; look at the energy's parameters")
    n, m = model.numel(), noise.numel()
    ratio = m / n
    log_ratio = math.log(ratio)
    c = optimal_log_normalizer(model.flatten() - log_ratio, noise - log_ratio, ratio)
    missed = torch.sigmoid(c + log_ratio - model)  # 1 - P at the EBM's samples
    taken = torch.sigmoid(noise - c - log_ratio)  # P at the noise's draws
    time, rhat = chain_diagnostics(missed)
    variance = float(missed.var()) * time / n + ratio**2 * float(taken.var()) / m
    share = float(missed.mean())
    overlap = float(torch.sigmoid(c - model).mean())
    reasons = []
    if not overlap >= _LEAST_OVERLAP:
        reasons.append(f"the overlap is {overlap:.3f}, below {_LEAST_OVERLAP}: the noise is too far from the energy")
    if rhat > _LARGEST_RHAT:
        reasons.append(f"the chains disagree (R-hat {rhat:.2f}): the samples of the EBM have not settled")
    return LogPartition.normal(
        c,
        math.sqrt(variance) / share if share > 0 else math.inf,
        level=level,
        method=method,
        reasons=reasons,
        diagnostics={
            "draws_model": n,
            "draws_noise": m,
            "overlap": overlap,
            "autocorrelation_time": time,
            "rhat": rhat,
        },
    )


def chain_diagnostics(values: Float[Tensor, "chains draws"]) -> tuple[float, float]:
    """Autocorrelation time, in draws, and R-hat of a quantity along chains.

    One draw a chain means independent draws: time 1, R-hat 1. The time is at least 1. Chains of fewer than 20 draws get
    no R-hat (1), which would be all chance.

    Raises:
        ContrastiveError: for chains of 2 or 3 draws.
    """
    chains, draws = values.shape
    spread = float(values.max() - values.min())
    if draws == 1 or spread <= 1e-12 * max(1.0, float(values.abs().max())):
        return 1.0, 1.0
    if draws < 4:
        raise ContrastiveError(f"a chain of {draws} draws is too short to judge; take 4 or more, or 1 of each chain")
    array = values.numpy()
    rhat = float(array_stats.rhat(array, method="rank")) if chains > 1 and draws >= _FEWEST_FOR_RHAT else 1.0
    effective = float(array_stats.ess(array, method="mean"))
    return max(1.0, values.numel() / effective), 1.0 if np.isnan(rhat) else rhat
