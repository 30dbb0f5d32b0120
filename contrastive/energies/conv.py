"""A convolutional energy for images."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.energies.mlp import ACTIVATIONS
from contrastive.energies.normalized import spectral_norm, weight_norm
from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.numerics.precision import at_least_float32, full_precision

_KERNEL = 4


class Convolutional(Energy):
    """f(x) from strided convolutions, for images of shape `(C, H, W)`; high = likely.

    Each hidden layer is a 4 x 4 convolution that halves height and width; the last convolution spans what is left. The
    defaults are the paper's for 32 x 32 (Gao et al. 2020, table 5, right column).

    Args:
        event_shape: `(C, H, W)`; height and width must be divisible by 2 for each hidden layer.
        widths: channels of each hidden layer.
        activation: one of `ACTIVATIONS`; "leaky-relu" has slope 0.2.
        normalization: "spectral" bounds each layer's norm by 1, so that f is Lipschitz; "weight" learns each filter's
            norm apart from its direction; "none".
        num_classes: None for one density, f of shape `(batch,)`; K for K densities, f of shape `(batch, K)`.
        detail: gain g of further input channels, tanh(g (x - m)) with m the mean of the 3 x 3 pixels around; 0 has
            none. Without them texture of a few pixel values is too faint for the filters, and in FCE nothing constrains
            the noise there; with g = 16 to 32 it is as salient as an edge.

    Raises:
        ContrastiveError: for events that are no images, or too small ones, an unknown activation or normalisation, or
            a gain that is negative or infinite.
    """

    rounds_networks_only = True

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        widths: Sequence[int] = (64, 128, 256),
        activation: str = "leaky-relu",
        normalization: Literal["none", "spectral", "weight"] = "none",
        num_classes: int | None = None,
        detail: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ContrastiveError(f"unknown activation {activation!r}; {did_you_mean(activation, ACTIVATIONS)}")
        if normalization not in ("none", "spectral", "weight"):
            raise ContrastiveError(f"normalization must be none, spectral or weight, got {normalization!r}")
        widths = [widths] if isinstance(widths, int) else list(widths)
        if any(width < 1 for width in widths) or (num_classes is not None and num_classes < 1):
            raise ContrastiveError(f"widths and classes must be positive, got {widths} and {num_classes}")
        if len(event_shape) != 3:
            raise ContrastiveError(f"the energy 'conv' is for images (C, H, W), not for events {tuple(event_shape)}")
        channels, height, width = event_shape
        step = 2 ** len(widths)
        if height % step or width % step:
            raise ContrastiveError(
                f"{len(widths)} layers halve {height} x {width} images {len(widths)} times, which they cannot; take "
                "fewer --energy.widths"
            )
        if not 0 <= detail < math.inf:
            raise ContrastiveError(f"the gain of the detail must be finite and at least 0, got {detail}")
        self.num_classes, self.detail = num_classes, detail
        channels *= 2 if detail else 1
        layers: list[nn.Module] = []
        for out in widths:
            layers += [_wrapped(nn.Conv2d(channels, out, _KERNEL, 2, 1), normalization), ACTIVATIONS[activation]()]
            channels = out
        last = nn.Conv2d(channels, num_classes or 1, (height // step, width // step))
        self.layers = nn.Sequential(*layers, _wrapped(last, normalization), nn.Flatten())

    def feature_layers(self) -> list[str]:
        """The activation of each hidden layer, lowest first."""
        return [f"layers.{index}" for index in range(1, len(self.layers) - 2, 2)]

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch *classes"]:
        """f(x), shape `(batch,)`, or `(batch, K)` with `num_classes=K`."""
        *hidden, last, flatten = self.layers
        if self.detail:
            x = torch.cat([x, (self.detail * (x - _mean_around(x))).tanh()], 1)
        for layer in hidden:
            x = layer(x)
        with full_precision(x):
            out = flatten(last(at_least_float32(x)))
        return out.squeeze(-1) if self.num_classes is None else out


def _mean_around(x: Tensor) -> Tensor:
    return nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _wrapped(layer: nn.Conv2d, normalization: str) -> nn.Module:
    if normalization == "spectral":
        return spectral_norm(layer)
    return weight_norm(layer) if normalization == "weight" else layer
