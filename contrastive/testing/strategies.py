"""Hypothesis strategies for property tests of densities. Needs `pip install hypothesis`."""

import torch
from hypothesis import strategies as st
from torch import Tensor


def event_shapes(*, min_dim: int = 1, max_dim: int = 6, ndim: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    """Event shapes of `ndim` axes of `min_dim` to `max_dim` entries each."""
    return st.tuples(*[st.integers(min_dim, max_dim)] * ndim)


def batch_shapes(*, max_ndim: int = 2, max_side: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    """Batch shapes from () on."""
    return st.lists(st.integers(1, max_side), max_size=max_ndim).map(tuple)


def dtypes() -> st.SearchStrategy[torch.dtype]:
    """The dtypes that a density must support."""
    return st.sampled_from([torch.float32, torch.float64])


def seeds() -> st.SearchStrategy[int]:
    """Seeds for models and draws."""
    return st.integers(0, 2**31 - 1)


@st.composite
def points(
    draw: st.DrawFn, shape: tuple[int, ...], *, dtype: torch.dtype = torch.float64, extreme: bool = True
) -> Tensor:
    """Tensors of `shape`: standard normal of a drawn size, up to 1e6 and down to 1e-6 if `extreme`."""
    size = draw(st.sampled_from([1.0, 1e-6, 1e3, 1e6] if extreme else [1.0]))
    generator = torch.Generator().manual_seed(draw(seeds()))
    return size * torch.randn(shape, generator=generator, dtype=dtype)
