"""Glow for vectors, as a noise that adapts."""

from typing import ClassVar

from torch import nn

from contrastive_glow.coupling import Coupling
from contrastive_glow.elementwise import make_elementwise
from contrastive_glow.flow import Flow, find_activation, require_positive, require_vector
from contrastive_glow.layers import ActNorm, Linear
from contrastive_glow.networks import dense


class Glow(Flow):
    """A Glow of one level with fully connected couplings (Gao et al. 2020, table 7; Kingma & Dhariwal 2018).

    Each of `depth` steps is, from data to latent, ActNorm, an invertible linear map and a coupling. The flow must see
    data once, by `initialize(x)`, before it samples or scores.

    Args:
        event_shape: `(d,)` with d >= 2, or d >= 1 given a context.
        depth: number of steps K.
        width: hidden units of each coupling network.
        hidden_layers: hidden layers of each coupling network.
        coupling: "affine", as published, "spline" (rational-quadratic, Durkan et al. 2019) or "additive".
        bound: largest absolute log-scale of an affine coupling.
        bins: bins of a spline coupling.
        tail_bound: half the width of the box on which a spline coupling bends; outside it is the identity.
        activation: silu, relu, gelu or tanh.
        context_shape: `(k,)` for a density q(x | y), whose couplings see y; `()` for q(x).

    Raises:
        ContrastiveError: if the event is not a vector of two or more entries, or an option is out of range.

    Example:
        >>> import torch
        >>> glow = Glow((2,), depth=2, width=8)
        >>> glow.initialize(torch.randn(100, 2))
        >>> x, log_q = glow.rsample_and_log_prob(torch.Size([5]))
        >>> x.shape, log_q.shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    name: ClassVar[str] = "glow"

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        depth: int = 10,
        width: int = 128,
        hidden_layers: int = 2,
        coupling: str = "affine",
        bound: float = 2.0,
        bins: int = 8,
        tail_bound: float = 5.0,
        activation: str = "silu",
        context_shape: tuple[int, ...] = (),
    ) -> None:
        dim = require_vector(self.name, event_shape, least=1 if context_shape else 2)
        require_positive(self.name, depth=depth, width=width, hidden_layers=hidden_layers)
        elementwise = make_elementwise(coupling, bound=bound, bins=bins, tail_bound=tail_bound)
        nonlinearity = find_activation(activation)
        kept, context = dim // 2, sum(context_shape)
        numbers = elementwise.size * (dim - kept)
        layers: list[nn.Module] = []
        for _ in range(depth):
            # The network first: the order in which the random numbers of a seed are used up.
            network = dense(kept + context, numbers, width=width, hidden_layers=hidden_layers, activation=nonlinearity)
            layers += [ActNorm(dim), Linear(dim), Coupling(kept, elementwise, network)]
        super().__init__(event_shape, layers, context_shape)
