"""An energy that is the noise's log-density plus a learned correction."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.built_on_noise import BuiltOnNoise
from contrastive.errors import ContrastiveError
from contrastive.numerics.random_state import seeded
from contrastive.numerics.whitening import Whitening
from contrastive.protocols import NoiseModel, feature_layers, is_discrete, is_ready, num_classes, rounds_networks_only
from contrastive.registry import make_energy

_DRAWS, _SEED = 10_000, 0  # of the noise, by which it is whitened


class Tilted(BuiltOnNoise):
    """f(x) = log q0(x) + h(x), or log q0(x) + B tanh(h(x)), with q0 a frozen copy of the noise; high = likely.

    h = a g(x), with g another energy and a learned factor a that starts at 0: p starts as the noise, and g learns only
    what the noise lacks (an exponential tilting of q0). Far from the data f falls as log q0 does. With a bound B the
    density ratio p / q0 stays within exp(-2B) and exp(2B) and |log Z| below B, so importance weights keep a variance.
    Take it with a noise that is near the data. A step costs one more pass through q0.

    While a = 0, q0 is updated from the noise: when the estimator is made, and when pre-training is over. In FCE the
    noise is trained further and q0 is not; `restart_from` (the setting `game.energy.restart_every`) copies the
    noise anew. q0 is part of the `state_dict`, and is not trained.

    With `follow` q0 is no copy but the noise itself; a starts at 1, and h is kept while the noise is trained. The
    log-ratio is then r(x) = h(x) - c - log nu, without a difference of numbers of thousands of nats, and costs no pass
    through q. In the noise's loss f is a fixed function: the parameters of log q0 are frozen in it.

    The default correction of vectors sees x whitened by the covariance of draws from q0: what tells data from noise
    along nearly collinear columns is as near to it as the rest.

    Args:
        event_shape: shape of one data point.
        correction: name of the energy g (default: mlp for vectors, conv with `detail=16` for images).
        follow: let q0 be the noise itself, not a copy (default: for images only).
        bound: B > 0 in nats; None leaves the correction unbounded.
        whiten: give the correction x whitened (default: for vectors, where no correction and no layout is named).
        **options: of the correction, such as `widths=(64, 64)`, or the `layout` of events with categories.

    Raises:
        ContrastiveError: if the bound is not positive, or the correction cannot be made or is tilted itself.

    Example:
        >>> from contrastive import ContrastiveEstimator, make_energy, make_noise
        >>> noise = make_noise("gaussian", event_shape=(2,), loc=0.0)
        >>> estimator = ContrastiveEstimator(make_energy("tilted", event_shape=(2,), bound=3.0), noise)
        >>> estimator.log_ratio(torch.randn(3, 2)).abs().max().item()
        0.0
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        correction: str | None = None,
        follow: bool | None = None,
        bound: float | None = None,
        whiten: bool | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if bound is not None and not bound > 0:
            raise ContrastiveError(f"the bound of a tilted energy must be positive, got {bound}")
        self.bound = bound
        self.follow = len(event_shape) == 3 if follow is None else follow
        name, own = (correction, {}) if correction is not None else default_correction(event_shape)
        self.correction = make_energy(name, event_shape=event_shape, **own | options)
        if isinstance(self.correction, Tilted):
            raise ContrastiveError("the correction of a tilted energy cannot be tilted itself; take another energy")
        self.num_classes = num_classes(self.correction)
        plain = len(event_shape) == 1 and correction is None and "layout" not in options
        whiten = plain if whiten is None else whiten
        if whiten and len(event_shape) != 1:
            raise ContrastiveError("whiten is for vectors")
        self.whitening = Whitening(event_shape[0]) if whiten else None
        # ReZero: Bachlechner et al. (2021). A correction that follows need not wait for a to leave 0.
        self.strength = nn.Parameter(torch.tensor(1.0 if self.follow else 0.0))

    def has_learned(self) -> bool:
        """Whether a is no longer 0."""
        return bool(self.strength != 0)

    def forget(self) -> None:
        """Set a to 0: the correction is 0, whatever it had learned."""
        self.strength.zero_()

    @property
    def rounds_networks_only(self) -> bool:
        """Whether f keeps its digits under autocast."""
        return super().rounds_networks_only and rounds_networks_only(self.correction)

    @property
    def is_discrete(self) -> bool:
        """Whether the correction is of events with discrete entries."""
        return is_discrete(self.correction)

    def feature_layers(self) -> list[str]:
        """The hidden layers of the correction, lowest first."""
        return [f"correction.{name}" for name in feature_layers(self.correction)]

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *classes"]:
        """f(x), shape `(batch,)`, or `(batch, K)` if the correction has K classes.

        Raises:
            ContrastiveError: before `start_from`.
        """
        log_q0 = self.log_base(x)
        return self.tilt(x) + (log_q0 if self.num_classes is None else log_q0[:, None])

    def tilt(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *classes"]:
        """h(x) = f(x) - log q0(x), within +-bound where there is one."""
        h = self.strength * self.correction(x if self.whitening is None else self.whitening(x))
        return h if self.bound is None else self.bound * h.tanh()

    def _take(self, noise: NoiseModel) -> None:
        super()._take(noise)
        if self.whitening is not None and is_ready(noise) and not (self.whitening.is_fitted and self.has_learned()):
            with seeded(_SEED, self.strength.device), torch.no_grad():
                self.whitening.fit(noise.sample(torch.Size([_DRAWS])))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if self.whitening is not None and f"{prefix}whitening.loc" not in state_dict:  # saved before there was one
            identity = Whitening(len(self.whitening.loc)).state_dict() | {"fitted": torch.tensor(True)}
            state_dict |= {f"{prefix}whitening.{name}": value for name, value in identity.items()}
        super()._load_from_state_dict(state_dict, prefix, *args)


def default_correction(event_shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    """Name and options of the energy that corrects a noise over such events."""
    return ("conv", {"detail": 16.0}) if len(event_shape) == 3 else ("mlp", {})
