"""The Ising model."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.energies.enumeration import log_sum_over_states
from contrastive.errors import ContrastiveError

_MOST_SPINS = 16


class Ising(Energy):
    """f(s) = sum_(i<j) J_ij s_i s_j + sum_i h_i s_i for spins s in {-1, +1}^d; high = likely.

    The fully visible Boltzmann machine. exp(f - log Z) is a probability MASS (density with respect to the counting
    measure): the noise must be one too, such as `bernoulli-spins`, and the data must not be rescaled
    (`standardize=False`). It starts as independent fair coins.

    Args:
        event_shape: shape of one configuration; it is flattened to d spins.

    Reference: Ackley, Hinton & Sejnowski (1985), "A learning algorithm for Boltzmann machines", all units visible.
    """

    is_discrete = True

    def __init__(self, event_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = math.prod(event_shape)
        self.above_diagonal = nn.Parameter(torch.zeros(self.dim, self.dim))
        self.field = nn.Parameter(torch.zeros(self.dim))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`, for `x` of -1 and +1."""
        spins = x.flatten(1)
        return ((spins @ self.above_diagonal.triu(1)) * spins).sum(1) + spins @ self.field

    @property
    def couplings(self) -> Float[Tensor, "d d"]:
        """J, symmetric with a zero diagonal."""
        above = self.above_diagonal.triu(1)
        return above + above.mT

    def log_partition(self) -> Float[Tensor, ""]:
        """log Z = log sum over all 2^d configurations of exp(f), in nats; float64, differentiable.

        Raises:
            ContrastiveError: for more than 16 spins.
        """
        if self.dim > _MOST_SPINS:
            raise ContrastiveError(f"log Z is a sum over 2^{self.dim} configurations; it is taken up to {_MOST_SPINS}")
        return log_sum_over_states(self.field, self.above_diagonal.triu(1), (-1.0, 1.0))
