"""A fully connected energy."""

import math
from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.numerics.layout import EntryFeatures, has_discrete, parse_layout
from contrastive.numerics.precision import at_least_float32, full_precision

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


class MLP(Energy):
    """f(x) from a multilayer perceptron; high = likely.

    The paper's 2-D energy is `widths=(128, 128, 128), activation="leaky-relu"` (Gao et al. 2020, table 5). A smooth
    activation halves the error on smooth densities, hence the default.

    Args:
        event_shape: shape of one data point; it is flattened.
        widths: units of each hidden layer.
        activation: one of `ACTIVATIONS`.
        layout: what each entry of the event is (`contrastive.numerics.layout`): categories are seen one-hot, angles by
            sine and cosine (default: numbers all).
        num_classes: None for one density, f of shape `(batch,)`; K for K densities, f of shape `(batch, K)`.

    Raises:
        ContrastiveError: for an unknown activation, a width or a number of classes below 1.
    """

    rounds_networks_only = True

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        widths: Sequence[int] = (128, 128, 128),
        activation: str = "silu",
        num_classes: int | None = None,
        layout: Sequence[str] | str | None = None,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ContrastiveError(f"unknown activation {activation!r}; {did_you_mean(activation, ACTIVATIONS)}")
        widths = [widths] if isinstance(widths, int) else list(widths)
        if any(width < 1 for width in widths):
            raise ContrastiveError(f"energy widths must be positive, got {widths}")
        if num_classes is not None and num_classes < 1:
            raise ContrastiveError(f"num_classes must be at least 1, got {num_classes}")
        self.num_classes = num_classes
        size = math.prod(event_shape)
        self.layout = parse_layout(layout, size)
        layers: list[nn.Module] = [nn.Flatten()]
        if has_discrete(self.layout):
            features = EntryFeatures(self.layout)
            layers, size = [features], sum(features.widths)
        for width in widths:
            layers += [nn.Linear(size, width), ACTIVATIONS[activation]()]
            size = width
        self.layers = nn.Sequential(*layers, nn.Linear(size, num_classes or 1))

    @property
    def is_discrete(self) -> bool:
        """Whether the layout has entries that are no real numbers."""
        return has_discrete(self.layout)

    def feature_layers(self) -> list[str]:
        """The activation of each hidden layer, lowest first."""
        return [f"layers.{index}" for index in range(2, len(self.layers) - 1, 2)]

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *classes"]:
        """f(x), shape `(batch,)`, or `(batch, K)` with `num_classes=K`."""
        *hidden, last = self.layers
        for layer in hidden:
            x = layer(x)
        with full_precision(x):
            out = last(at_least_float32(x))
        return out.squeeze(-1) if self.num_classes is None else out
