"""Uniform noise on a box."""

from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch import distributions as td
from torch.distributions import Distribution

from contrastive.errors import ContrastiveError
from contrastive.noises.base import ParametricNoise, as_parameter


class Uniform(ParametricNoise):
    """Uniform on the box [low, high].

    For bounded data of few dimensions. Outside the box the density is 0 and the log-ratio infinite: nothing is
    learned there, so the box must hold the data. Fitted, it is the data's range widened by `margin` on each side.

    Args:
        event_shape: shape of one data point.
        low: lower corner, broadcast to `(d,)`.
        high: upper corner, broadcast to `(d,)`.
        margin: share of the range added on each side by `fit`.

    Raises:
        ContrastiveError: if `low` is not below `high` everywhere, or only one of them is given.
    """

    low: Tensor
    high: Tensor

    def __init__(self, event_shape: tuple[int, ...], *, low: Any = None, high: Any = None, margin: float = 0.1) -> None:
        if (low is None) != (high is None):
            raise ContrastiveError("a uniform noise needs both low and high, or neither (then it is fitted)")
        super().__init__(event_shape, is_fitted=low is not None)
        self.margin = margin
        self.register_buffer("low", as_parameter(-1.0 if low is None else low, (self.dim,), "low"))
        self.register_buffer("high", as_parameter(1.0 if high is None else high, (self.dim,), "high"))
        if not bool((self.low < self.high).all()):
            raise ContrastiveError(f"a uniform noise needs low < high, got {low} and {high}")

    def distribution(self) -> Distribution:
        """Independent uniforms; -inf outside."""
        return td.Independent(td.Uniform(self.low, self.high, validate_args=False), 1)

    def _fit(self, x: Float[Tensor, "n d"], sample_weight: Float[Tensor, " n"] | None = None) -> None:
        # The range of the rows, however much each of them weighs.
        low, high = x.amin(0), x.amax(0)
        self.low.copy_(low - self.margin * (high - low))
        self.high.copy_(high + self.margin * (high - low))
