"""Nearest training images of samples, to detect memorisation."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from contrastive.errors import ContrastiveError

_ROWS = 1_000  # of either side at once: 25 MB for each thousand images of 32 x 32


class Neighbours(NamedTuple):
    """Distances and row numbers in the data, nearest first."""

    distances: Float[Tensor, "n k"]
    rows: Int[Tensor, "n k"]


@torch.no_grad()
def nearest_neighbours(samples: Tensor, data: Tensor, k: int = 1) -> Neighbours:
    """The k rows of `data` nearest to each sample in Euclidean distance, exactly, by comparing all with all.

    In embedding space: `nearest_neighbours(embed(samples, network), embed(data, network), k)`.

    Args:
        samples: images or embeddings, shape `(n, *event)`, on one scale with the data: both uint8, or both floating.
        data: shape `(m, *event)`.
        k: how many; rows at equal distance come in any order.

    Returns:
        Distances, in the units of the input and over all its entries, and row numbers in `data`, both `(n, k)`.

    Raises:
        ContrastiveError: if shapes or dtypes do not fit, or k is not in 1..m.

    Example:
        >>> data = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
        >>> nearest_neighbours(torch.tensor([[0.0, 0.0]]), data, k=2).distances
        tensor([[0., 2.]], dtype=torch.float64)
    """
    if samples.shape[1:] != data.shape[1:] or samples.is_floating_point() != data.is_floating_point():
        raise ContrastiveError(
            f"samples ({samples.dtype}, shape {tuple(samples.shape)}) and data ({data.dtype}, shape "
            f"{tuple(data.shape)}) must be images of one size and one scale: both uint8, or both floating"
        )
    if not 1 <= k <= len(data):
        raise ContrastiveError(f"k must be in 1..{len(data)}, the rows of the data, not {k}")
    parts = [_nearest(part.flatten(1).double(), data.flatten(1), k) for part in samples.split(_ROWS)]
    return Neighbours(torch.cat([part.distances for part in parts]), torch.cat([part.rows for part in parts]))


def _nearest(x: Float[Tensor, "n d"], data: Tensor, k: int) -> Neighbours:
    """For float64 rows; |x - y|^2 as |x|^2 - 2 x.y + |y|^2 is exact in float64 for uint8 pixels."""
    squared = x.new_empty(len(x), 0)
    rows = torch.empty(len(x), 0, dtype=torch.long, device=x.device)
    for start in range(0, len(data), _ROWS):
        y = data[start : start + _ROWS].to(x)
        here = x.square().sum(1, keepdim=True) - 2 * x @ y.T + y.square().sum(1)
        rows_here = torch.arange(start, start + len(y), device=x.device).expand(len(x), -1)
        squared, rows = torch.cat([squared, here], 1), torch.cat([rows, rows_here], 1)
        squared, best = squared.topk(min(k, squared.shape[1]), largest=False)
        rows = rows.gather(1, best)
    # From the differences, so that rounding does not leave a distance between equal rows of floats.
    distances = torch.stack([(x - data[column.to(data.device)].to(x)).norm(dim=1) for column in rows.T], 1)
    order = distances.argsort(1)
    return Neighbours(distances.gather(1, order), rows.gather(1, order))
