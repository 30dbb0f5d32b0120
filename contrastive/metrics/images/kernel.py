"""The kernel distance between two sets of embeddings."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError

_SUBSETS = 10  # at least, so that they tell their own spread
_SUBSET_SIZE = 1_000  # at most: the field's


class KernelDistance(NamedTuple):
    """An unbiased estimate, which may be negative, and its standard error."""

    value: float
    standard_error: float


def kernel_distance(
    x: Float[Tensor, "n _"], y: Float[Tensor, "m _"], *, subset_size: int = _SUBSET_SIZE, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy with the kernel (x.y / d + 1)^3, unbiased at every n: 0 in the mean if p = q.

    Both sets are shuffled and cut into the same number of disjoint subsets, ten or more. The value is the mean of their
    unbiased estimates. The subsets share no row, hence the standard error is what it says; the field's common recipe,
    100 overlapping draws of 1,000 rows, estimates the same number, but its spread is not a standard error.

    Args:
        x: embeddings of one set.
        y: embeddings of the other.
        subset_size: rows of a subset, at most.
        seed: of the shuffle.

    Raises:
        ContrastiveError: with fewer than 20 rows in a set, or other dimensions in one than in the other.

    References:
        Binkowski et al. (2018), "Demystifying MMD GANs". Zaremba et al. (2013), "B-tests", on disjoint subsets.
    """
    if x.shape[1] != y.shape[1]:
        raise ContrastiveError(f"embeddings of {x.shape[1]} and of {y.shape[1]} dimensions cannot be compared")
    fewest = min(len(x), len(y))
    if fewest < 2 * _SUBSETS:
        raise ContrastiveError(f"a kernel distance needs {2 * _SUBSETS} images on each side, not {fewest}")
    subsets = max(_SUBSETS, fewest // subset_size)
    generator = torch.Generator().manual_seed(seed)
    parts = zip(_cut(x, subsets, subset_size, generator), _cut(y, subsets, subset_size, generator), strict=True)
    values = torch.stack([squared_mmd(a, b) for a, b in parts])
    return KernelDistance(float(values.mean()), float(values.std()) / subsets**0.5)


def squared_mmd(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """The unbiased estimate from all pairs, float64."""
    x, y = x.double(), y.double()
    return _mean_off_diagonal(_kernel(x, x)) + _mean_off_diagonal(_kernel(y, y)) - 2 * _kernel(x, y).mean()


def _kernel(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
    return (x @ y.T / x.shape[1] + 1).pow(3)


def _mean_off_diagonal(k: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    return (k.sum() - k.trace()) / (len(k) * (len(k) - 1))


def _cut(x: Tensor, subsets: int, subset_size: int, generator: torch.Generator) -> list[Tensor]:
    """Disjoint random subsets of one size."""
    size = min(subset_size, len(x) // subsets)
    rows = torch.randperm(len(x), generator=generator)[: subsets * size]
    return list(x[rows].split(size))
