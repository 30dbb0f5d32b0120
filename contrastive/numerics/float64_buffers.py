"""Modules whose buffers stay in float64."""

from torch import nn


class Float64Buffers(nn.Module):
    """A module that moves to a device as every other, but never to a smaller dtype."""

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        before = dict(self.named_buffers())
        super()._apply(fn, recurse)
        for name, buffer in before.items():
            setattr(self, name, buffer.to(getattr(self, name).device))
        return self
