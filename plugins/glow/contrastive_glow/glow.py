"""Glow for vectors, as a noise that adapts."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive_glow.layers import ActNorm, AffineCoupling, Linear

ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class Glow(nn.Module):
    """A Glow of one level with fully connected couplings (Gao et al. 2020, table 7; Kingma & Dhariwal 2018).

    Each of `depth` steps is, from data to latent, ActNorm, an invertible linear map and an affine coupling. The flow
    must see data once, by `initialize(x)`, before it samples or scores.

    Args:
        event_shape: `(d,)` with d >= 2.
        depth: number of steps K.
        width: hidden units of each coupling network.
        hidden_layers: hidden layers of each coupling network.
        bound: largest absolute log-scale of a coupling.
        activation: one of `ACTIVATIONS`.

    Raises:
        ContrastiveError: if the event is not a vector of two or more entries, or an option is out of range.

    Example:
        >>> glow = Glow((2,), depth=2, width=8)
        >>> glow.initialize(torch.randn(100, 2))
        >>> x, log_q = glow.rsample_and_log_prob(torch.Size([5]))
        >>> x.shape, log_q.shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    initialized: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        depth: int = 10,
        width: int = 128,
        hidden_layers: int = 2,
        bound: float = 2.0,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if len(event_shape) != 1 or event_shape[0] < 2:
            raise ContrastiveError(f"glow needs vectors of 2 or more entries, got event shape {tuple(event_shape)}")
        if min(depth, width, hidden_layers) < 1 or not 0 < bound < math.inf:
            raise ContrastiveError("glow needs depth, width and hidden_layers of at least 1, and a positive bound")
        if activation not in ACTIVATIONS:
            raise ContrastiveError(f"unknown activation {activation!r}; {did_you_mean(activation, ACTIVATIONS)}")
        self.event_shape = torch.Size(event_shape)
        dim = event_shape[0]
        # In the order from data to latent.
        self.layers = nn.ModuleList()
        for _ in range(depth):
            coupling = AffineCoupling(dim, width, hidden_layers, bound, ACTIVATIONS[activation])
            self.layers.extend([ActNorm(dim), Linear(dim), coupling])
        self.register_buffer("initialized", torch.tensor(False))
        self._is_initialized = False  # the buffer's value, without a device synchronisation per call

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run."""
        return self._is_initialized

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n d"]) -> None:
        """Set each ActNorm so that its output on `x` has mean 0 and standard deviation 1."""
        for layer in self._steps():
            if isinstance(layer, ActNorm):
                layer.initialize(x)
            x, _ = layer.inverse(x)
        self.initialized.fill_(True)
        self._is_initialized = True

    def to_latent(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """z = g^-1(x) and log |det dz/dx|."""
        self._require_initialized()
        log_det = x.new_zeros(len(x))
        for layer in self._steps():
            x, change = layer.inverse(x)
            log_det = log_det + change
        return x, log_det

    def from_latent(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
        """x = g(z) and log |det dx/dz|."""
        self._require_initialized()
        log_det = z.new_zeros(len(z))
        for layer in reversed(self._steps()):
            z, change = layer(z)
            log_det = log_det + change
        return z, log_det

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, for `value` of shape `(*batch, d)`."""
        z, log_det = self.to_latent(value.reshape(-1, *self.event_shape))
        return (_standard_normal(z) + log_det).reshape(value.shape[:-1])

    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """x = g(z) and log q(x) = log N(z) - log |det dx/dz|, in one pass, both in the graph."""
        like = next(self.parameters())
        z = torch.randn(math.prod(sample_shape), *self.event_shape, dtype=like.dtype, device=like.device)
        x, log_det = self.from_latent(z)
        log_q = _standard_normal(z) - log_det
        return x.reshape(*sample_shape, *self.event_shape), log_q.reshape(sample_shape)

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `(*sample_shape, d)`."""
        return self.rsample_and_log_prob(sample_shape)[0]

    def _steps(self) -> list[Any]:
        return list(self.layers)

    def _require_initialized(self) -> None:
        if not self._is_initialized:
            raise ContrastiveError("this glow has seen no data: call initialize(x) with a batch first")

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._is_initialized = bool(self.initialized)


def _standard_normal(z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))
