"""What every flow made of layers shares: the memory of having seen data, both directions, one pass, temperature."""

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive import Noise
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.noises.conditional import require_contexts
from contrastive_glow.layers import Chain, ConditionedChain, Mapped

#: Nonlinearities of the networks inside a flow.
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Flow(Noise):
    """A flow as a noise that adapts: x = g(z), z standard normal of the same shape.

    A subclass passes its layers, in the order from data to latent, each with normflows' `forward` (latent to data)
    and `inverse` (data to latent), and log-determinants of shape `(batch,)`. The flow must see data once, by
    `initialize(x)`, before it samples or scores.

    With a context the methods take `given`, a row for each event, which every layer gets.

    Args:
        event_shape: shape of one draw.
        layers: invertible layers, from data to latent.
        context_shape: `(k,)` for a density q(x | y), `()` for q(x).
    """

    name: ClassVar[str] = "flow"
    rounds_networks_only = True
    initialized: Tensor

    def __init__(
        self, event_shape: tuple[int, ...], layers: Iterable[nn.Module], context_shape: tuple[int, ...] = ()
    ) -> None:
        super().__init__(event_shape)
        self.context_shape = torch.Size(context_shape)
        self.layers = ConditionedChain(layers) if context_shape else Chain(layers)
        self.register_buffer("initialized", torch.tensor(False))
        self._is_compiled = False
        self._is_initialized = False  # the buffer's value, without a device synchronisation per call

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run."""
        return self._is_initialized

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n *event"], *, given: Float[Tensor, "n k"] | None = None) -> None:
        """Set each ActNorm so that its output on `x` has mean 0 and standard deviation 1."""
        self.layers.initialize(x, *self._context(given, len(x)))
        self.initialized.fill_(True)
        self._is_initialized = True

    def to_latent(
        self, x: Float[Tensor, "n *event"], *, given: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """z = g^-1(x) and log |det dz/dx|."""
        self._require_initialized()
        context = self._context(given, len(x))
        return (_compiled_inverse() if self._is_compiled else _inverse)(self.layers, x, *context)

    def from_latent(
        self, z: Float[Tensor, "n *event"], *, given: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """x = g(z) and log |det dx/dz|."""
        self._require_initialized()
        context = self._context(given, len(z))
        return (_compiled_forward() if self._is_compiled else _forward)(self.layers, z, *context)

    def compile(self) -> None:
        """Run both directions through `torch.compile` from now on, and in copies made from now on."""
        self._is_compiled = True

    def log_prob(
        self, value: Float[Tensor, "*shape"], *, given: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, shape `batch` for `value` of shape `batch + event_shape`."""
        z, log_det = self.to_latent(value.reshape(-1, *self.event_shape), given=given)
        return (_standard_normal(z) + log_det).reshape(value.shape[: value.ndim - len(self.event_shape)])

    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size(), *, given: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """x = g(z) and log q(x) = log N(z) - log |det dx/dz|, in one pass, both in the graph.

        Of q(x | y) one for each row of `given`.
        """
        shape = torch.Size(sample_shape) if given is None else torch.Size([len(given)])
        z = self._draw_latent(shape)
        x, log_det = self.from_latent(z, given=given)
        log_q = _standard_normal(z) - log_det
        return x.reshape(*shape, *self.event_shape), log_q.reshape(shape)

    @torch.no_grad()
    def sample(
        self, sample_shape: torch.Size = torch.Size(), *, given: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`; of q(x | y) one for each row of `given`."""
        return self.rsample_and_log_prob(sample_shape, given=given)[0]

    @torch.no_grad()
    def sample_at_temperature(self, sample_shape: torch.Size, temperature: float) -> Float[Tensor, "*shape"]:
        """x = g(T z), for pictures: below 1 they are smoother and less varied (Kingma & Dhariwal 2018, section 6).

        These are draws of q at T = 1 alone; `log_prob` and the training know no temperature.

        Raises:
            ContrastiveError: if the temperature is negative or not finite.
        """
        if not 0 <= temperature < math.inf:
            raise ContrastiveError(f"the temperature must be finite and not negative, got {temperature}")
        x, _ = self.from_latent(temperature * self._draw_latent(sample_shape))
        return x.reshape(*sample_shape, *self.event_shape)

    def _draw_latent(self, sample_shape: torch.Size) -> Float[Tensor, "n *event"]:
        like = next(self.parameters())
        return torch.randn(math.prod(sample_shape), *self.event_shape, dtype=like.dtype, device=like.device)

    def _context(self, y: Tensor | None, rows: int) -> tuple[Tensor, ...]:
        """What the layers get beside their input."""
        require_contexts(y, rows, self.context_shape, self.name)
        return () if y is None else (y,)

    def _require_initialized(self) -> None:
        if not self._is_initialized:
            raise ContrastiveError(f"this {self.name} has seen no data: call initialize(x) with a batch first")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._is_initialized = bool(self.initialized)


# Functions of the layers, not methods bound to one flow: a deep copy of a compiled flow must run its own layers.
def _inverse(layers: Any, x: Tensor, *context: Tensor) -> Mapped:
    mapped: Mapped = layers.inverse(x, *context)
    return mapped


def _forward(layers: Any, z: Tensor, *context: Tensor) -> Mapped:
    mapped: Mapped = layers(z, *context)
    return mapped


@cache
def _compiled_inverse() -> Callable[..., Mapped]:
    return torch.compile(_inverse)


@cache
def _compiled_forward() -> Callable[..., Mapped]:
    return torch.compile(_forward)


def require_vector(name: str, event_shape: tuple[int, ...], least: int = 1) -> int:
    """The d of an event shape `(d,)`.

    Raises:
        ContrastiveError: if the event is not a vector of `least` or more entries.
    """
    if len(event_shape) != 1 or event_shape[0] < least:
        raise ContrastiveError(f"{name} needs vectors of {least} or more entries, got event shape {tuple(event_shape)}")
    return event_shape[0]


def require_positive(name: str, **sizes: int) -> None:
    """Refuse a depth, width or number of layers below 1.

    Raises:
        ContrastiveError: naming the sizes.
    """
    if min(sizes.values()) < 1:
        raise ContrastiveError(f"{name} needs {', '.join(sizes)} of at least 1 each")


def find_activation(name: str) -> type[nn.Module]:
    """The nonlinearity called `name`.

    Raises:
        ContrastiveError: if it is none of `ACTIVATIONS`.
    """
    if name not in ACTIVATIONS:
        raise ContrastiveError(f"unknown activation {name!r}; {did_you_mean(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


def _standard_normal(z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    z = z.flatten(1)
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
