"""A stack of noises: a mixture whose components are other noises."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.config.parsing import refuse_taken
from contrastive.errors import ContrastiveError
from contrastive.noises.base import Noise
from contrastive.noises.conditional import make_noise_over
from contrastive.numerics.row_weights import weighted_mean
from contrastive.protocols import NoiseModel, is_discrete, is_ready, prepare_noise, rounds_networks_only


class Stack(Noise):
    """q(x) = sum_k w_k q_k(x) over noises q_k of any kind: stacked density estimation.

    Where no family has the right shape a mixture of several is ahead of each: what one misses another covers. The
    weights are options, not parameters: `noise auto` finds them by held-out likelihood (`stacking_weights`).

    Args:
        event_shape: shape of one data point.
        parts: each noise as a dictionary of its name and options, `{"name": "kde", "covariance": "diagonal"}`.
        weights: w_k, positive, scaled to sum to 1 (default: equal).
        num_given: how many of a row's last columns are given, for a stack of conditional noises over joint rows.

    Raises:
        ContrastiveError: without parts, for a part that cannot be made or is discrete, or weights that do not fit.

    Reference: Smyth & Wolpert (1999), "Linearly combining density estimators via stacking".

    Example:
        >>> noise = Stack((2,), parts=[{"name": "gaussian"}, {"name": "kde"}], weights=[0.4, 0.6])
        >>> noise.fit(torch.randn(100, 2))
        >>> noise.log_prob(noise.sample(torch.Size([5]))).shape
        torch.Size([5])
    """

    log_weights: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        parts: Sequence[Mapping[str, Any]],
        weights: Sequence[float] | None = None,
        num_given: int = 0,
    ) -> None:
        super().__init__(event_shape)
        self.num_given = num_given
        if not parts or not all(isinstance(part, Mapping) and "name" in part for part in parts):
            raise ContrastiveError("parts of a stack are noises by name, such as [{name: gaussian}, {name: kde}]")
        weights = [1.0] * len(parts) if weights is None else list(weights)
        if len(weights) != len(parts) or not all(0 < weight < math.inf for weight in weights):
            raise ContrastiveError(f"a stack of {len(parts)} parts takes as many positive weights, got {weights}")
        self.parts = [_made(part, tuple(event_shape), num_given) for part in parts]
        for index, part in enumerate(self.parts):
            if isinstance(part, nn.Module):
                self.add_module(f"part{index}", part)
        w = torch.tensor(weights, dtype=torch.float64)
        self.register_buffer("log_weights", (w / w.sum()).log().to(torch.get_default_dtype()))

    @property
    def is_fitted(self) -> bool:
        """Whether every part has seen the data, or needs none."""
        return all(is_ready(part) for part in self.parts)

    def fit(self, x: Float[Tensor, "n *event"], sample_weight: Any = None) -> None:
        """Fit each part that has a fit of its own, and initialise the others; none twice. See `prepare_noise`."""
        for part in self.parts:
            prepare_noise(part, x, sample_weight=sample_weight)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`."""
        x = self._drawn(math.prod(sample_shape), lambda part, rows: part.sample(torch.Size([len(rows)])))
        return x.reshape(*sample_shape, *self.event_shape)

    @torch.no_grad()
    def sample_given(self, y: Float[Tensor, "n k"]) -> Float[Tensor, "n row"]:
        """A row (x, y) for each context, of a stack over joint rows."""
        return self._drawn(len(y), lambda part, rows: part.sample_given(y[rows]))

    def _drawn(self, n: int, draw: Callable[[Any, Tensor], Tensor]) -> Float[Tensor, "n *event"]:
        """`n` rows, each by a part that is picked with its weight: `draw(part, rows)` gives those of one."""
        picked = torch.multinomial(self.log_weights.exp(), n, replacement=True) if n else self.log_weights.new_empty(0)
        x = self.log_weights.new_empty(n, *self.event_shape)
        for index, part in enumerate(self.parts):
            rows = (picked == index).nonzero().squeeze(-1)
            if len(rows):
                x[rows] = draw(part, rows).to(x)
        return x

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats."""
        of_parts = torch.stack([part.log_prob(value) for part in self.parts], -1)
        return (of_parts + self.log_weights).logsumexp(-1)

    @property
    def rounds_networks_only(self) -> bool:
        """Whether that holds for every part."""
        return all(rounds_networks_only(part) for part in self.parts)

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return f"event_shape={tuple(self.event_shape)}, weights={self.log_weights.exp().tolist()}"


def _made(part: Mapping[str, Any], event_shape: tuple[int, ...], given: int) -> NoiseModel:
    options = {name: value for name, value in part.items() if name != "name"}
    for name in options:
        refuse_taken(f"noise.{name}")  # who writes the parts, maybe of somebody else's run, cannot allow an import
    noise = make_noise_over(str(part["name"]), event_shape=event_shape, num_given=given, **options)
    if is_discrete(noise):
        raise ContrastiveError(f"the noise {part['name']!r} is discrete: it has no density to stack")
    return noise


def stacking_weights(
    log_q: Float[Tensor, "n k"], sample_weight: Float[Tensor, " n"] | None = None, *, iterations: int = 300
) -> Float[Tensor, " k"]:
    """Weights of a stack with the largest likelihood at rows that its parts were not fitted to.

    The likelihood is concave in the weights; EM climbs it.

    Args:
        log_q: log-density of each part at each row, nats.
        sample_weight: of the rows.
        iterations: of EM.
    """
    log_q = log_q.double()
    weights = log_q.new_full((log_q.shape[1],), 1 / log_q.shape[1])
    for _ in range(iterations):
        weights = weighted_mean((log_q + weights.log()).softmax(1), sample_weight)
    return weights
