"""Where autocast must not reach.

r = f - c - log q is a difference of numbers that are thousands for images, of which bfloat16 keeps two or three digits.
A model says by `rounds_networks_only = True` that under autocast its networks are rounded, and neither its log-density
nor the map whose log-determinant is counted.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

# Asked once, not in every call: torch 2.11 cannot compile the question, so each call would cut a compiled flow in two.
_WITH_AUTOCAST = frozenset(
    kind for kind in ("cpu", "cuda", "hpu", "mps", "mtia", "xpu") if torch.amp.is_autocast_available(kind)
)


def full_precision(x: Tensor) -> AbstractContextManager[None]:
    """A context in which operations on the device of `x` are not autocast."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if kind in _WITH_AUTOCAST else nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """`x`, in float32 where it is of a smaller dtype."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
