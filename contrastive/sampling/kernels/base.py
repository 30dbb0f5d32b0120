"""What a transition is, and the Metropolis test that every one of them ends with.

The target is exp(log-density) restricted to where the log-density, and the gradient for a transition that uses it,
are finite: a proposal elsewhere is rejected, so no NaN ever enters a chain. Nothing here waits for the device.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

#: Unnormalised, nats, differentiable: `(chains, *event)` -> `(chains,)`.
LogDensity = Callable[[Tensor], Tensor]

#: Kinds of moves, as `State.acceptance` names them.
INDEPENDENCE, LOCAL, LATENT = "independence", "local", "latent"


class State(NamedTuple):
    """Where the chains are, and what their kernel would else compute again.

    Attributes:
        position: shape `(chains, *event)`.
        log_density: of the target at `position`, shape `(chains,)`, nats.
        acceptance: probability with which each kind of move was last accepted, shape `(chains,)`; empty at the start.
        memory: the kernel's own, one row a chain.
    """

    position: Float[Tensor, "chains *event"]
    log_density: Float[Tensor, " chains"]
    acceptance: dict[str, Tensor]
    memory: Any


class Kernel(Protocol):
    """A transition that leaves the target invariant, exactly: it ends with a Metropolis test."""

    def begin(self, z: Float[Tensor, "chains *event"], target: LogDensity, /) -> State:
        """The state of chains that stand at `z`."""
        ...

    def step(self, state: State, target: LogDensity, /) -> tuple[State, Bool[Tensor, " chains"]]:
        """One transition of every chain, and which of them moved."""
        ...


@runtime_checkable
class TunableKernel(Kernel, Protocol):
    """A kernel of local moves whose step size is to be chosen so that they are accepted at a wanted rate."""

    @property
    def kind(self) -> str:
        """Its moves' name in `State.acceptance`."""
        ...

    @property
    def step_size(self) -> float | Tensor:
        """epsilon, a number or a 0-d tensor."""
        ...

    @property
    def target_acceptance(self) -> float:
        """The mean acceptance at which the kernel is most efficient."""
        ...

    def with_step_size(self, step_size: float | Tensor, /) -> Self:
        """The same kernel with another step size."""
        ...


def metropolis(
    current: State, proposed: State, log_ratio: Float[Tensor, " chains"], kind: str
) -> tuple[State, Bool[Tensor, " chains"]]:
    """Accept each proposal with probability min(1, exp(log_ratio)); never one that is not finite."""
    valid = proposed.log_density.isfinite() & ~log_ratio.isnan()
    probability = torch.where(valid, log_ratio.clamp(max=0.0).exp(), 0.0)
    accepted = torch.rand_like(probability) < probability
    state = State(
        select(accepted, proposed.position, current.position),
        select(accepted, proposed.log_density, current.log_density),
        {kind: probability},
        select(accepted, proposed.memory, current.memory),
    )
    return state, accepted


def select(mask: Bool[Tensor, " chains"], yes: Tensor, no: Tensor) -> Tensor:
    """Rows of `yes` where `mask`, else of `no`."""
    return torch.where(mask.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def evaluate(target: LogDensity, z: Float[Tensor, "chains *event"]) -> Float[Tensor, " chains"]:
    """The log-density without a graph; -inf where `z` is not finite, which the model never sees."""
    finite = is_finite(z)
    with torch.no_grad():
        log_density = target(select(finite, z, torch.zeros_like(z)))
    return torch.where(finite, log_density, -torch.inf)


def evaluate_with_gradient(
    target: LogDensity, z: Float[Tensor, "chains *event"]
) -> tuple[Float[Tensor, " chains"], Float[Tensor, "chains *event"]]:
    """The log-density and its gradient; -inf and 0 where either, or `z`, is not finite."""
    usable = is_finite(z)
    with torch.enable_grad():
        point = select(usable, z, torch.zeros_like(z)).detach().requires_grad_()
        log_density = target(point)
        (gradient,) = torch.autograd.grad(log_density.sum(), point)
    log_density = log_density.detach()
    usable = usable & log_density.isfinite() & is_finite(gradient)
    return torch.where(usable, log_density, -torch.inf), select(usable, gradient, torch.zeros_like(gradient))


def is_finite(z: Float[Tensor, "chains *event"]) -> Bool[Tensor, " chains"]:
    """Whether every entry of a row is finite."""
    return z.isfinite().flatten(1).all(1)
