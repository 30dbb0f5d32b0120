"""Columns that are linearly dependent."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import listed

# Smallest eigenvalue of the correlation matrix: residuals of 3e-7 standard deviations, about float32's resolution.
_DEPENDENT = 1e-13
_LOADING = 1e-3
_MOST_ROWS, _MOST_COLUMNS = 20_000, 500


def dependent_columns(z: Float[Tensor, "n d"]) -> list[int]:
    """Numbers of the columns of one linear dependence; none where there is none, or rows are too few to tell.

    Args:
        z: rows, more than columns; of many, 20,000 are looked at, of more than 500 columns none.
    """
    n, d = z.shape
    if not d < n or not 2 <= d <= _MOST_COLUMNS:
        return []
    values, vectors = torch.linalg.eigh(torch.corrcoef(z[:_MOST_ROWS].cpu().double().T))
    if not values[0] < _DEPENDENT:
        return []
    return (vectors[:, 0].abs() > _LOADING).nonzero().flatten().tolist()


def describe_dependent(names: Sequence[str]) -> str:
    """What is wrong with linearly dependent columns, and what to do; empty for none."""
    if not names:
        return ""
    return (
        f"the columns {listed(names, most=6)} are linearly dependent, and a density on them grows without bound as it "
        "narrows: leave one of them out (--columns)"
    )
