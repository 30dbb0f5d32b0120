"""Whether the chains agree, and for how many independent draws they count."""

import warnings

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from jaxtyping import Float
from torch import Tensor

_COORDINATES = 32  # looked at, at most


def monitored(
    z: Float[Tensor, "chains draws *event"], *columns: Float[Tensor, "chains draws"]
) -> Float[Tensor, "chains draws quantities"]:
    """The scalars by which chains are judged: `columns`, and up to 32 coordinates, evenly spaced."""
    flat = z.flatten(2)
    picked = torch.linspace(0, flat.shape[2] - 1, min(flat.shape[2], _COORDINATES)).round().long()
    return torch.cat([flat[..., picked].double(), torch.stack(columns, -1).double()], -1)


def largest_r_hat(quantities: Float[Tensor, "chains draws quantities"]) -> float:
    """The largest rank-normalised split R-hat: 1 where the chains agree, NaN if every quantity is constant.

    Reference: Vehtari et al. (2021), "Rank-normalization, folding, and localization: an improved R-hat".
    """
    chains, draws = quantities.shape[:2]
    if chains == 1:  # its halves must agree
        quantities = quantities[:, : draws - draws % 2].reshape(2, draws // 2, -1)
    return max((_quietly(array_stats.rhat, column) for column in _varying(quantities)), default=float("nan"))


def least_effective_size(quantities: Float[Tensor, "chains draws quantities"]) -> float:
    """The least bulk effective sample size over the quantities that vary, all chains together."""
    sizes = (_quietly(array_stats.ess, column, method="bulk") for column in _varying(quantities))
    return min(sizes, default=float(quantities[..., 0].numel()))


def effective_size(values: Float[Tensor, "chains draws"]) -> float:
    """For how many independent draws the mean over all chains counts; that of constant values for all of them."""
    columns = _varying(values[..., None])
    return _quietly(array_stats.ess, columns[0], method="mean") if columns else float(values.numel())


def _varying(quantities: Float[Tensor, "chains draws quantities"]) -> list[np.ndarray]:
    columns = np.nan_to_num(quantities.double().cpu().numpy())
    return [columns[..., j] for j in range(columns.shape[2]) if np.ptp(columns[..., j]) > 0]


def _quietly(statistic: object, values: np.ndarray, **settings: str) -> float:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a chain that never moved has no variance; the figure says so
        return float(statistic(values, **settings))  # type: ignore[operator]
