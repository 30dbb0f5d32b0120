"""Objectives: pure functions from log-ratios to a loss. They know nothing of models.

An objective takes the log-ratios r = f - c - log q - log nu at the data, those at the noise draws, and nu, and returns
one loss a row for both, nu counted in the noise's. Minimising the sum of their means over (f, c) estimates the
density. A new objective is one file here and one line in `OBJECTIVES`.
"""

from collections.abc import Callable
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.objectives.logistic import logistic

Objective: TypeAlias = Callable[[Float[Tensor, " data"], Float[Tensor, " noise"], float], tuple[Tensor, Tensor]]

OBJECTIVES: dict[str, Objective] = {"nce": logistic}


def make_objective(name: str) -> Objective:
    """The objective called `name`.

    Raises:
        ContrastiveError: if there is none of that name.
    """
    if name not in OBJECTIVES:
        raise ContrastiveError(f"unknown objective {name!r}; {did_you_mean(name, OBJECTIVES)}")
    return OBJECTIVES[name]
