"""Exact inverses for zuko's monotone maps that have none in closed form.

zuko 1.6.0 bisects to an absolute 1e-6 within a fixed box: a point whose image lies outside the box is drawn at its edge
with the density of another place, and 1e-6 is too coarse to test a gradient. In eval mode it also forgets the
gradient of the map's own parameters. Here the whole line is bisected, and a Newton step in the graph squares the error
and carries the gradient of everything.
"""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from zuko.transforms import ComposedTransform, MonotonicTransform

_FARTHEST = 25.0  # in asinh(x): roots up to 3.6e10
_HALVINGS = 26  # leave a relative 4e-7
_NEWTON_STEPS = 2


class ExactlyInverted(nn.Module):
    """A constructor of univariate maps, those that bisect given `invert` for their inverse.

    Args:
        univariate: zuko's constructor: a class, a function or a module.
    """

    def __init__(self, univariate: Any) -> None:
        super().__init__()
        self.univariate = univariate

    def forward(self, *raw: Tensor) -> Any:
        """The map with these raw parameters."""
        transform = self.univariate(*raw)
        for part in transform.transforms if isinstance(transform, ComposedTransform) else [transform]:
            if isinstance(part, MonotonicTransform):
                part._inverse = partial(invert, part)
        return transform


def invert(transform: Any, y: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The root x of f(x) = y, differentiable in y and in the parameters of f.

    Bisection in asinh(x), so that the precision is relative and the whole line is in reach, then Newton's
    x - (f(x) - y) / f'(x), whose derivative at the root is that of the inverse function.

    Args:
        transform: an increasing map f of the line onto itself, elementwise, with `call_and_ladj`.
        y: images.
    """
    with torch.no_grad():
        low, high = torch.full_like(y, -_FARTHEST), torch.full_like(y, _FARTHEST)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = transform(middle.sinh()) < y
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        x = ((low + high) / 2).sinh()
        for _ in range(_NEWTON_STEPS - 1):
            x = _newton(transform, x, y)
    return _newton(transform, x, y)


def _newton(transform: Any, x: Tensor, y: Tensor) -> Tensor:
    image, log_slope = transform.call_and_ladj(x)
    return x - (image - y) * (-log_slope.detach()).exp()
