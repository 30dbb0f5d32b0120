"""Batch sizes for evaluation, by the size of an event."""

import math

_NUMBERS = 768_000  # of the events: 250 images of 3 x 32 x 32, for which a flow keeps many times as many
_FEWEST = 16


def rows_at_once(event_shape: tuple[int, ...], most: int) -> int:
    """At most `most` points, fewer of large events.

    Args:
        event_shape: of one point.
        most: for small events.
    """
    return min(most, max(_FEWEST, _NUMBERS // max(1, math.prod(event_shape))))
