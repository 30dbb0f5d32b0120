"""Conditionals of the entries of a mixed event: what each is, given raw numbers of a network."""

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from contrastive.numerics.layout import Entry
from contrastive_autoregressive.families import FAMILIES, draw_component, draw_logistic_like
from contrastive_autoregressive.mixture import Mixture, starting_numbers

_WRAPS = 3  # turns to each side: with a scale below pi, 1e-11 of the mass is beyond
_LARGEST_LOG_SCALE = math.log(math.pi)


class Conditional(Protocol):
    """The density, or masses, of one number; raw numbers have shape `(n, numbers)`."""

    def start(self) -> Float[Tensor, " numbers"]:
        """Raw numbers that a fresh network is near."""
        ...

    def log_prob(self, raw: Float[Tensor, "n numbers"], x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-density or log-mass of each number, nats."""
        ...

    def sample(self, raw: Float[Tensor, "n numbers"]) -> Float[Tensor, " n"]:
        """One draw for each row."""
        ...


class Real:
    """A mixture of Gaussians on the line."""

    def __init__(self, components: int) -> None:
        self.components, self.family = components, FAMILIES["gaussian"]

    def start(self) -> Float[Tensor, " numbers"]:
        """Mean 0 and variance 1."""
        return starting_numbers(self.components, self.family)

    def log_prob(self, raw: Float[Tensor, "n numbers"], x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-density, nats."""
        return Mixture.from_raw(raw).log_prob(x, self.family)

    def sample(self, raw: Float[Tensor, "n numbers"]) -> Float[Tensor, " n"]:
        """One draw for each row."""
        return Mixture.from_raw(raw).sample(self.family)


class Circle:
    """A mixture of wrapped normals: densities of angles in [-pi, pi), which close in a circle.

    Reference: Mardia & Jupp (2000), "Directional Statistics", section 3.5.7.
    """

    def __init__(self, components: int) -> None:
        self.components = components

    def start(self) -> Float[Tensor, " numbers"]:
        """Components that divide the circle among them."""
        means = (2 * torch.arange(self.components) + 1) / self.components * math.pi - math.pi
        log_scales = torch.full_like(means, math.log(2 * math.pi / (1 + self.components)))
        return torch.cat([torch.zeros_like(means), means, log_scales])

    def log_prob(self, raw: Float[Tensor, "n numbers"], x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-density by angle, nats."""
        log_weights, means, log_scales = self._parameters(raw)
        turns = 2 * math.pi * torch.arange(-_WRAPS, _WRAPS + 1, dtype=x.dtype, device=x.device)
        away = _wrapped(x[:, None] - means)[..., None] + turns
        standard = away * (-log_scales).exp()[..., None]
        log_each = (-0.5 * standard.square()).logsumexp(-1) - log_scales - 0.5 * math.log(2 * math.pi)
        return (log_weights + log_each).logsumexp(-1)

    def sample(self, raw: Float[Tensor, "n numbers"]) -> Float[Tensor, " n"]:
        """One draw for each row, in [-pi, pi)."""
        log_weights, means, log_scales = self._parameters(raw)
        index = draw_component(log_weights)[:, None]
        mean, log_scale = (values.gather(1, index).squeeze(1) for values in (means, log_scales))
        return _wrapped(mean + log_scale.exp() * torch.randn_like(mean))

    def _parameters(self, raw: Float[Tensor, "n numbers"]) -> tuple[Tensor, Tensor, Tensor]:
        log_weights, means, log_scales = Mixture.from_raw(raw)
        return log_weights, means, _LARGEST_LOG_SCALE - softplus(_LARGEST_LOG_SCALE - log_scales)


class Grid:
    """A mixture of logistics rounded to whole multiples of a step: masses of whole numbers.

    Reference: Salimans et al. (2017), "PixelCNN++", section 2.1, without its finite range.
    """

    def __init__(self, components: int, step: float) -> None:
        self.components, self.step = components, step

    def start(self) -> Float[Tensor, " numbers"]:
        """Mean 0 and variance about 1."""
        return starting_numbers(self.components, FAMILIES["logistic"])

    def log_prob(self, raw: Float[Tensor, "n numbers"], x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-mass of the multiple nearest to each number, nats."""
        mixture = Mixture.from_raw(raw)
        nearest = ((x / self.step).round() * self.step)[:, None] - mixture.means
        rate, half = (-mixture.log_scales).exp(), self.step / 2
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference of near numbers.
        log_mass = logsigmoid((nearest + half) * rate) + logsigmoid((half - nearest) * rate)
        return (mixture.log_weights + log_mass + (-torch.expm1(-self.step * rate)).log()).logsumexp(-1)

    def sample(self, raw: Float[Tensor, "n numbers"]) -> Float[Tensor, " n"]:
        """One draw for each row."""
        mixture = Mixture.from_raw(raw)
        index = draw_component(mixture.log_weights)[:, None]
        mean, log_scale = (values.gather(1, index).squeeze(1) for values in (mixture.means, mixture.log_scales))
        return ((mean + log_scale.exp() * draw_logistic_like(mean)) / self.step).round() * self.step


class Category:
    """A mass for each code, by its logit."""

    def __init__(self, size: int) -> None:
        self.size = size

    def start(self) -> Float[Tensor, " numbers"]:
        """All codes alike."""
        return torch.zeros(self.size)

    def log_prob(self, raw: Float[Tensor, "n numbers"], x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Log-mass of the nearest code, nats."""
        code = x.detach().round().clamp(0, self.size - 1).long()
        return raw.log_softmax(-1).gather(1, code[:, None]).squeeze(1)

    def sample(self, raw: Float[Tensor, "n numbers"]) -> Float[Tensor, " n"]:
        """One draw for each row."""
        return draw_component(raw.log_softmax(-1)).to(raw)


def conditional_of(entry: Entry, components: int) -> Conditional:
    """What an entry of a layout is, given those before it."""
    if entry.kind == "category":
        return Category(entry.size)
    if entry.kind == "grid":
        return Grid(components, entry.step)
    return Circle(components) if entry.kind == "circle" else Real(components)


def _wrapped(angle: Tensor) -> Tensor:
    """The angle in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
