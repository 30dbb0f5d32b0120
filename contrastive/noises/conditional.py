"""Noises q(x | y) over joint rows (x, y), so that a conditional density is learned as every other density.

With the law of the training contexts as the measure of y, log q(x | y) is the log-density of a row whose y is drawn
from that law. The log-ratio of the estimator, its losses, and the search for the noise are then those of rows.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.errors import ContrastiveError
from contrastive.noises.base import Noise, spaced_rows
from contrastive.numerics.row_weights import as_weights, resampled, takes_weights
from contrastive.protocols import (
    AdaptiveNoise,
    ConditionalNoise,
    FittableNoise,
    InitializableNoise,
    NoiseModel,
    rounds_networks_only,
)
from contrastive.registry import make_noise, noises

F = TypeVar("F", bound=Callable[..., Any])

_MOST_CONTEXTS = 50_000


def conditions(factory: F) -> F:
    """Decorator of a noise's factory that takes `context_shape` itself: it makes its conditional counterpart, too.

    Example:
        >>> @conditions
        ... def make(event_shape, *, context_shape=(), width=64): ...
        >>> make.conditional is make
        True
    """
    factory.conditional = factory  # type: ignore[attr-defined]
    return factory


class JointNoise(Noise):
    """q(x | y) with y drawn from the contexts of the data: a noise over rows (x, y), y last.

    `log_prob` of a row is log q(x | y): the log-density with respect to Lebesgue measure for x times the law of the
    contexts. That law is not modelled; what it is cancels from every conditional density.

    Args:
        conditional: q(x | y), over vectors x and contexts y.
        contexts: rows y to draw from, shape `(n, k)`; those of the first data that it sees, if None.

    Raises:
        ContrastiveError: if events or contexts are no vectors.

    Example:
        >>> from contrastive import make_noise
        >>> noise = joint_noise(make_noise("gaussian", event_shape=(2,), context_shape=(1,)))
        >>> rows = torch.randn(100, 3)
        >>> noise.fit(rows)
        >>> noise.log_prob(rows).shape, noise.sample(torch.Size([5])).shape
        (torch.Size([100]), torch.Size([5, 3]))
    """

    contexts: Tensor
    seen: Tensor

    def __init__(self, conditional: ConditionalNoise, contexts: Float[Tensor, "n k"] | None = None) -> None:
        (d,), (k,) = _vector("events", conditional.event_shape), _vector("contexts", conditional.context_shape)
        super().__init__((d + k,))
        self.conditional, self.num_given = conditional, k
        self.register_buffer("contexts", torch.zeros(1, k))
        self.register_buffer("seen", torch.tensor(False))
        if contexts is not None:
            self._see(contexts)

    @property
    def is_initialized(self) -> bool:
        """Whether it has contexts to draw from, and q has seen the data it needs."""
        inner = self.conditional
        return bool(self.seen) and (not isinstance(inner, InitializableNoise) or inner.is_initialized)

    def initialize(self, x: Float[Tensor, "n row"]) -> None:
        """Take the contexts of rows, at most 50,000, and show the rows to q if it wants to see data."""
        if not bool(self.seen):
            self._see(self._split(x)[1])
        if isinstance(self.conditional, InitializableNoise) and not self.conditional.is_initialized:
            inner: Any = self.conditional
            z, y = self._split(x)
            inner.initialize(z, given=y)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape row"]:
        """Rows of shape `(*sample_shape, d + k)`, their contexts drawn at random."""
        y = self._drawn_contexts(torch.Size(sample_shape).numel())
        return self.sample_given(y).reshape(*sample_shape, *self.event_shape)

    @torch.no_grad()
    def sample_given(self, y: Float[Tensor, "n k"]) -> Float[Tensor, "n row"]:
        """A row (x, y) for each context."""
        x = self.conditional.sample(given=y)
        return torch.cat([x, y.to(x)], 1)

    def log_prob(self, value: Float[Tensor, "*batch row"]) -> Float[Tensor, "*batch"]:
        """log q(x | y) of rows, nats."""
        x, y = self._split(value.reshape(-1, *self.event_shape))
        return self.conditional.log_prob(x, given=y).reshape(value.shape[:-1])

    @property
    def rounds_networks_only(self) -> bool:
        """Whether that holds for q."""
        return rounds_networks_only(self.conditional)

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return f"event_shape={tuple(self.event_shape)}, num_given={self.num_given}"

    def _drawn_contexts(self, n: int) -> Float[Tensor, "n k"]:
        if not bool(self.seen):
            raise ContrastiveError("this noise has no contexts to draw rows with: fit it, or give contexts")
        return self.contexts[torch.randint(len(self.contexts), (n,), device=self.contexts.device)]

    def _see(self, y: Float[Tensor, "n k"]) -> None:
        self.contexts = spaced_rows(y, _MOST_CONTEXTS).detach().to(self.contexts)
        self.seen.fill_(True)

    def _split(self, rows: Float[Tensor, "n row"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
        return rows[:, : -self.num_given], rows[:, -self.num_given :]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}contexts")
        if saved is not None and saved.ndim == 2 and saved.shape[1] == self.num_given:  # as many as were seen
            self.contexts = self.contexts.new_zeros(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)


class _Fitted(JointNoise):
    """One whose q has a fit of its own."""

    @property
    def is_fitted(self) -> bool:
        """Whether q is fitted."""
        inner: Any = self.conditional
        return bool(inner.is_fitted)

    def fit(self, x: Float[Tensor, "n row"], sample_weight: Any = None) -> None:
        """Fit q to rows (x, y), and take their contexts, by weight."""
        inner: Any = self.conditional
        weights = None if sample_weight is None else as_weights(sample_weight, len(x)).to(x.device)
        drawn = resampled(x, weights)
        if weights is None or not takes_weights(inner.fit):
            inner.fit(self._split(drawn)[0], given=self._split(drawn)[1])
        else:
            kept = weights > 0
            z, y = self._split(x[kept])
            inner.fit(z, given=y, sample_weight=weights[kept])
        self._see(self._split(drawn)[1])


class _Reparametrized(JointNoise):
    """One whose draws of x are differentiable in q's parameters."""

    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape row"], Float[Tensor, "*batch"]]:
        """Rows and log q(x | y), both in the graph, in one pass."""
        inner: Any = self.conditional
        y = self._drawn_contexts(torch.Size(sample_shape).numel())
        x, log_q = inner.rsample_and_log_prob(given=y)
        return torch.cat([x, y.to(x)], 1).reshape(*sample_shape, *self.event_shape), log_q.reshape(sample_shape)


