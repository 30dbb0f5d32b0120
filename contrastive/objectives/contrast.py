"""Log-ratios and loss terms of one batch of data and noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from contrastive.errors import warn_renamed
from contrastive.numerics.row_weights import weighted_mean

#: Chance level of the estimate of 2 JSD, less a nat: below it the discriminator's gradient is uninformative.
CHANCE_LEVEL = -1.0


class Value(NamedTuple):
    """V and its two parts, nats: `data` is E_data[log sigmoid(r)], `noise` is nu E_q[log sigmoid(-r)]."""

    total: float
    data: float
    noise: float


@dataclass(frozen=True)
class Contrast:
    """The log-ratios of one batch of data and noise samples, and the objective's two terms.

    Attributes:
        r_data: log-ratios at the data, shape `(n,)`, nats.
        r_noise: log-ratios at the noise samples, shape `(m,)`, nats.
        data_term: the objective's term at the data, shape `()`.
        noise_term: the objective's term at the noise samples, nu counted, shape `()`.
        log_noise_ratio: log nu.
        sample_weight: of the data, by which every mean over them is taken, shape `(n,)`; None for equal ones.
    """

    r_data: Float[Tensor, " n"]
    r_noise: Float[Tensor, " m"]
    data_term: Float[Tensor, ""]
    noise_term: Float[Tensor, ""]
    log_noise_ratio: float
    sample_weight: Float[Tensor, " n"] | None = None

    @classmethod
    def from_losses(
        cls,
        r_data: Float[Tensor, " n"],
        r_noise: Float[Tensor, " m"],
        data_losses: Float[Tensor, " n"],
        noise_losses: Float[Tensor, " m"],
        noise_ratio: float = 1.0,
        sample_weight: Float[Tensor, " n"] | None = None,
    ) -> "Contrast":
        """The contrast of one batch from the loss of each row; a term is the mean over its rows."""
        data_term = data_losses.mean() if sample_weight is None else weighted_mean(data_losses, sample_weight)
        return cls(r_data, r_noise, data_term, noise_losses.mean(), math.log(noise_ratio), sample_weight)

    @classmethod
    def joined(cls, parts: "Sequence[Contrast]") -> "Contrast":
        """The contrast of a batch from those of its parts, none of them weighted."""
        assert all(part.sample_weight is None for part in parts)
        r_data, r_noise = torch.cat([part.r_data for part in parts]), torch.cat([part.r_noise for part in parts])
        data_term = torch.stack([part.data_term * len(part.r_data) for part in parts]).sum() / len(r_data)
        noise_term = torch.stack([part.noise_term * len(part.r_noise) for part in parts]).sum() / len(r_noise)
        return cls(r_data, r_noise, data_term, noise_term, parts[0].log_noise_ratio)

    def detached(self) -> "Contrast":
        """The same numbers without their graph."""
        return Contrast(
            self.r_data.detach(),
            self.r_noise.detach(),
            self.data_term.detach(),
            self.noise_term.detach(),
            self.log_noise_ratio,
            self.sample_weight,
        )

    def data_mean(self, values: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """The mean of a number a data row, by the weights where there are some."""
        return values.mean() if self.sample_weight is None else weighted_mean(values, self.sample_weight)

    @property
    def loss(self) -> Float[Tensor, ""]:
        """What the energy player minimises."""
        return self.data_term + self.noise_term

    @property
    def value(self) -> Float[Tensor, ""]:
        """V = -loss, what the noise player minimises."""
        return -self.loss

    @property
    def accuracy(self) -> Float[Tensor, ""]:
        """Balanced accuracy of the discriminator, by the sign of log p - log q; 1/2 where p = q.

        nu is left out so that the accuracy means the same at every noise ratio. A tie is half right.
        """
        data, noise = ((r.detach() + self.log_noise_ratio).sign() for r in (self.r_data, self.r_noise))
        return (2 + self.data_mean(data) - noise.mean()) / 4

    @property
    def twice_jsd(self) -> Float[Tensor, ""]:
        """2 JSD(p, q) as far as the energy is right, nats: V + log 4 at nu = 1, whatever nu and the objective are."""
        of_data, of_noise = (r.double() + self.log_noise_ratio for r in (self.r_data, self.r_noise))
        return math.log(4) - self.data_mean(softplus(-of_data)) - softplus(of_noise).mean()

    # Names of version 0.1 before the package had its present form; they go with the next version. ----------------

    @property
    def data_loss(self) -> Float[Tensor, ""]:
        """Deprecated: `data_term`."""
        warn_renamed("Contrast.data_loss", "data_term")
        return self.data_term

    @property
    def noise_loss(self) -> Float[Tensor, ""]:
        """Deprecated: `noise_term`."""
        warn_renamed("Contrast.noise_loss", "noise_term")
        return self.noise_term
