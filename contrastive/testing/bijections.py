"""Checks of invertible maps: an invertible layer, or a noise with an explicit map to a latent space."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from contrastive.protocols import InvertibleNoise
from contrastive.testing.core import Check, NotApplicable, Subject, close, collect, gap, require

BIJECTION: list[Check] = []
_ROWS = 8
_SIZES = [1.0, 10.0, 100.0]
_ROUNDING = 1e-11  # of a deep map in float64; 7e-14 was the most in 400 runs through a randomised Glow of ten steps
_MOST_DIMENSIONS = 64  # a full Jacobian takes one backward pass a dimension

Map = Callable[[Tensor], tuple[Tensor, Tensor]]


@collect(BIJECTION)
@torch.no_grad()
def _log_det_is_one_number_a_row(subject: Subject) -> None:
    """Both directions return a batch of the same shape and one log-determinant a row."""
    for direction, mapping in _maps(subject):
        for n in (1, _ROWS):
            y, log_det = mapping(_latents(subject, n))
            require(tuple(y.shape) == (n, *subject.event_shape), f"{direction}: {n} events became {tuple(y.shape)}")
            require(
                tuple(log_det.shape) == (n,),
                f"{direction}: the log-determinant of {n} rows has shape {tuple(log_det.shape)}, expected ({n},)",
            )


@collect(BIJECTION)
@torch.no_grad()
def _round_trip(subject: Subject) -> None:
    """There and back is the identity and the log-determinants cancel, also far out (1e-6 relative, in float64).

    Rounding is forgiven: a point may come back as far off as a relative change of its image by 1e-11 explains.
    """
    (name, forward), (_, inverse) = _maps(subject)
    for size in _SIZES:
        for first, second, way in ((forward, inverse, name), (inverse, forward, f"inverse of {name}")):
            x = size * _latents(subject, _ROWS)
            y, there = first(x)
            again, back = second(y)
            nudged, nudged_back = second(y * (1 + _ROUNDING * torch.randn_like(y)))
            require(
                bool(((again - x).abs() <= 1e-6 * (size + x.abs()) + gap(nudged, again)).all()),
                f"{way}: points of size {size:g} come back {gap(again, x):.3g} off: the inverse is not the inverse",
            )
            require(
                close(there, -back, 1e-5 + gap(nudged_back, back)),
                f"{way}: the log-determinants there and back differ by {gap(there, -back):.3g} at size {size:g}",
            )


@collect(BIJECTION)
def _jacobian(subject: Subject) -> None:
    """Each log-determinant is that of autograd's full Jacobian (slogdet), also far out."""
    if subject.dim > _MOST_DIMENSIONS:
        raise NotApplicable(f"full Jacobians are for at most {_MOST_DIMENSIONS} dimensions; check a small event shape")
    for direction, mapping in _maps(subject):
        for size in _SIZES:
            for row in size * _latents(subject, 3):
                matrix = torch.autograd.functional.jacobian(lambda x, mapping=mapping: mapping(x[None])[0][0], row)
                expected = matrix.reshape(subject.dim, subject.dim).slogdet().logabsdet
                claimed = mapping(row[None])[1][0].detach()
                rounding = _ROUNDING * float(torch.linalg.cond(matrix.reshape(subject.dim, subject.dim)))
                require(
                    close(claimed, expected, 1e-6 + rounding),
                    f"{direction}: the log-determinant is {float(claimed):.6g}, the Jacobian's is "
                    f"{float(expected):.6g} (at size {size:g}): a term is missing or has the wrong sign",
                )


@collect(BIJECTION)
@torch.no_grad()
def _rows_are_mapped_alone(subject: Subject) -> None:
    """The image of a row does not depend on the other rows, and the argument is left as it was."""
    for direction, mapping in _maps(subject):
        x = _latents(subject, _ROWS)
        before = x.clone()
        y, log_det = mapping(x)
        require(torch.equal(x, before), f"{direction} edits its argument in place")
        for i in range(_ROWS):
            row, change = mapping(x[i : i + 1])
            require(
                close(row[0], y[i], 1e-9) and close(change[0], log_det[i], 1e-9),
                f"{direction}: a row mapped alone differs from the same row in a batch: statistics leak between rows",
            )


def _maps(subject: Subject) -> list[tuple[str, Map]]:
    model: Any = subject.model()
    if subject.kind == "bijection":
        # normflows' convention and nn.Module's: calling it is the way from latent to data.
        return [("forward", model.forward), ("inverse", model.inverse)]
    if not isinstance(model, InvertibleNoise):
        raise NotApplicable("it has no explicit map (to_latent, from_latent)")
    return [("from_latent", model.from_latent), ("to_latent", model.to_latent)]


def _latents(subject: Subject, n: int) -> Tensor:
    return torch.randn(n, *subject.event_shape, dtype=torch.float64)
