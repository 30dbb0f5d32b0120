"""Sums over all states of n two-valued units."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

_STATES = 1 << 16  # at once


def log_sum_over_states(
    linear: Float[Tensor, " n"], quadratic: Float[Tensor, "n n"], values: tuple[float, float]
) -> Float[Tensor, ""]:
    """log sum_s exp(linear . s + s^T quadratic s) over the 2^n states s in {values}^n; float64, differentiable.

    Args:
        linear: one coefficient a unit.
        quadratic: need not be symmetric.
        values: the two values of a unit.
    """
    linear, quadratic = linear.double(), quadratic.double()
    parts = []
    for states in _all_states(len(linear), values, linear.device):
        parts.append(torch.logsumexp(states @ linear + ((states @ quadratic) * states).sum(1), 0))
    return torch.logsumexp(torch.stack(parts), 0)


def _all_states(n: int, values: tuple[float, float], device: torch.device) -> Iterator[Float[Tensor, "states n"]]:
    bits = torch.arange(n, device=device)
    low, high = values
    for numbers in torch.arange(2**n, device=device).split(_STATES):
        yield low + (high - low) * (numbers[:, None] >> bits & 1).double()
