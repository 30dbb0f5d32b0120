"""Bounds on the total variation between noise and energy-based model, without log Z."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.sampling.diagnostics import effective_size


@dataclass(frozen=True)
class Overlap:
    """A bracket on the total variation between the noise q and the EBM p.

    With a = E min(1, w(y) / w(x)) over x ~ p, y ~ q, w = exp(f) / q, the acceptance of independence Metropolis in
    equilibrium,

        a <= 1 - TV(p, q) <= (1 + a) / 2

    a = 1 - TV(p x q, q x p), since p(x) q(y) min(1, w(y) / w(x)) = min(p(x) q(y), q(x) p(y)). The left is that a
    marginal loses distance; the right is TV(p x q, q x p) <= 2 TV(p, q). Z cancels in the ratio of weights.

    Attributes:
        acceptance: a.
        standard_error: of a.
    """

    acceptance: float
    standard_error: float

    @property
    def total_variation(self) -> tuple[float, float]:
        """The bracket (1 - a) / 2 <= TV(p, q) <= 1 - a."""
        return (1 - self.acceptance) / 2, 1 - self.acceptance


def overlap(model: Float[Tensor, "chains draws"], noise: Float[Tensor, " m"], *, size: float | None = None) -> Overlap:
    """Estimate a over all pairs of an EBM draw and a noise draw.

    Args:
        model: log w at draws of the EBM, one row a chain; any constant may be added to log w.
        noise: log w at independent draws of the noise.
        size: how many independent draws `model` counts for; by default from the chains' autocorrelation.
    """
    model, noise = model.double(), noise.double()
    at_model = _mean_acceptance(model.flatten(), noise).reshape(model.shape)
    at_noise = _mean_acceptance(-noise, -model.flatten())
    size = effective_size(at_model) if size is None else size
    variance = float(at_model.var()) / size + float(at_noise.var()) / len(noise)
    return Overlap(float(at_model.mean()), math.sqrt(variance))


def _mean_acceptance(at: Float[Tensor, " n"], of: Float[Tensor, " m"]) -> Float[Tensor, " n"]:
    """The mean over j of min(1, exp(of_j - at_i)), by sorting instead of n m terms."""
    of = of.sort().values
    below = torch.searchsorted(of, at)
    log_sums = torch.cat([of.new_full((1,), -math.inf), of.logcumsumexp(0)])
    return (len(of) - below + (log_sums[below] - at).exp()) / len(of)
