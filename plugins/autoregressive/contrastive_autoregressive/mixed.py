"""MADE over events whose entries are numbers, whole numbers, categories and angles, some of them not always there."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from zuko.nn import MaskedMLP

from contrastive import Noise
from contrastive.errors import ContrastiveError
from contrastive.numerics.layout import EntryFeatures, has_discrete, on_support, parse_layout, present
from contrastive_autoregressive.conditionals import Conditional, conditional_of
from contrastive_autoregressive.options import find_activation, require_positive


class MixedMADE(Noise):
    """q(x) = prod_i q_i(x_i | x_<i), each q_i of the kind of its entry, its parameters functions of the entries before.

    | entry of the layout | conditional | base measure |
    |---|---|---|
    | `real` | mixture of Gaussians | Lebesgue |
    | `circle` | mixture of wrapped normals on [-pi, pi) | Lebesgue |
    | `category:K` | a mass for each code 0 to K - 1 | counting |
    | `grid:STEP` | mixture of logistics, rounded to whole multiples of STEP | counting |
    | `...?` | the same where the entry before it is 0, else a mass of 1 at 0 | the same, or a point mass |

    A column with missing values is two entries: a category that says whether the value is there, and the value. Thereby
    log q is that of the values that are there and of the pattern of gaps. `contrastive fit` makes the layout from the
    schema of a table that is taken as it is. Categories enter the network one-hot, angles as sine and cosine.

    One masked network gives all parameters in one pass, so a score costs one pass; a draw costs a pass an entry.
    Samples have no pathwise gradient, and discrete entries none at all.

    Args:
        event_shape: `(d,)`.
        layout: a word an entry (default: all `real`).
        width: hidden units of a layer.
        hidden_layers: how many hidden layers.
        components: of the mixtures.
        activation: silu, relu, gelu or tanh.

    Raises:
        ContrastiveError: if the event is not a vector, the layout does not fit it, or an option is out of range.

    References: Germain et al. (2015), "MADE: Masked autoencoder for distribution estimation"; mixed conditionals: Uria
    et al. (2016), "Neural autoregressive distribution estimation". The masked network is zuko's.

    Example:
        >>> import torch
        >>> noise = MixedMADE((3,), layout=["category:2", "real?", "circle"], width=16)
        >>> x, log_q = noise.sample_and_log_prob(torch.Size([5]))
        >>> x.shape, log_q.shape, bool((x[x[:, 0] == 1, 1] == 0).all())
        (torch.Size([5, 3]), torch.Size([5]), True)
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        layout: Sequence[str] | str | None = None,
        width: int = 128,
        hidden_layers: int = 2,
        components: int = 8,
        activation: str = "silu",
    ) -> None:
        super().__init__(event_shape)
        if len(event_shape) != 1 or event_shape[0] < 1:
            raise ContrastiveError(
                f"mixed-made needs vectors, got event shape {tuple(event_shape)}; flatten the events"
            )
        require_positive("mixed-made", width=width, hidden_layers=hidden_layers, components=components)
        nonlinearity = find_activation(activation)
        self.layout = parse_layout(layout, event_shape[0])
        self.conditionals: list[Conditional] = [conditional_of(entry, components) for entry in self.layout]
        starts = [conditional.start().to(torch.get_default_dtype()) for conditional in self.conditionals]
        self._sizes = [len(start) for start in starts]
        # The first entry has nothing before it, and zuko 1.6.0 refuses a network without inputs.
        self.first = nn.Parameter(starts[0].clone())
        self.features = EntryFeatures(self.layout[:-1])
        self.later = _network(self.features.widths, starts[1:], [width] * hidden_layers, nonlinearity)

    @property
    def is_discrete(self) -> bool:
        """Whether an entry is no real number that is always there: then no gradient in x is taken."""
        return has_discrete(self.layout)

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, with respect to the base measure; -inf where that has no points."""
        x = value.reshape(-1, *self.event_shape)
        log_q = torch.where(on_support(x, self.layout), self.entry_log_probs(x).sum(-1), -math.inf)
        return log_q.reshape(value.shape[:-1])

    def entry_log_probs(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """log q_i(x_i | x_<i) of every entry; 0 where an entry is not there."""
        log_q = [conditional.log_prob(raw, own) for conditional, raw, own in zip(self.conditionals, self._raw(x), x.T)]
        return torch.where(present(x, self.layout), torch.stack(log_q, 1), 0.0)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `(*sample_shape, d)`, in d passes."""
        return self.sample_and_log_prob(sample_shape)[0]

    @torch.no_grad()
    def sample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """Draws and their log q in nats, for the passes of the draws alone."""
        x, log_q = self.complete(self.first.new_zeros(math.prod(sample_shape), *self.event_shape))
        return x.reshape(*sample_shape, *self.event_shape), log_q.reshape(sample_shape)

    @torch.no_grad()
    def complete(
        self, x: Float[Tensor, "n d"], known: Bool[Tensor, "n d"] | None = None
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """Draw the entries that are not known, each given all that are before it, known or drawn.

        Args:
            x: rows.
            known: the entries that stay as they are (default: none).

        Returns:
            The rows, and sum log q_i(x_i | x_<i) over the entries that were drawn, nats: with all known entries after
            all drawn ones that is no draw given the known ones, but a proposal for it, whose density this is.
        """
        x, total = x.clone(), self.first.new_zeros(len(x))
        for i, (entry, conditional) in enumerate(zip(self.layout, self.conditionals)):
            kept = None if known is None else known[:, i]
            if kept is not None and bool(kept.all()):
                continue
            raw = self.first.expand(len(x), -1) if i == 0 else self._only(x, i)
            there = x[:, i - 1] == 0 if entry.optional else torch.ones_like(total, dtype=torch.bool)
            drawn = torch.where(there, conditional.sample(raw), 0.0)
            x[:, i] = drawn if kept is None else torch.where(kept, x[:, i], drawn)
            counts = there if kept is None else there & ~kept
            total = total + torch.where(counts, conditional.log_prob(raw, x[:, i]), 0.0)
        return x, total

    def _raw(self, x: Float[Tensor, "n d"]) -> list[Tensor]:
        """Raw numbers of every entry."""
        first = self.first.expand(len(x), -1)
        return [first, *(self.later(self.features(x[:, :-1])).split(self._sizes[1:], 1) if self.later else ())]

    def _only(self, x: Float[Tensor, "n d"], i: int) -> Float[Tensor, "n numbers"]:
        """The numbers of entry i > 0 alone: of the last layer, by far the widest, its share."""
        *hidden, last = self.later
        h = self.features(x[:, :-1])
        for layer in hidden:
            h = layer(h)
        start = sum(self._sizes[1:i])
        own = slice(start, start + self._sizes[i])
        return torch.nn.functional.linear(h, last.mask[own] * last.weight[own], last.bias[own])


def _network(widths: list[int], starts: list[Tensor], hidden: list[int], activation: type[nn.Module]) -> Any:
    """The masked network whose outputs for entry i + 1 see the features of entries 0 to i, beginning near `starts`."""
    if not starts:
        return nn.Sequential()
    ends = torch.tensor(list(itertools.accumulate(widths)))
    sees = torch.arange(sum(widths)) < ends[:, None]
    network = MaskedMLP(torch.cat([row.expand(len(start), -1) for row, start in zip(sees, starts)]), hidden, activation)
    with torch.no_grad():
        network[-1].bias.add_(torch.cat(starts))
    return network
