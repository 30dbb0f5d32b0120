"""What the estimator asks of a noise and of an energy.

The signatures are those of `torch.distributions.Distribution`, so every torch distribution is a `NoiseModel` as it
stands. The required protocols are small; what else a noise can do (be fitted, be initialised) is an optional
protocol that the training loop asks for with `isinstance`, and three plain facts are attributes with a default
(`is_discrete`, `rounds_networks_only`, `num_classes`). Nothing that is not declared here is asked of a model.

Any noise with trainable parameters can adapt: an `AdaptiveNoise` along the paths of its draws, every other one through
`log_prob` alone, by the score function.

Log-densities are in nats. `*event` is `event_shape`: `(d,)` for vectors.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution


@runtime_checkable
class NoiseModel(Protocol):
    """A normalised density q(x) that can be sampled and scored."""

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one draw."""
        ...

    def sample(self, sample_shape: torch.Size = ...) -> Tensor:
        """Draws of shape `sample_shape + event_shape`, without a graph."""
        ...

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) in nats, shape `(batch,)` for `value` of shape `(batch, *event_shape)`."""
        ...


@runtime_checkable
class AdaptiveNoise(NoiseModel, Protocol):
    """A noise that can learn along the paths of its draws: they are differentiable in its parameters."""

    def rsample_and_log_prob(self, sample_shape: torch.Size = ...) -> tuple[Tensor, Tensor]:
        """Draws x = g(z) and log q(x), both in the graph, in one pass through g.

        The gradient is pathwise: x depends on the parameters, and so does log q both directly and through x.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that the noise player updates."""
        ...


@runtime_checkable
class FittableNoise(Protocol):
    """A noise with a maximum-likelihood fit of its own (closed form, or EM): no gradient steps needed."""

    is_fitted: bool

    def fit(self, x: Tensor) -> None:
        """Fit to data of shape `(n, *event_shape)` and set `is_fitted`."""
        ...


@runtime_checkable
class InitializableNoise(Protocol):
    """A noise that must see a data batch before its first use, such as a flow with ActNorm layers."""

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run; the noise refuses to sample or score before."""
        ...

    def initialize(self, x: Tensor) -> None:
        """Set data-dependent parameters from a batch of shape `(n, *event_shape)`."""
        ...


@runtime_checkable
class InvertibleNoise(Protocol):
    """A noise that shows its map to the latent space, so that the conformance kit can check its Jacobian."""

    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z = g^-1(x) and log |det dz/dx|, shapes `(batch, *event)` and `(batch,)`."""
        ...

    def from_latent(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x = g(z) and log |det dx/dz|, shapes `(batch, *event)` and `(batch,)`."""
        ...


@runtime_checkable
class AutoregressiveNoise(NoiseModel, Protocol):
    """A noise that shows its conditionals, so that the conformance kit can check each against the draws."""

    def conditional_cdf(self, x: Tensor) -> Tensor:
        """u_i = P(X_i <= x_i given x_1 to x_(i-1)), shape `(batch, d)` for `x` of shape `(batch, *event)`."""
        ...


@runtime_checkable
class NoiseAwareEnergy(Protocol):
    """An energy that is built on the noise, such as `tilted`.

    The estimator hands it the noise when it is made; training again when the noise is fitted and the game begins.
    """

    def start_from(self, noise: NoiseModel) -> None:
        """Take from `noise`, as it now is, what the energy needs; an energy that has learned stays as it is."""
        ...

    def restart_from(self, noise: NoiseModel) -> None:
        """Begin again from `noise`, as it now is, learned or not."""
        ...


@runtime_checkable
class FollowingEnergy(Protocol):
    """An energy f(x) = log q(x) + h(x) that may be built on the noise as it is at any moment: log q cancels in r."""

    def follows(self, noise: NoiseModel) -> bool:
        """Whether f is built on `noise` itself."""
        ...

    def tilt(self, x: Tensor) -> Tensor:
        """h(x), shape `(batch,)`, or `(batch, K)` for K classes."""
        ...


@runtime_checkable
class BridgedEnergy(Protocol):
    """An energy that is log q plus a sum of log-ratios, each learned for itself (`bridges`)."""

    bridge_log_normalizers: nn.Parameter

    def log_ratios(self, x: Tensor) -> Tensor:
        """The log-ratio of each bridge at `x`, shape `(batch, K)`, its normaliser subtracted."""
        ...


@runtime_checkable
class LayeredEnergy(Protocol):
    """An energy that names its hidden layers, so that features can be asked for by a preset (`"top"`, `"dcgan"`)."""

    def feature_layers(self) -> list[str]:
        """Dotted names of the modules whose outputs are the hidden layers, activation included, lowest first."""
        ...


class EnergyModel(Protocol):
    """A module whose call gives f(x), the UNNORMALISED LOG-DENSITY: high = likely, as in p(x) = exp(f(x) - c).

    Much of the field writes E = -f. Wrap such a module with `contrastive.from_energy`.
    """

    def __call__(self, x: Float[Tensor, "batch *event"], /) -> Float[Tensor, "batch *classes"]:
        """f(x), shape `(batch,)`, or `(batch, K)` for K classes."""
        ...


@runtime_checkable
class DistributionBacked(Protocol):
    """A noise that is a `torch.distributions.Distribution`, whose support the samplers then respect."""

    def distribution(self) -> Distribution:
        """The distribution with the noise's present parameters."""
        ...


@runtime_checkable
class TemperedNoise(Protocol):
    """A noise that can draw at a temperature, for pictures: such samples are no draws of q."""

    def sample_at_temperature(self, sample_shape: torch.Size, temperature: float) -> Tensor:
        """Samples of shape `sample_shape + event_shape`; at 1 they are draws of q."""
        ...


@runtime_checkable
class ScoredDraws(Protocol):
    """A noise that knows log q of its draws as it makes them, without a path through them."""

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """`n` draws and their log q."""
        ...


def draw(noise: NoiseModel, n: int) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
    """`n` draws and their log q, in one pass where the noise can; in the graph of its parameters if it adapts."""
    if isinstance(noise, AdaptiveNoise):
        return noise.rsample_and_log_prob(torch.Size([n]))
    if isinstance(noise, ScoredDraws):
        return noise.draw(n)
    x = noise.sample(torch.Size([n]))
    return x, noise.log_prob(x)


def log_prob_of_point(noise: NoiseModel, x: Tensor) -> Tensor:
    """log q(x) as a function of x alone: the noise's parameters have no part in its graph."""
    parameters = trainable_parameters(noise)
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        return noise.log_prob(x)
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def is_discrete(model: object) -> bool:
    """Whether a noise or an energy says, by an attribute `is_discrete`, that its events are discrete; else no."""
    return bool(getattr(model, "is_discrete", False))


def rounds_networks_only(model: object) -> bool:
    """Whether a model says, by `rounds_networks_only`, that its log-density keeps its digits in autocast; else no."""
    return bool(getattr(model, "rounds_networks_only", False))


def num_classes(energy: object) -> int | None:
    """The classes of an energy, by an attribute `num_classes`; None without."""
    classes: int | None = getattr(energy, "num_classes", None)
    return classes


def trainable_parameters(model: object) -> list[nn.Parameter]:
    """The parameters that gradient steps may move; none for what is no module, or is frozen."""
    parameters = getattr(model, "parameters", None)
    return [p for p in parameters() if p.requires_grad] if callable(parameters) else []
