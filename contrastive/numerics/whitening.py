"""Whitening: the affine map under which rows are uncorrelated, each with variance 1."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.numerics.float64_buffers import Float64Buffers

_LEFT_OUT = 0.05  # of the rows
_LEAST_VARIANCE = 1e-10  # share of a column's variance that the columns before it leave over, at least
_MOST_ROWS = 10_000


class Whitening(Float64Buffers):
    """w = L^-1 (x - m), L the lower Cholesky factor of a covariance: the identity until `fit`.

    Entry i of w is what the entries of x before i do not explain linearly, so the order of an autoregressive model is
    kept. Nearly collinear columns part, which a network on standardised columns cannot tell from each other. The map is
    computed in float64, and its buffers stay in it.

    Args:
        dim: d, numbers in an event.
        given: how many of the first are conditioned on: `log_det` is that of the others given those.

    Example:
        >>> whitening = Whitening(2)
        >>> a = torch.linspace(-1, 1, 100, dtype=torch.float64)
        >>> whitening.fit(torch.stack([a, a + 1e-3 * a.abs()], 1))
        >>> (whitening(torch.tensor([[0.5, 0.502]])).abs() > 1).tolist()  # a small step off the line is a long way
        [[False, True]]
    """

    loc: Tensor
    factor: Tensor
    fitted: Tensor

    def __init__(self, dim: int, given: int = 0) -> None:
        super().__init__()
        self.given = given
        self.register_buffer("fitted", torch.tensor(False))
        self.is_fitted = False  # the buffer's value, without a device synchronisation per call
        self.register_buffer("loc", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("factor", torch.eye(dim, dtype=torch.float64))

    @torch.no_grad()
    def fit(self, x: Float[Tensor, "n d"]) -> None:
        """Mean and covariance of `x`, of at most 10,000 rows, without the farthest 5 %: tails do not set the unit.

        Far is a row by its entry that is farthest from the column's median, in units of the mean distance from it.
        Rows are left out whole, so that linear dependence stays as it is. A column that others explain, or that does
        not vary, keeps a variance of 1e-10 of its own.
        """
        x = x[:_MOST_ROWS].double()
        distance = (x - x.median(0).values).abs()
        far = (distance / distance.mean(0).clamp_min(torch.finfo(x.dtype).tiny)).amax(1)
        x = x[far.argsort()[: max(1, round(len(x) * (1 - _LEFT_OUT)))]]
        centred = x - x.mean(0)
        scale = centred.square().mean(0).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
        centred = centred / scale
        correlation = centred.mT @ centred / len(x)
        correlation.diagonal().add_(_LEAST_VARIANCE)
        self.loc.copy_(x.mean(0))
        self.factor.copy_(scale[:, None] * torch.linalg.cholesky(correlation))
        self.fitted.fill_(True)
        self.is_fitted = True

    @property
    def log_det(self) -> Float[Tensor, ""]:
        """log |det dw/dx|, the same at every x."""
        return -self.factor.diagonal()[self.given :].log().sum()

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """w at `x`, in its dtype."""
        centred = (x.double() - self.loc).mT
        return torch.linalg.solve_triangular(self.factor, centred, upper=False).mT.to(x.dtype)

    def inverse(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """x at `w`, in its dtype."""
        return (w.double() @ self.factor.mT + self.loc).to(w.dtype)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.is_fitted = bool(self.fitted)
