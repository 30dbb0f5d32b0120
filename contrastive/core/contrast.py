"""Log-ratios and losses of one batch of data and noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

#: Chance level of the estimate of 2 JSD, less a nat: below it the discriminator's gradient is uninformative.
CHANCE_LEVEL = -1.0


class Value(NamedTuple):
    """V and its two parts, nats: `data` is E_data[log sigmoid(r)], `noise` is nu E_q[log sigmoid(-r)]."""

    total: float
    data: float
    noise: float


@dataclass(frozen=True)
class Contrast:
    """The log-ratios of a batch of data and noise, and the objective's losses.

    Attributes:
        r_data: log-ratios at the data, shape `(n,)`, nats.
        r_noise: log-ratios at the noise draws, shape `(m,)`.
        data_loss: the objective's part from the data, shape `()`.
        noise_loss: its part from the noise, shape `()`.
        log_noise_ratio: log nu.
    """

    r_data: Float[Tensor, " n"]
    r_noise: Float[Tensor, " m"]
    data_loss: Float[Tensor, ""]
    noise_loss: Float[Tensor, ""]
    log_noise_ratio: float

    @classmethod
    def joined(cls, parts: "Sequence[Contrast]") -> "Contrast":
        """The contrast of a batch from those of its parts."""
        r_data, r_noise = torch.cat([part.r_data for part in parts]), torch.cat([part.r_noise for part in parts])
        data_loss = torch.stack([part.data_loss * len(part.r_data) for part in parts]).sum() / len(r_data)
        noise_loss = torch.stack([part.noise_loss * len(part.r_noise) for part in parts]).sum() / len(r_noise)
        return cls(r_data, r_noise, data_loss, noise_loss, parts[0].log_noise_ratio)

    def detached(self) -> "Contrast":
        """The same numbers without their graph."""
        return Contrast(
            self.r_data.detach(),
            self.r_noise.detach(),
            self.data_loss.detach(),
            self.noise_loss.detach(),
            self.log_noise_ratio,
        )

    @property
    def loss(self) -> Float[Tensor, ""]:
        """What the energy player minimises."""
        return self.data_loss + self.noise_loss

    @property
    def value(self) -> Float[Tensor, ""]:
        """V = -loss, what the noise player minimises."""
        return -self.loss

    @property
    def accuracy(self) -> Float[Tensor, ""]:
        """Balanced accuracy of the discriminator, by the sign of log p - log q; 1/2 where p = q.

        nu is left out so that the accuracy means the same at every noise ratio. A tie is half right.
        """
        data, noise = ((r.detach() + self.log_noise_ratio).sign().mean() for r in (self.r_data, self.r_noise))
        return (2 + data - noise) / 4

    @property
    def twice_jsd(self) -> Float[Tensor, ""]:
        """2 JSD(p, q) as far as the energy is right, nats: V + log 4 at nu = 1, whatever nu and the objective are."""
        of_data, of_noise = (r.double() + self.log_noise_ratio for r in (self.r_data, self.r_noise))
        return math.log(4) - softplus(-of_data).mean() - softplus(of_noise).mean()
