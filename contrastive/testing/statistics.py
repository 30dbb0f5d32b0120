"""Test functions for comparing samples with a density, and the statistics that the checks rest on."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import warn_renamed
from contrastive.numerics.statistics import bernstein_radius, dkw_radius, normal_threshold

__all__ = ["bernstein_radius", "dkw_radius", "normal_threshold", "random_cosines"]


def random_cosines(x: Float[Tensor, "n d"], centre: Tensor, scale: Tensor, count: int) -> Float[Tensor, "n functions"]:
    """The constant 1 and `count` random cosines of the standardised points, all within [-1, 1].

    Frequencies of several sizes, drawn from the global random state: call with it seeded to get the same ones.
    """
    d = x.shape[1]
    sizes = 2.0 ** (torch.arange(count, dtype=x.dtype, device=x.device) % 5 - 1)
    directions = torch.nn.functional.normalize(torch.randn(d, count, dtype=x.dtype, device=x.device), dim=0)
    phase = 2 * math.pi * torch.rand(count, dtype=x.dtype, device=x.device)
    waves = torch.cos(((x - centre) / scale) @ (directions * sizes) + phase)
    return torch.cat([torch.ones_like(waves[:, :1]), waves], 1)


def __getattr__(name: str) -> Any:
    if name == "features":  # of version 0.1 before the package had its present form
        warn_renamed("contrastive.testing.statistics.features", "random_cosines")
        return random_cosines
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
