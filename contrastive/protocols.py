"""What the package asks of a noise and of an energy.

The signatures are those of `torch.distributions.Distribution`, so every torch distribution is a `NoiseModel` as it
stands. The required protocols are small; what else a model can do (be fitted, be initialised) is an optional protocol,
asked for with `isinstance`, and three plain facts are attributes with a default (`is_discrete`, `rounds_networks_only`,
`num_classes`). Nothing that is not declared here is asked of a model.

A class that derives from `contrastive.Noise` or `contrastive.Energy` inherits the defaults. One that derives from
neither gets the same ones from the functions below, the one place that reads an attribute that may be missing.

Any noise with trainable parameters can adapt: an `AdaptiveNoise` by pathwise gradients, every other one through
`log_prob` alone, by the score function.

Log-densities are in nats. `*event` is `event_shape`: `(d,)` for vectors.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution

from contrastive.errors import warn_renamed
from contrastive.numerics.layout import Layout
from contrastive.numerics.row_weights import as_weights, fit_weighted, resampled, weights_of


@runtime_checkable
class ShapedModel(Protocol):
    """A model that says the shape of one data point; every noise does."""

    @property
    def event_shape(self) -> torch.Size:
        """Shape of one data point: `(d,)` for vectors, `(C, H, W)` for images."""
        ...


@runtime_checkable
class NoiseModel(ShapedModel, Protocol):
    """A normalised density q(x) with samples and log-densities."""

    def sample(self, sample_shape: torch.Size = ...) -> Tensor:
        """Samples of shape `sample_shape + event_shape`, without a graph."""
        ...

    def log_prob(self, value: Tensor) -> Tensor:
        """log q(value) in nats, shape `(batch,)` for `value` of shape `(batch, *event_shape)`."""
        ...


@runtime_checkable
class AdaptiveNoise(NoiseModel, Protocol):
    """A reparameterised noise: its samples are differentiable in its parameters."""

    def rsample_and_log_prob(self, sample_shape: torch.Size = ...) -> tuple[Tensor, Tensor]:
        """Samples x = g(z) and log q(x), both in the graph, in one pass through g.

        The gradient is pathwise: x depends on the parameters, and so does log q both directly and through x.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that gradient steps update."""
        ...


@runtime_checkable
class FittableNoise(Protocol):
    """A noise with a maximum-likelihood fit of its own (closed form, or EM): no gradient steps needed.

    One whose `fit` also takes `sample_weight`, shape `(n,)`, is given the weights of the rows; every other one is
    fitted to as many rows, drawn by weight.
    """

    is_fitted: bool

    def fit(self, x: Tensor) -> None:
        """Fit to data of shape `(n, *event_shape)` and set `is_fitted`."""
        ...


@runtime_checkable
class ConditionalNoise(ShapedModel, Protocol):
    """A normalised density q(x | y) for every context y; `contrastive.JointNoise` makes a noise over rows (x, y) of it.

    `event_shape` is that of x, and contexts are vectors of `context_shape`. The log-density of a row depends on the
    context of that row alone. As of a `NoiseModel`, more is optional: `fit(x, given=y)` with `is_fitted`,
    `initialize(x, given=y)` with `is_initialized`, and `rsample_and_log_prob(given=y)`.
    """

    @property
    def context_shape(self) -> torch.Size:
        """Shape of one context: `(k,)`."""
        ...

    def sample(self, *, given: Tensor) -> Tensor:
        """One sample for each context, shape `(batch, *event)` for `given` of shape `(batch, k)`, without a graph."""
        ...

    def log_prob(self, value: Tensor, *, given: Tensor) -> Tensor:
        """log q(value | given) in nats, shape `(batch,)`; `value` has a row for each context."""
        ...


@runtime_checkable
class NoiseOverRows(NoiseModel, Protocol):
    """A noise over joint rows (x, y), y in the last `num_given` columns, with log q(x | y) for its log-density.

    The measure is Lebesgue's for x times the law of the contexts: with respect to it that is the density of rows whose
    y are drawn from that law.
    """

    num_given: int

    def sample_given(self, y: Tensor) -> Tensor:
        """One row (x, y) for each context, x drawn from q(. | y); shape `(batch, d + k)`."""
        ...


@runtime_checkable
class ComposedNoise(Protocol):
    """A noise made of others, each of which is fitted in its own way."""

    parts: list[NoiseModel]


@runtime_checkable
class InitializableNoise(Protocol):
    """A noise that must see a data batch before its first use, such as a flow with ActNorm layers."""

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run; `sample` and `log_prob` raise before."""
        ...

    def initialize(self, x: Tensor) -> None:
        """Set data-dependent parameters from a batch of shape `(n, *event_shape)`."""
        ...


