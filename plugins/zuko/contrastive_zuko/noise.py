"""A zuko distribution as a noise: standardised, of any event shape, and right in every direction."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from zuko.flows import Flow, UnconditionalTransform
from zuko.lazy import LazyComposedTransform, LazyDistribution
from zuko.transforms import SoftclipTransform

from contrastive import Noise
from contrastive.errors import ContrastiveError
from contrastive.numerics.torch_defaults import validation
from contrastive.numerics.whitening import Whitening
from contrastive_zuko.inverse import ExactlyInverted

_LEAST_SCALE = 1e-6


class ZukoNoise(Noise):
    """A zuko distribution as a noise; one without a map to a latent space adapts by the score function.

    It must see data once, by `initialize(x)`: each number is standardised, or all are whitened, which log q counts.
    Events of any shape are flattened.

    Args:
        event_shape: shape of one data point, d numbers.
        distribution: lazy distribution over `(d,)`, unconditional.
        name: for messages.
        whiten: whiten by the covariance of the data, in the order of the numbers: for nearly collinear ones.
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
    ) -> None:
        super().__init__(event_shape)
        self.name = name
        self.whitening = Whitening(self.event_shape.numel()) if whiten else None
        self.lazy = distribution
        self.register_buffer("loc", torch.zeros(self.event_shape.numel()))
        self.register_buffer("log_scale", torch.zeros(self.event_shape.numel()))
        self.register_buffer("initialized", torch.tensor(False))
        self._is_initialized = False  # the buffer's value, without a device synchronisation per call
        self.train()

    @property
    def is_initialized(self) -> bool:
        """Whether `initialize` has run."""
        return self._is_initialized

    @torch.no_grad()
    def initialize(self, x: Float[Tensor, "n *event"]) -> None:
        """Take mean and standard deviation of each number from `x`: splines bend in a box around 0."""
        flat = x.reshape(len(x), -1)
        if self.whitening is not None:
            self.whitening.fit(flat)
            flat = self.whitening(flat)
        self.loc.copy_(flat.mean(0))
        self.log_scale.copy_(flat.std(0, correction=0).clamp_min(_LEAST_SCALE).log())
        self.initialized.fill_(True)
        self._is_initialized = True

    @validation(False)
    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, for `value` of shape `(*batch, *event_shape)`."""
        batch = value.shape[: value.ndim - len(self.event_shape)]
        z = self._standardized(value.reshape(-1, *self.event_shape))
        return (self._log_prob(z) + self._log_det()).reshape(batch)

    @torch.no_grad()
    @validation(False)
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `sample_shape + event_shape`."""
        z = self._distribution().sample(torch.Size([math.prod(sample_shape)]))
        return self._restored(z).reshape(*sample_shape, *self.event_shape)

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

    def _distribution(self) -> Any:
        if not self._is_initialized:
            raise ContrastiveError(f"this {self.name} has seen no data: call initialize(x) with a batch first")
        return self.lazy()

    def _log_prob(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self._distribution().log_prob(z)

    def _standardized(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d"]:
        flat = x.flatten(1)
        flat = flat if self.whitening is None else self.whitening(flat)
        return (flat - self.loc) * (-self.log_scale).exp()

    def _restored(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *event"]:
        flat = z * self.log_scale.exp() + self.loc
        flat = flat if self.whitening is None else self.whitening.inverse(flat)
        return flat.reshape(-1, *self.event_shape)

    def _log_det(self) -> Float[Tensor, ""]:
        """log |det| of the map from x to the flow's own coordinates."""
        log_det = -self.log_scale.sum()
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
        flow: zuko flow over `(d,)`, unconditional, of your own making too. It is edited, as said above.
        name: for messages.
        whiten: as in `ZukoNoise`.

    Example:
        >>> from zuko.flows import NSF
        >>> noise = ZukoFlow((2, 2), NSF(4, transforms=1, hidden_features=(16,)))
        >>> noise.initialize(5 + torch.randn(100, 2, 2))
        >>> x, log_q = noise.rsample_and_log_prob(torch.Size([3]))
        >>> x.shape, bool(torch.allclose(noise.log_prob(x), log_q, atol=1e-4))
        (torch.Size([3, 2, 2]), True)
    """

    def __init__(self, event_shape: tuple[int, ...], flow: Flow, name: str = "flow", *, whiten: bool = False) -> None:
        for module in list(flow.modules()):
            if hasattr(module, "univariate") and not isinstance(module, ExactlyInverted):
                module.univariate = ExactlyInverted(module.univariate)
        if isinstance(flow.transform, LazyComposedTransform):
            flow.transform = LazyComposedTransform(*[t for t in flow.transform.transforms if not _is_softclip(t)])
        super().__init__(event_shape, flow, name, whiten=whiten)

    @validation(False)
    def rsample_and_log_prob(
        self, sample_shape: torch.Size = torch.Size()
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*batch"]]:
        """Draws x and log q(x), in one pass, both in the graph."""
        z, log_q = self._distribution().rsample_and_log_prob(torch.Size([math.prod(sample_shape)]))
        x = self._restored(z).reshape(*sample_shape, *self.event_shape)
        return x, (log_q + self._log_det()).reshape(sample_shape)

    @validation(False)
    def to_latent(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """z = g^-1(x) and log |det dz/dx|."""
        z, log_det = self._distribution().transform.call_and_ladj(self._standardized(x))
        return z.reshape(x.shape), log_det + self._log_det()

    @validation(False)
    def from_latent(self, z: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
        """x = g(z) and log |det dx/dz|."""
        x, log_det = self._distribution().transform.inv.call_and_ladj(z.flatten(1))
        return self._restored(x), log_det - self._log_det()

    def _log_prob(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        q = self._distribution()
        latent, log_det = q.transform.call_and_ladj(z)
        # A latent that overflows has no density, but its slope may be inf too, and -inf + inf is no number.
        return torch.where(latent.isinf().any(-1), -torch.inf, q.base.log_prob(latent) + log_det)


def _is_softclip(transform: nn.Module) -> bool:
    return isinstance(transform, UnconditionalTransform) and transform.f is SoftclipTransform
