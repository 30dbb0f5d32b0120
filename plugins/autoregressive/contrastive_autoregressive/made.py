"""MADE with mixture conditionals: a density of vectors, entry by entry."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from zuko.nn import MaskedMLP

from contrastive import Noise
from contrastive.errors import ContrastiveError
from contrastive.numerics.whitening import Whitening
from contrastive_autoregressive.families import find_family
from contrastive_autoregressive.mixture import Mixture, starting_numbers
from contrastive_autoregressive.options import find_activation, require_positive

_FEW_ROWS, _MANY_ROWS = 500, 10_000
_FARTHEST_CONTEXT = 1e6  # beyond, the network would overflow; any function of x_<i leaves q normalised


class MADE(Noise):
    """q(x) = prod_i sum_k w_ik F(x_i; mu_ik, sigma_ik), the parameters of entry i functions of the entries before it.

    One masked network gives all of them in one pass, so a score costs one pass; a draw costs d - 1, since each entry
    waits for those before it. The draws have no pathwise gradient: in FCE the noise learns by the score function.
    For data of about unit size, which is what `contrastive fit` passes: a fresh model has mean 0 and variance 1.
    Log-scales stay within +-7, so that a far point has a finite log-density in float32.

    Args:
        event_shape: `(d,)`.
        width: hidden units of a layer.
        hidden_layers: how many hidden layers.
        components: K, components of each conditional.
        conditionals: "gaussian", or "logistic" with heavier tails.
        activation: silu, relu, gelu or tanh.
        whiten: model x whitened by the covariance of the data, in the order of the entries, which log q counts: for
            nearly collinear columns. Such a model must see data once, by `initialize(x)`.

    Raises:
        ContrastiveError: if the event is not a vector, or an option is out of range.

    References: Germain et al. (2015), "MADE: Masked autoencoder for distribution estimation"; mixture conditionals:
    Uria et al. (2013), "RNADE". The masked network is zuko's.

    Example:
        >>> import torch
        >>> made = MADE((3,), width=16)
        >>> x = made.sample(torch.Size([5]))
        >>> x.shape, made.log_prob(x).shape
        (torch.Size([5, 3]), torch.Size([5]))
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        width: int = 128,
        hidden_layers: int = 2,
        components: int = 8,
        conditionals: str = "gaussian",
        activation: str = "silu",
        whiten: bool = False,
    ) -> None:
        super().__init__(event_shape)
        if len(event_shape) != 1 or event_shape[0] < 1:
            raise ContrastiveError(f"made needs vectors, got event shape {tuple(event_shape)}; flatten the events")
        require_positive("made", width=width, hidden_layers=hidden_layers, components=components)
        self.family, nonlinearity = find_family(conditionals), find_activation(activation)
        start = starting_numbers(components, self.family)
        # The first entry has nothing before it, and zuko 1.6.0 refuses a network without inputs.
        self.first = nn.Parameter(start.clone())
        self.later = _network(event_shape[0] - 1, start, [width] * hidden_layers, nonlinearity)
        self.whitening = Whitening(event_shape[0]) if whiten else None

    @staticmethod
    def candidates(rows: int, event_shape: tuple[int, ...]) -> list[dict[str, Any]]:
        """Where gradient steps have rows enough: as the columns are and whitened, and a wider network for many rows."""
        if rows < _FEW_ROWS or len(event_shape) != 1:
            return []
        small = {"components": 16, "width": 128}
        wider = [{**small, "width": 256, "whiten": True}] if rows >= _MANY_ROWS else []
        return [small, {**small, "whiten": True}, *wider]

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run, where it must."""
        return self.whitening is None or self.whitening.is_fitted

    def initialize(self, x: Float[Tensor, "n d"]) -> None:
        """Take the covariance by which x is whitened; nothing where it is not."""
        if self.whitening is not None:
            self.whitening.fit(x)

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, for `value` of shape `(*batch, d)`."""
        w = self._whitened(value.reshape(-1, *self.event_shape))
        log_q = self._conditionals(w).log_prob(w, self.family).sum(-1)
        if self.whitening is not None:
            log_q = log_q + self.whitening.log_det.to(log_q)
        return log_q.reshape(value.shape[:-1])

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `(*sample_shape, d)`, in d - 1 passes."""
        self._require_data()
        x = self.first.new_zeros(math.prod(sample_shape), *self.event_shape)
        for i in range(x.shape[1]):
            raw = self.first.expand(len(x), -1) if i == 0 else self._only(x, i)
            x[:, i] = Mixture.from_raw(raw).sample(self.family)
        x = x if self.whitening is None else self.whitening.inverse(x)
        return x.reshape(*sample_shape, *self.event_shape)

    def conditional_cdf(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """u_i = F(x_i | x_<i), the distribution function of each conditional: independent uniforms if x ~ q."""
        w = self._whitened(x)
        return self._conditionals(w).cdf(w, self.family)

    def conditionals(self, x: Float[Tensor, "n d"]) -> Mixture:
        """The mixture of every entry given those before it, fields of shape `(n, d, K)`; of whitened entries, if so."""
        return self._conditionals(self._whitened(x))

    def _conditionals(self, w: Float[Tensor, "n d"]) -> Mixture:
        first = self.first.expand(len(w), 1, -1)
        return Mixture.from_raw(torch.cat([first, self._later(w)], 1) if self.later else first)

    def _whitened(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        self._require_data()
        return x if self.whitening is None else self.whitening(x)

    def _require_data(self) -> None:
        if not self.is_initialized:
            raise ContrastiveError("this made has seen no data: call initialize(x) with a batch first")

    def _only(self, x: Float[Tensor, "n d"], i: int) -> Float[Tensor, "n numbers"]:
        """The numbers of entry i > 0 alone: of the last layer, by far the widest, its share."""
        *hidden, last = self.later
        h = _context(x)
        for layer in hidden:
            h = layer(h)
        own = slice((i - 1) * len(self.first), i * len(self.first))
        return torch.nn.functional.linear(h, last.mask[own] * last.weight[own], last.bias[own])

    def _later(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n later numbers"]:
        return self.later(_context(x)).unflatten(-1, (x.shape[1] - 1, len(self.first)))


def _context(x: Float[Tensor, "n d"]) -> Float[Tensor, "n later"]:
    """What the network sees: all entries but the last."""
    return x[:, :-1].clamp(-_FARTHEST_CONTEXT, _FARTHEST_CONTEXT)


def _network(entries: int, start: Tensor, widths: list[int], activation: type[nn.Module]) -> Any:
    """The masked network whose output i sees inputs 0 to i, beginning near `start`; empty without entries."""
    if not entries:
        return nn.Sequential()
    sees = torch.ones(entries, entries, dtype=torch.bool).tril()
    network = MaskedMLP(sees.repeat_interleave(len(start), 0), widths, activation)
    with torch.no_grad():
        network[-1].bias.add_(start.repeat(entries))
    return network
