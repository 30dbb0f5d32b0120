"""Independent component analysis, and its overcomplete relative."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.errors import ContrastiveError, did_you_mean

#: log of the integral of exp(expert(u)) over the line.
_LOG_INTEGRALS = {"laplace": 0.5 * math.log(2), "logistic": math.log(4 * math.sqrt(3) / math.pi)}


class ProductOfExperts(Energy):
    """f(x) = sum_k expert(w_k . x + b_k): independent component analysis; high = likely.

    The experts are log-densities of unit variance, their constants left out:

        laplace:   -sqrt(2) |u|
        logistic:  -2 log cosh(pi u / (2 sqrt(3)))

    With as many experts as dimensions this is ICA and log Z is known; with more it is overcomplete and log Z is not.
    With fewer, f is constant along some direction: only a `tilted` energy can be normalised by it.

    Args:
        event_shape: shape of one data point; it is flattened to d entries.
        experts: number of projections (default: d).
        expert: "laplace" (sparse) or "logistic" (smooth).

    Raises:
        ContrastiveError: for an unknown expert, or `experts` below 1.

    References: Gutmann & Hyvarinen (2010), "Noise-contrastive estimation" (complete, Laplacian); Teh, Welling,
    Osindero & Hinton (2003), "Energy-based models for sparse overcomplete representations", JMLR 4.
    """

    def __init__(self, event_shape: tuple[int, ...], *, experts: int | None = None, expert: str = "laplace") -> None:
        super().__init__()
        self.dim = math.prod(event_shape)
        self.experts = self.dim if experts is None else experts
        if self.experts < 1:
            raise ContrastiveError(f"experts must be at least 1, got {experts}")
        if expert not in _LOG_INTEGRALS:
            raise ContrastiveError(f"unknown expert {expert!r}; {did_you_mean(expert, _LOG_INTEGRALS)}")
        self.expert = expert
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(self.experts, self.dim)))
        self.bias = nn.Parameter(torch.zeros(self.experts))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`."""
        size = nn.functional.linear(x.flatten(1), self.weight, self.bias).abs()
        if self.expert == "laplace":
            return -math.sqrt(2) * size.sum(1)
        size = math.pi / (2 * math.sqrt(3)) * size
        return -2 * (size + nn.functional.softplus(-2 * size) - math.log(2)).sum(1)  # log cosh without overflow

    def log_partition(self) -> Float[Tensor, ""]:
        """log Z = d log z - log |det W| in nats, z the integral of one expert; float64, differentiable.

        Raises:
            ContrastiveError: unless there are as many experts as dimensions.
        """
        if self.experts != self.dim:
            raise ContrastiveError(
                f"log Z of ICA is known for as many experts as dimensions, not for {self.experts} in {self.dim}"
            )
        return self.dim * _LOG_INTEGRALS[self.expert] - torch.linalg.slogdet(self.weight.double()).logabsdet