class _FittedReparametrized(_Fitted, _Reparametrized):
    """Both."""


def joint_noise(conditional: ConditionalNoise, contexts: Float[Tensor, "n k"] | None = None) -> JointNoise:
    """The `JointNoise` of q(x | y) that can all that q can: be fitted, be initialised, be sampled along paths.

    Args:
        conditional: q(x | y).
        contexts: as of `JointNoise`.

    Raises:
        ContrastiveError: if it is no `ConditionalNoise` over vectors.
    """
    if not isinstance(conditional, ConditionalNoise):
        raise ContrastiveError(
            f"{type(conditional).__name__} is no conditional noise: it needs event_shape, context_shape, "
            "sample(given=y) and log_prob(x, given=y)"
        )
    fits, reparametrized = isinstance(conditional, FittableNoise), isinstance(conditional, AdaptiveNoise)
    kinds = {(False, False): JointNoise, (True, False): _Fitted, (False, True): _Reparametrized}
    return kinds.get((fits, reparametrized), _FittedReparametrized)(conditional, contexts)


def make_noise_over(
    name: str, *, event_shape: tuple[int, ...], num_given: int = 0, allow_import: bool = False, **options: Any
) -> NoiseModel:
    """The noise `name` over events, or over joint rows whose last columns are given.

    Args:
        name: of a registered noise.
        event_shape: of an event, or of a row with what is given.
        num_given: how many of a row's columns are given; 0 for a noise over whole events.
        allow_import: as of `make_noise`.
        **options: of the noise.

    Raises:
        ContrastiveError: as `make_noise`, or if the noise cannot condition.
    """
    if not num_given:
        noise: NoiseModel = make_noise(name, event_shape=event_shape, allow_import=allow_import, **options)
        return noise
    if "num_given" in inspect.signature(noises.load(name)).parameters:  # made of noises over such rows itself
        return partial(noises.load(name), num_given=num_given)(event_shape, **options)
    d = event_shape[0] - num_given
    return joint_noise(make_noise(name, event_shape=(d,), context_shape=(num_given,), **options))


def require_contexts(given: Tensor | None, rows: int, context_shape: tuple[int, ...], name: str = "noise") -> None:
    """Refuse contexts that are not one of `context_shape` for each of `rows` events, rather than broadcast them.

    Of an empty `context_shape` there must be none.

    Raises:
        ContrastiveError: naming both shapes.

    Example:
        >>> require_contexts(torch.zeros(5, 2), 5, (2,))
    """
    expected = (rows, *context_shape) if context_shape else None
    got = None if given is None else tuple(given.shape)
    if got == expected:
        return
    if expected is None:
        raise ContrastiveError(f"this {name} conditions on nothing: leave out given")
    raise ContrastiveError(
        f"this {name} takes contexts of shape {expected} as given, a row for each event; got {got or 'none'}"
    )


@contextmanager
def contexts_fixed(model: nn.Module, y: Float[Tensor, "n k"]) -> Iterator[None]:
    """Let every noise over rows in `model` draw its contexts from `y` alone.

    With a single y the noise is q(. | y), and whatever is computed of an estimator with it is of p(. | y): samples, log
    Z, distances.

    Args:
        model: a noise, or an estimator.
        y: contexts in model coordinates.

    Raises:
        ContrastiveError: if nothing in it conditions, or on another number of columns.
    """
    joint = [part for part in model.modules() if isinstance(part, JointNoise)]
    if not joint or any(part.num_given != y.shape[-1] for part in joint):
        counts = sorted({part.num_given for part in joint}) or [0]
        raise ContrastiveError(f"the model conditions on {counts[0]} columns, got contexts of {y.shape[-1]}")
    before = [(part.contexts, part.seen.clone()) for part in joint]
    try:
        for part in joint:
            part._see(y)
        yield
    finally:
        for part, (contexts, seen) in zip(joint, before):
            part.contexts = contexts
            part.seen.copy_(seen)


def _vector(what: str, shape: torch.Size) -> tuple[int]:
    if len(shape) != 1 or shape[0] < 1:
        raise ContrastiveError(f"a conditional noise is over vectors, got {what} of shape {tuple(shape)}")
    return (shape[0],)
