"""An energy as a chain of log-ratios from the noise to the data, for telescoping."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.built_on_noise import BuiltOnNoise
from contrastive.errors import ContrastiveError
from contrastive.protocols import feature_layers
from contrastive.registry import make_energy


class Bridges(BuiltOnNoise):
    """f(x) = log q0(x) + sum over k of (a_k g_k(x) - c_k), with q0 a frozen copy of the noise; high = likely.

    Bridge k is the log-ratio of two neighbours on a chain of densities from the data (before bridge 0) to the noise
    (after the last). The objectives `telescoping` and `multinomial` learn each between samples of its two neighbours,
    which overlap where data and noise do not. The factors a_k start at 0: p starts as the noise. Each c_k is a
    parameter, so log Z of f should come out as 0.

    Args:
        event_shape: shape of one data point.
        levels: K, the number of bridges.
        ratios: name of the energy that gives g, one output a bridge (its `num_classes`).
        **options: of that energy, such as `widths=(64, 64)`.

    Raises:
        ContrastiveError: if there is no bridge, or the ratios cannot have several outputs.

    Reference: Rhodes, Xu & Gutmann (2020), "Telescoping density-ratio estimation", NeurIPS.
    """

    def __init__(self, event_shape: tuple[int, ...], *, levels: int = 8, ratios: str = "mlp", **options: Any) -> None:
        super().__init__()
        if levels < 1:
            raise ContrastiveError(f"there must be at least 1 bridge, got levels={levels}")
        self.levels = levels
        self.ratios = make_energy(ratios, event_shape=event_shape, num_classes=levels, **options)
        self.strengths = nn.Parameter(torch.zeros(levels))
        self.bridge_log_normalizers = nn.Parameter(torch.zeros(levels))

    def has_learned(self) -> bool:
        """Whether any a_k is no longer 0."""
        return bool((self.strengths != 0).any())

    def forget(self) -> None:
        """Set every a_k and c_k to 0."""
        self.strengths.zero_()
        self.bridge_log_normalizers.zero_()

    def log_ratios(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch K"]:
        """The log-ratio of each bridge, a_k g_k(x) - c_k, nats."""
        return self.strengths * self.ratios(x) - self.bridge_log_normalizers

    def feature_layers(self) -> list[str]:
        """The hidden layers of the ratios, lowest first."""
        return [f"ratios.{name}" for name in feature_layers(self.ratios)]

    def forward(self, x: Float[Tensor, "batch *event"]) -> Float[Tensor, " batch"]:
        """f(x), shape `(batch,)`."""
        return self.log_base(x) + self.log_ratios(x).sum(1)
