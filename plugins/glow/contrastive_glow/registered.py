"""The one name `glow`: which flow it is depends on the events."""

import inspect
from typing import Any

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.noises.conditional import conditions
from contrastive_glow.flow import Flow
from contrastive_glow.glow import Glow
from contrastive_glow.image_glow import ImageGlow

#: By the number of dimensions of an event: what such events are called, and their flow.
_FLOWS: dict[int, tuple[str, type[Flow]]] = {1: ("vectors", Glow), 3: ("images", ImageGlow)}


@conditions
def make_glow(event_shape: tuple[int, ...], **options: Any) -> Flow:
    """`Glow` for vectors `(d,)`, `ImageGlow` for images `(C, H, W)`, each with its own options.

    Raises:
        ContrastiveError: for events that are neither, for an option that the flow for these events does not have, and
            as the flow does.

    Example:
        >>> type(make_glow((2,), depth=2)).__name__, type(make_glow((1, 28, 28), blocks=2)).__name__
        ('Glow', 'ImageGlow')
    """
    if len(event_shape) not in _FLOWS:
        raise ContrastiveError(f"glow needs vectors (d,) or images (C, H, W), got event shape {tuple(event_shape)}")
    events, flow = _FLOWS[len(event_shape)]
    known = _options(flow)
    for option in options:
        if option not in known:
            others = [kind for kind, other in _FLOWS.values() if option in _options(other)]
            hint = f"that is for {others[0]}" if others else did_you_mean(option, known)
            raise ContrastiveError(f"the noise 'glow' has no option {option!r} for {events}; {hint}")
    return flow(event_shape, **options)


def _options(flow: type[Flow]) -> list[str]:
    return [name for name in inspect.signature(flow).parameters if name not in ("event_shape", "self")]
