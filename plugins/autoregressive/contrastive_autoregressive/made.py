"""MADE with mixture conditionals: a density of vectors, entry by entry."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from zuko.nn import MaskedMLP

from contrastive import Noise
from contrastive.errors import ContrastiveError
from contrastive.noises.conditional import require_contexts
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
        context_shape: `(k,)` for a density q(x | y): contexts y are entries before the first, never drawn. The methods
            then take them as `given`, a row for each row of x; whitened, x is what y does not explain linearly.

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
        context_shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__(event_shape)
        if len(event_shape) != 1 or event_shape[0] < 1:
            raise ContrastiveError(f"made needs vectors, got event shape {tuple(event_shape)}; flatten the events")
        require_positive("made", width=width, hidden_layers=hidden_layers, components=components)
        self.family, nonlinearity = find_family(conditionals), find_activation(activation)
        start = starting_numbers(components, self.family)
        self.context_shape, self.k = torch.Size(context_shape), sum(context_shape)
        # An entry that has nothing before it has no network: zuko 1.6.0 refuses one without inputs.
        self.first = None if self.k else nn.Parameter(start.clone())
        self.numbers = len(start)
        entries = self.k + event_shape[0]
        self.later = _network(entries, max(self.k, 1), start, [width] * hidden_layers, nonlinearity)
        self.whitening = Whitening(entries, self.k) if whiten else None

    @classmethod
    def conditional(cls, event_shape: tuple[int, ...], context_shape: tuple[int, ...], **options: Any) -> "MADE":
        """q(x | y), with the options of q(x)."""
        return cls(event_shape, context_shape=context_shape, **options)

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

    def initialize(self, x: Float[Tensor, "n d"], *, given: Float[Tensor, "n k"] | None = None) -> None:
        """Take the covariance by which x is whitened; nothing where it is not."""
        if self.whitening is not None:
            self.whitening.fit(self._joined(x, given))

    def log_prob(
        self, value: Float[Tensor, "*shape"], *, given: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, for `value` of shape `(*batch, d)`."""
        w = self._whitened(self._joined(value.reshape(-1, *self.event_shape), given))
        log_q = self._conditionals(w).log_prob(w[:, self.k :], self.family).sum(-1)
        if self.whitening is not None:
            log_q = log_q + self.whitening.log_det.to(log_q)
        return log_q.reshape(value.shape[:-1])

    @torch.no_grad()
    def sample(
        self, sample_shape: torch.Size = torch.Size(), *, given: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "*shape"]:
        """Draws of shape `(*sample_shape, d)`, in d - 1 passes; of q(x | y) in d, one for each row of `given`."""
        self._require_data()
        shape = torch.Size(sample_shape) if given is None else torch.Size([len(given)])
        like = next(self.parameters())
        # Of what is not drawn yet any number will do: no entry sees those after it.
        w = self._whitened(self._joined(like.new_zeros(shape.numel(), *self.event_shape), given))
        for i in range(self.k, w.shape[1]):
            raw = self.first.expand(len(w), -1) if self.first is not None and i == 0 else self._only(w, i)
            w[:, i] = Mixture.from_raw(raw).sample(self.family)
        x = w if self.whitening is None else self.whitening.inverse(w)
        return x[:, self.k :].reshape(*shape, *self.event_shape)

    def conditional_cdf(self, x: Float[Tensor, "n d"], *, given: Float[Tensor, "n k"] | None = None) -> Tensor:
        """u_i = F(x_i | x_<i), the distribution function of each conditional: independent uniforms if x ~ q."""
        w = self._whitened(self._joined(x, given))
        return self._conditionals(w).cdf(w[:, self.k :], self.family)

    def conditionals(self, x: Float[Tensor, "n d"]) -> Mixture:
        """The mixture of every entry given those before it, fields of shape `(n, d, K)`; of whitened entries, if so."""
        return self._conditionals(self._whitened(x))

    def _joined(self, x: Float[Tensor, "n d"], y: Float[Tensor, "n k"] | None) -> Float[Tensor, "n entries"]:
        """The entries in their order, what is given first."""
        require_contexts(y, len(x), self.context_shape, "made")
        return x if y is None else torch.cat([y.to(x), x], 1)

    def _conditionals(self, w: Float[Tensor, "n entries"]) -> Mixture:
        raw = [] if self.first is None else [self.first.expand(len(w), 1, -1)]
        raw += [self.later(_context(w)).unflatten(-1, (-1, self.numbers))] if self.later else []
        return Mixture.from_raw(torch.cat(raw, 1))

    def _whitened(self, w: Float[Tensor, "n entries"]) -> Float[Tensor, "n entries"]:
        self._require_data()
        return w if self.whitening is None else self.whitening(w)

    def _require_data(self) -> None:
        if not self.is_initialized:
            raise ContrastiveError("this made has seen no data: call initialize(x) with a batch first")

    def _only(self, w: Float[Tensor, "n entries"], i: int) -> Float[Tensor, "n numbers"]:
        """The numbers of entry i alone, which has others before it: of the last layer, by far the widest, its share."""
        *hidden, last = self.later
        h = _context(w)
        for layer in hidden:
            h = layer(h)
        at = i - max(self.k, 1)
        own = slice(at * self.numbers, (at + 1) * self.numbers)
        return torch.nn.functional.linear(h, last.mask[own] * last.weight[own], last.bias[own])


def _context(w: Float[Tensor, "n entries"]) -> Float[Tensor, "n later"]:
    """What the network sees: all entries but the last."""
    return w[:, :-1].clamp(-_FARTHEST_CONTEXT, _FARTHEST_CONTEXT)


def _network(entries: int, begin: int, start: Tensor, widths: list[int], activation: type[nn.Module]) -> Any:
    """The masked network of entries `begin` and on, each seeing all before it, near `start` at first."""
    if begin == entries:
        return nn.Sequential()
    sees = torch.ones(entries - 1, entries - 1, dtype=torch.bool).tril()[begin - 1 :]
    network = MaskedMLP(sees.repeat_interleave(len(start), 0), widths, activation)
    with torch.no_grad():
        network[-1].bias.add_(start.repeat(len(sees)))
    return network
