"""Noise over spins: a probability mass on {-1, +1}^d."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

from contrastive.errors import ContrastiveError
from contrastive.noises.base import ParametricNoise, as_parameter
from contrastive.numerics.row_weights import effective_size, weighted_mean


class IndependentSpins(Distribution):
    """Spins that are +1 with probability sigmoid(logits), independently; `log_prob` is a log-mass."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 (torch's own declaration)

    def __init__(self, logits: Float[Tensor, " d"]) -> None:
        super().__init__(event_shape=logits.shape, validate_args=False)
        self.logits = logits

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Draws of shape `sample_shape + (d,)`, of -1 and +1 in the dtype of the logits."""
        up = self.logits.sigmoid().expand(*sample_shape, *self.event_shape)
        return 2 * torch.bernoulli(up) - 1

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-mass in nats; -inf where an entry is not a spin."""
        log_mass = logsigmoid(value * self.logits).sum(-1)
        return log_mass.masked_fill((value.abs() != 1).any(-1), -torch.inf)


class BernoulliSpins(ParametricNoise):
    """Independent spins, each +1 with a probability of its own.

    `log_prob` is the log of a probability MASS (density with respect to the counting measure), -inf off the spins, for
    energies over {-1, +1}^d such as `ising`. Masses do not stretch: fit with `standardize=False`. Fitted, it is the
    mean-field model with the data's own magnetisations; a spin that never flips keeps the probability 1/(2n) of the
    value it did not take, n being the effective number of rows.

    Args:
        event_shape: shape of one configuration.
        probability: of +1, broadcast to `(d,)`, strictly between 0 and 1; given, the noise counts as fitted.

    Raises:
        ContrastiveError: if a probability is out of range, or `fit` gets values other than -1 and +1.
    """

    is_discrete = True
    logits: Tensor

    def __init__(self, event_shape: tuple[int, ...], *, probability: Any = None) -> None:
        super().__init__(event_shape, is_fitted=probability is not None)
        up = as_parameter(0.5 if probability is None else probability, (self.dim,), "probability")
        if not bool(((up > 0) & (up < 1)).all()):
            raise ContrastiveError(f"a spin's probability must be between 0 and 1, got {probability}")
        self.register_buffer("logits", up.logit())

    def distribution(self) -> Distribution:
        """The independent spins."""
        return IndependentSpins(self.logits)

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        if not bool((x.abs() == 1).all()):
            raise ContrastiveError(
                "the noise 'bernoulli-spins' is for values of -1 and +1; write 0/1 data as 2 x - 1 and fit with "
                "standardize=False"
            )
        least = 0.5 / effective_size(sample_weight, len(x))
        self.logits.copy_(((1 + weighted_mean(x, sample_weight)) / 2).clamp(least, 1 - least).logit())
