"""Held-out rows that occur among the training rows too."""

import numpy as np
from numpy.typing import NDArray

_MANY = 0.05  # of the held-out rows


def count_copies(rows: NDArray[np.float64], among: NDArray[np.float64]) -> int:
    """How many of the `rows`, shape `(n, d)`, are exactly one of those `among`, shape `(m, d)`.

    Hashes are sorted, not rows: a million rows of ten columns take about a second.
    """
    rows, among = (np.ascontiguousarray(x + 0.0) for x in (rows, among))  # -0.0 is 0.0
    hashes, of_others = _hashes(rows), _hashes(among)
    likely = rows[np.isin(hashes, of_others)]
    there = {row.tobytes() for row in among[np.isin(of_others, _hashes(likely))]}
    return sum(row.tobytes() in there for row in likely)


def describe_copies(copies: int, rows: int, *, rounded: bool) -> str:
    """What copies mean for the figures; empty where there are none.

    Args:
        copies: held-out rows that occur among the training rows.
        rows: held-out rows.
        rounded: whether every column has ties, so that rows are the same by chance, too.
    """
    if not copies:
        return ""
    occur = "occurs" if copies == 1 else "occur"
    why = (
        "rounded rows can be the same by chance, but copies would flatter the model"
        if rounded
        else "held-out figures flatter the model"
    )
    return f"{copies:,} of {rows:,} held-out rows {occur} among the training rows too: {why}"


def are_many(copies: int, rows: int) -> bool:
    """Whether so many of the held-out rows are copies that the figures say little: more than 5 %."""
    return copies > _MANY * rows


def _hashes(rows: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A random linear combination of the bits of each row, modulo 2^64."""
    bits = rows.view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, bits.shape[1], dtype=np.uint64) | np.uint64(1)
    with np.errstate(over="ignore"):
        mixed = (bits ^ (bits >> np.uint64(32))) * factors  # the low bits of round numbers are zeros
        return (mixed ^ (mixed >> np.uint64(29))).sum(axis=1, dtype=np.uint64)