@runtime_checkable
class InvertibleNoise(Protocol):
    """A noise with an explicit map to a latent space: for latent samplers, and the kit's check of its Jacobian."""

    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z = g^-1(x) and log |det dz/dx|, shapes `(batch, *event)` and `(batch,)`."""
        ...

    def from_latent(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x = g(z) and log |det dx/dz|, shapes `(batch, *event)` and `(batch,)`."""
        ...


@runtime_checkable
class AutoregressiveNoise(NoiseModel, Protocol):
    """A noise with explicit conditionals, so that the conformance kit can check each against the samples."""

    def conditional_cdf(self, x: Tensor) -> Tensor:
        """u_i = P(X_i <= x_i given x_1 to x_(i-1)), shape `(batch, d)` for `x` of shape `(batch, *event)`."""
        ...


@runtime_checkable
class MixedNoise(NoiseModel, Protocol):
    """A noise over entries of different kinds, with respect to the base measure that its layout tells."""

    layout: Layout

    def complete(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of shape `(n, d)` with the entries that are not `known` drawn one by one, and the log q of the drawn.

        Each is drawn given the entries before it, so this is a proposal for a draw given all known entries.
        """
        ...


@runtime_checkable
class NoiseAwareEnergy(Protocol):
    """An energy that contains the noise's log-density, such as `tilted`.

    `Estimator.update_base_noise` hands it the noise: when the estimator is made, and once the noise is fitted.
    """

    def start_from(self, noise: NoiseModel) -> None:
        """Take from the present `noise` what the energy needs; an energy that has been trained stays as it is."""
        ...

    def restart_from(self, noise: NoiseModel) -> None:
        """Reset the energy to the present `noise`, trained or not."""
        ...


@runtime_checkable
class FollowingEnergy(Protocol):
    """An energy f(x) = log q0(x) + h(x) whose q0 may be the present noise itself: log q cancels in the log-ratio."""

    def follows(self, noise: NoiseModel) -> bool:
        """Whether q0 is `noise` itself, not a copy."""
        ...

    def log_base(self, x: Tensor) -> Tensor:
        """log q0(x), shape `(batch,)`."""
        ...

    def tilt(self, x: Tensor) -> Tensor:
        """h(x), shape `(batch,)`, or `(batch, K)` for K classes."""
        ...


@runtime_checkable
class BridgedEnergy(Protocol):
    """An energy that is log q plus a sum of log-ratios, each learned separately (`bridges`)."""

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
class KnownPartition(EnergyModel, Protocol):
    """An energy whose log Z has a closed form, which the conformance kit checks by quadrature."""

    def log_partition(self) -> Tensor | float:
        """log Z for the present parameters, nats."""
        ...


@runtime_checkable
class DistributionBacked(Protocol):
    """A noise given by a `torch.distributions.Distribution`, outside whose support the samplers put no point."""

    def distribution(self) -> Distribution:
        """The distribution with the noise's present parameters."""
        ...


@runtime_checkable
class TemperedNoise(Protocol):
    """A noise that can be sampled at a temperature, for pictures: below 1 these are no samples of q."""

    def sample_at_temperature(self, sample_shape: torch.Size, temperature: float) -> Tensor:
        """Samples of shape `sample_shape + event_shape`; at 1 they are samples of q."""
        ...


@runtime_checkable
class JointlySampled(Protocol):
    """A noise that has log q of its samples as they are made, where that is cheaper than `log_prob` afterwards."""

    def sample_and_log_prob(self, sample_shape: torch.Size = ...) -> tuple[Tensor, Tensor]:
        """Samples of shape `sample_shape + event_shape`, without a graph, and their log q in nats."""
        ...


@runtime_checkable
class ScoredDraws(Protocol):
    """Deprecated: `JointlySampled`."""

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """`n` samples and their log q."""
        ...


def sample_and_log_prob(noise: NoiseModel, n: int) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
    """`n` samples and their log q in nats, in one pass where the noise can; reparameterised for an `AdaptiveNoise`."""
    if isinstance(noise, AdaptiveNoise):
        return noise.rsample_and_log_prob(torch.Size([n]))
    if isinstance(noise, JointlySampled):
        return noise.sample_and_log_prob(torch.Size([n]))
    if isinstance(noise, ScoredDraws):
        warn_renamed(f"{type(noise).__name__}.draw(n)", "sample_and_log_prob(sample_shape)")
        return noise.draw(n)
    x = noise.sample(torch.Size([n]))
    return x, noise.log_prob(x)


def num_given(noise: object) -> int:
    """How many of a row's last columns a noise conditions on (default: none)."""
    return noise.num_given if isinstance(noise, NoiseOverRows) else 0


def learns_by_gradient(noise: object) -> bool:
    """Whether a noise, or a part of it, is fitted by gradient steps on the likelihood, for want of a fit of its own."""
    if isinstance(noise, ComposedNoise):
        return any(learns_by_gradient(part) for part in noise.parts)
    return not isinstance(noise, FittableNoise) and bool(trainable_parameters(noise))


def is_ready(noise: object) -> bool:
    """Whether a noise has seen the data, or needs none."""
    fitted = not isinstance(noise, FittableNoise) or noise.is_fitted
    return fitted and (not isinstance(noise, InitializableNoise) or noise.is_initialized)


def prepare_noise(
    noise: object, x: Tensor, *, first: Tensor | None = None, sample_weight: Tensor | None = None
) -> None:
    """Fit or initialise a noise that needs data before its first use.

    Args:
        noise: one that needs none is left alone, as is one that is fitted or initialised.
        x: data to fit to, shape `(n, *event_shape)`.
        first: a batch to initialise on (default: `x`).
        sample_weight: of the rows of `x`; `first` is the first of these then, and a noise without weights gets rows
            drawn by weight.
    """
    weights = None if sample_weight is None else as_weights(sample_weight, len(x)).to(x.device)
    if isinstance(noise, FittableNoise) and not noise.is_fitted:
        fit_weighted(noise.fit, x, weights)
    if isinstance(noise, InitializableNoise) and not noise.is_initialized:
        first = x if first is None else first
        noise.initialize(resampled(first, weights_of(weights, slice(len(first)))))


def draw(noise: NoiseModel, n: int) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
    """Deprecated: `sample_and_log_prob`."""
    warn_renamed("contrastive.protocols.draw", "sample_and_log_prob")
    return sample_and_log_prob(noise, n)


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
    """Whether events, or some of their entries, are discrete, by a model's attribute `is_discrete` (default: False)."""
    return bool(getattr(model, "is_discrete", False))


def rounds_networks_only(model: object) -> bool:
    """Whether autocast rounds a model's networks alone, by its attribute `rounds_networks_only` (default: False)."""
    return bool(getattr(model, "rounds_networks_only", False))


def num_classes(energy: object) -> int | None:
    """K of an energy, by its attribute `num_classes` (default: None, one density)."""
    classes: int | None = getattr(energy, "num_classes", None)
    return classes


def feature_layers(energy: object) -> list[str]:
    """Names of an energy's hidden layers, lowest first (default: none)."""
    return list(energy.feature_layers()) if isinstance(energy, LayeredEnergy) else []


def trainable_parameters(model: object) -> list[nn.Parameter]:
    """The parameters that gradient steps may update: none of a model that is frozen, or is no module."""
    parameters = getattr(model, "parameters", None)
    return [p for p in parameters() if p.requires_grad] if callable(parameters) else []
