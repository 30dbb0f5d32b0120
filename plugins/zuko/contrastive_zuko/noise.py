"""A zuko distribution as a noise: standardised, of any event shape, and right in every direction."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from zuko.flows import Flow, UnconditionalTransform
from zuko.lazy import LazyComposedTransform, LazyDistribution
from zuko.transforms import SoftclipTransform

from contrastive import Noise
from contrastive.errors import ContrastiveError
from contrastive.noises.conditional import require_contexts
from contrastive.numerics.torch_defaults import validation
from contrastive.numerics.whitening import Whitening
from contrastive_zuko.inverse import ExactlyInverted

_LEAST_SCALE = 1e-6


class ZukoNoise(Noise):
    """A zuko distribution as a noise; one without a map to a latent space adapts by the score function.

    It must see data once, by `initialize(x)`: each number is standardised, or all are whitened, which log q counts.
    Events of any shape are flattened.

    With a context the methods take `given`, a row for each event; contexts are standardised likewise, and whitened
    events are what contexts do not explain linearly.

    Args:
        event_shape: shape of one data point, d numbers.
        distribution: lazy distribution over `(d,)`, which takes a context of `(k,)` if `context_shape` is that.
        name: for messages.
        whiten: whiten by the covariance of the data, in the order of the numbers: for nearly collinear ones.
        context_shape: `(k,)` for a density q(x | y), `()` for q(x).
    """

    loc: Tensor
    log_scale: Tensor
    initialized: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        distribution: LazyDistribution,
        name: str = "noise",
        *,
        whiten: bool = False,
        context_shape: tuple[int, ...] = (),
    ) -> None:
        super().__init__(event_shape)
        self.name = name
        self.context_shape, self.k = torch.Size(context_shape), sum(context_shape)
        numbers = self.k + self.event_shape.numel()
        self.whitening = Whitening(numbers, self.k) if whiten else None
        self.lazy = distribution
        self.register_buffer("loc", torch.zeros(numbers))
        self.register_buffer("log_scale", torch.zeros(numbers))
        self.register_buffer("initialized", torch.tensor(False))
        self._is_initialized = False  # the buffer's value, without a device synchronisation per call
        self.train()

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run."""
        return self._is_initialized

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n *event"], *, given: Float[Tensor, "n k"] | None = None) -> None:
        """Take mean and standard deviation of each number from `x`: splines bend in a box around 0."""
        flat = self._joined(x.reshape(len(x), -1), given)
        if self.whitening is not None:
            self.whitening.fit(flat)
            flat = self.whitening(flat)
        self.loc.copy_(flat.mean(0))
        self.log_scale.copy_(flat.std(0, correction=0).clamp_min(_LEAST_SCALE).log())
        self.initialized.fill_(True)
        self._is_initialized = True

    @validation(False)
    def log_prob(
        self, value: Float[Tensor, "*shape"], *, given: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, for `value` of shape `(*batch, *event_shape)`."""
        batch = value.shape[: value.ndim - len(self.event_shape)]
        z, context = self._standardized(value.reshape(-1, *self.event_shape), given)
        return (self._log_prob(z, context) + self._log_det()).reshape(batch)

    @torch.no_grad()
    @validation(False)
    def sample(
        self, sample_shape: torch.Size = torch.Size(), *, given: Float[Tensor, "n k"] | None = None
    ) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`; of q(x | y) one for each row of `given`."""
        context = self._standardized_context(given)
        shape = torch.Size(sample_shape) if context is None else torch.Size([len(context)])
        z = self._distribution(context).sample(torch.Size([shape.numel()]) if context is None else torch.Size())
        return self._restored(z, context).reshape(*shape, *self.event_shape)

    def train(self, mode: bool = True) -> "ZukoNoise":
        """As every module; zuko's part stays in training mode.

        In eval mode zuko 1.6.0 leaves parameters of some flows out of the graph (UNAF, CNF); nothing else differs.
        """
        super().train(mode)
        self.lazy.train()
        return self

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return f"{self.name}, event_shape={tuple(self.event_shape)}"

    def _distribution(self, context: Tensor | None = None) -> Any:
        if not self._is_initialized:
            raise ContrastiveError(f"this {self.name} has seen no data: call initialize(x) with a batch first")
        return self.lazy() if context is None else self.lazy(context)

    def _log_prob(self, z: Float[Tensor, "n d"], context: Tensor | None) -> Float[Tensor, " n"]:
        return self._distribution(context).log_prob(z)

    def _joined(self, flat: Float[Tensor, "n d"], y: Float[Tensor, "n k"] | None) -> Float[Tensor, "n numbers"]:
        """All numbers of a row, what is given first."""
        require_contexts(y, len(flat), self.context_shape, self.name)
        return flat if y is None else torch.cat([y.to(flat), flat], 1)

    def _standardized(
        self, x: Float[Tensor, "n *event"], y: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"] | None]:
        """x and its context in the flow's own coordinates."""
        flat = self._joined(x.flatten(1), y)
        flat = flat if self.whitening is None else self.whitening(flat)
        z = (flat - self.loc) * (-self.log_scale).exp()
        return (z[:, self.k :], z[:, : self.k]) if self.k else (z, None)

    def _standardized_context(self, y: Float[Tensor, "n k"] | None) -> Float[Tensor, "n k"] | None:
        """A context in the flow's own coordinates, in which it does not depend on x: whitening keeps the order."""
        if y is None and not self.k:
            return None
        empty = self.loc.new_zeros(0 if y is None else len(y), *self.event_shape)
        return self._standardized(empty, y)[1]

    def _restored(self, z: Float[Tensor, "n d"], context: Float[Tensor, "n k"] | None) -> Float[Tensor, "n *event"]:
        flat = (z if context is None else torch.cat([context, z], 1)) * self.log_scale.exp() + self.loc
        flat = flat if self.whitening is None else self.whitening.inverse(flat)
        return flat[:, self.k :].reshape(-1, *self.event_shape)

    def _log_det(self) -> Float[Tensor, ""]:
        """log |det| of the map from x to the flow's own coordinates."""
        log_det = -self.log_scale[self.k :].sum()
        return log_det if self.whitening is None else log_det + self.whitening.log_det.to(log_det)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self._is_initialized = bool(self.initialized)


class ZukoFlow(ZukoNoise):
    """A zuko flow as a noise that adapts along the paths of its draws: x = loc + scale g(z).

    Maps that zuko inverts by bisection are inverted to the last digit, and the soft clips between NAF's and SOSPF's
    transforms are taken out: they keep values within the bisection's box, but make the flow a map onto a part
    of R^d, so that its density integrates to less than one.

    Args:
        event_shape: shape of one data point, d numbers.
        flow: zuko flow over `(d,)`, of your own making too. It is edited, as said above.
        name: for messages.
        whiten: as in `ZukoNoise`.
        context_shape: as in `ZukoNoise`.

    Example:
        >>> from zuko.flows import NSF
        >>> noise = ZukoFlow((2, 2), NSF(4, transforms=1, hidden_features=(16,)))
        >>> noise.initialize(5 + torch.randn(100, 2, 2))
        >>> x, log_q = noise.rsample_and_log_prob(torch.Size([3]))
        >>> x.shape, bool(torch.allclose(noise.log_prob(x), log_q, atol=1e-4))
        (torch.Size([3, 2, 2]), True)
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        flow: Flow,
        name: str = "flow",
        *,
        whiten: bool = False,
        context_shape: tuple[int, ...] = (),
    ) -> None:
        for module in list(flow.modules()):
            if hasattr(module, "univariate") and not isinstance(module, ExactlyInverted):
                module.univariate = ExactlyInverted(module.univariate)
        if isinstance(flow.transform, LazyComposedTransform):
            flow.transform = LazyComposedTransform(*[t for t in flow.transform.transforms if not _is_softclip(t)])
        super().__init__(event_shape, flow, name, whiten=whiten, context_shape=context_shape)

    @validation(False)
    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size(), *, given: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """Draws x and log q(x), in one pass, both in the graph; of q(x | y) one for each row of `given`."""
        context = self._standardized_context(given)
        shape = torch.Size(sample_shape) if context is None else torch.Size([len(context)])
        count = torch.Size([shape.numel()]) if context is None else torch.Size()
        z, log_q = self._distribution(context).rsample_and_log_prob(count)
        x = self._restored(z, context).reshape(*shape, *self.event_shape)
        return x, (log_q + self._log_det()).reshape(shape)

    @validation(False)
    def to_latent(
        self, x: Float[Tensor, "n *event"], *, given: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """z = g^-1(x) and log |det dz/dx|."""
        standard, context = self._standardized(x, given)
        z, log_det = self._distribution(context).transform.call_and_ladj(standard)
        return z.reshape(x.shape), log_det + self._log_det()

    @validation(False)
    def from_latent(
        self, z: Float[Tensor, "n *event"], *, given: Float[Tensor, "n k"] | None = None
    ) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """x = g(z) and log |det dx/dz|."""
        context = self._standardized_context(given)
        x, log_det = self._distribution(context).transform.inv.call_and_ladj(z.flatten(1))
        return self._restored(x, context), log_det - self._log_det()

    def _log_prob(self, z: Float[Tensor, "n d"], context: Tensor | None) -> Float[Tensor, " n"]:
        q = self._distribution(context)
        latent, log_det = q.transform.call_and_ladj(z)
        # A latent that overflows has no density, but its slope may be inf too, and -inf + inf is no number.
        return torch.where(latent.isinf().any(-1), -torch.inf, q.base.log_prob(latent) + log_det)


def _is_softclip(transform: nn.Module) -> bool:
    return isinstance(transform, UnconditionalTransform) and transform.f is SoftclipTransform
