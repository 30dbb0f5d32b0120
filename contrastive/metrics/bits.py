"""Bits per dimension from nats."""

import math


def bits_per_dim(log_prob: float, dimensions: int) -> float:
    """-log p(x) / (D log 2) for a log-density over pixel values in [0, 2^bits).

    An upper bound, on average over the dequantisation, on what a pixel value costs in bits to store. The uniform
    density over 8-bit values has 8.

    Args:
        log_prob: nats, in original units; the mean over images gives the mean number of bits.
        dimensions: D, the numbers of an image: C H W.

    Example:
        >>> bits_per_dim(-3 * 8 * math.log(2), 3)
        8.0
    """
    return -log_prob / (dimensions * math.log(2))
