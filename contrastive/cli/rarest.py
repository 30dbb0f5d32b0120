"""The least likely rows of a file, and which of their entries make them so."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contrastive import ContrastiveEstimator
from contrastive.metrics import entry_gains

_REPLACEMENTS = 100  # held-out rows
_NAMED = 3  # columns


class Rarest:
    """The rows of least log p among those that were added.

    Args:
        count: how many.

    Attributes:
        numbers: of the rows, from 1, the least likely first.
        scores: log p, log q and the level of the highest-density region of each.
        x: the rows.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.numbers: NDArray[np.int64] = np.empty(0, np.int64)
        self.scores: NDArray[np.float64] = np.empty((0, 3))
        self.x: NDArray[np.float64] | None = None

    def add(self, scores: NDArray[np.float64], x: NDArray[np.float64], start: int) -> None:
        """Take rows into account; the first is row number `start + 1`. Rows without log p are left out."""
        known = np.flatnonzero(~np.isnan(scores[:, 0]))
        least = known[np.argsort(scores[known, 0], kind="stable")[: self._count]]
        if not len(least):
            return
        numbers = np.concatenate([self.numbers, start + 1 + least])
        both = np.concatenate([self.scores, scores[least]])
        rows = x[least] if self.x is None else np.concatenate([self.x, x[least]])
        order = np.argsort(both[:, 0], kind="stable")[: self._count]
        self.numbers, self.scores, self.x = numbers[order], both[order], rows[order]


def table_of(
    rarest: Rarest,
    estimator: ContrastiveEstimator,
    held_out: Tensor | None,
    log_normalizer: Tensor,
    columns: Sequence[str],
) -> str:
    """A line for each row: its number, scores, and the columns whose entries lower log p most, by `entry_gains`.

    Args:
        rarest: the rows.
        estimator: that scored them.
        held_out: rows to take entries from; without them, and for events that are no vectors, no columns are named.
        log_normalizer: log Z that log p was normalised by.
        columns: their names.
    """
    gains = None
    if rarest.x is not None and held_out is not None and held_out.ndim == 2:
        # The same for any number of rows: spread over all, since they may be sorted.
        some = held_out[torch.linspace(0, len(held_out) - 1, min(_REPLACEMENTS, len(held_out))).long()]
        gains = entry_gains(estimator, torch.from_numpy(rarest.x), some, log_normalizer).numpy()
    lines = [f"{'row':>12}  {'log_p':>12}  {'hdr_level':>9}" + ("" if gains is None else "  gain in log p without")]
    for i, (number, (log_p, _, level)) in enumerate(zip(rarest.numbers, rarest.scores)):
        line = f"{number:>12}  {log_p:>12.6g}  {'' if np.isnan(level) else f'{level:.4f}':>9}"
        if gains is not None:
            largest = np.argsort(-gains[i], kind="stable")[:_NAMED]
            line += "  " + ", ".join(f"{columns[j]} {gains[i, j]:+.2f}" for j in largest)
        lines.append(line.rstrip())
    return "\n".join(lines)
