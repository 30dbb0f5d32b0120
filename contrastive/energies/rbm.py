"""A restricted Boltzmann machine over real numbers."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.energies.enumeration import log_sum_over_states
from contrastive.errors import ContrastiveError

_MOST_HIDDEN = 20


class RestrictedBoltzmannMachine(Energy):
    """Gaussian-Bernoulli restricted Boltzmann machine, its hidden units summed out; high = likely.

        f(v) = -|v - b|^2 / (2 s^2) + sum_j softplus(c_j + W_j . v / s^2)
             = log sum over h in {0, 1}^hidden of exp(-|v - b|^2 / (2 s^2) + h . (c + W v / s^2))

    A mixture of 2^hidden Gaussians of one width s, with means b + W^T h. It starts near the standard Gaussian.

    Args:
        event_shape: shape of one data point; it is flattened to d entries.
        hidden: number of hidden units.

    Raises:
        ContrastiveError: if `hidden` is below 1.

    Reference: Cho, Ilin & Raiko (2011), "Improved learning of Gaussian-Bernoulli restricted Boltzmann machines", with
    one s for all visible units; s is learned as a logarithm, as there.
    """

    def __init__(self, event_shape: tuple[int, ...], *, hidden: int = 16) -> None:
        super().__init__()
        if hidden < 1:
            raise ContrastiveError(f"hidden must be at least 1, got {hidden}")
        self.dim, self.hidden = math.prod(event_shape), hidden
        # Weights of 0.01: Hinton (2012), "A practical guide to training restricted Boltzmann machines", section 8.
        self.weight = nn.Parameter(0.01 * torch.randn(hidden, self.dim))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.visible_bias = nn.Parameter(torch.zeros(self.dim))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`."""
        v, precision = x.flatten(1), (-2 * self.log_scale).exp()
        inputs = self.hidden_bias + precision * (v @ self.weight.mT)
        quadratic = (v - self.visible_bias).square().sum(1)
        return nn.functional.softplus(inputs).sum(1) - 0.5 * precision * quadratic

    def log_partition(self) -> Float[Tensor, ""]:
        """log Z in nats, float64, differentiable: one Gaussian integral for each of the 2^hidden hidden states.

        Raises:
            ContrastiveError: for more than 20 hidden units.
        """
        if self.hidden > _MOST_HIDDEN:
            raise ContrastiveError(
                f"log Z of an RBM is a sum over 2^{self.hidden} hidden states; it is taken up to hidden={_MOST_HIDDEN}"
            )
        weight, log_scale = self.weight.double(), self.log_scale.double()
        precision = (-2 * log_scale).exp()
        # The integral over v completes the square around b + W^T h, which leaves (|b + W^T h|^2 - |b|^2) / (2 s^2).
        linear = self.hidden_bias.double() + precision * (weight @ self.visible_bias.double())
        states = log_sum_over_states(linear, 0.5 * precision * (weight @ weight.mT), (0.0, 1.0))
        return states + self.dim * (0.5 * math.log(2 * math.pi) + log_scale)
