"""Objectives: pure functions from log-ratios to a loss. They know nothing of models.

An objective takes the log-ratios r = f - c - log q - log nu at the data, those at the noise draws, and nu, and returns
one loss a row for both, nu counted in the noise's. Minimising the sum of their means over (f, c) estimates the
density. One that looks at points of its own has a method `contrast` (`SamplingObjective`). A new objective is a
`Bregman` of two functions or one class here, and one line in `OBJECTIVES`, where its name has a factory.
"""

import inspect
from collections.abc import Callable
from typing import Any

from contrastive.errors import ContrastiveError, did_you_mean, warn_renamed
from contrastive.objectives.balanced import Balanced
from contrastive.objectives.base import Objective
from contrastive.objectives.bregman import EXPONENTIAL, IMPORTANCE, LEAST_SQUARES, LOGISTIC, Bregman
from contrastive.objectives.conditional import Conditional
from contrastive.objectives.contrast import Contrast
from contrastive.objectives.protocol import ObjectiveFunction
from contrastive.objectives.ranking import MonteCarloLikelihood, Ranking
from contrastive.objectives.telescoping import Multinomial, Telescoping

__all__ = [
    "OBJECTIVES",
    "Balanced",
    "Bregman",
    "Conditional",
    "Contrast",
    "MonteCarloLikelihood",
    "Multinomial",
    "Objective",
    "ObjectiveFunction",
    "Ranking",
    "Telescoping",
    "make_objective",
]

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "nce": lambda: LOGISTIC,
    "balanced": Balanced,
    "is-mle": lambda: IMPORTANCE,
    "exponential": lambda: EXPONENTIAL,
    "least-squares": lambda: LEAST_SQUARES,
    "ranking": Ranking,
    "mc-mle": MonteCarloLikelihood,
    "conditional": Conditional,
    "telescoping": Telescoping,
    "multinomial": Multinomial,
}


def make_objective(name: str, **options: Any) -> Objective:
    """The objective called `name`.

    Raises:
        ContrastiveError: if there is none of that name, it has no such option, or not of such a value.
    """
    if name not in OBJECTIVES:
        raise ContrastiveError(f"unknown objective {name!r}; {did_you_mean(name, OBJECTIVES)}")
    known = inspect.signature(OBJECTIVES[name]).parameters
    for option in options:
        if option not in known:
            raise ContrastiveError(f"the objective {name!r} has no option {option!r}; {did_you_mean(option, known)}")
    return OBJECTIVES[name](**options)


def __getattr__(name: str) -> Any:
    if name == "Losses":  # of version 0.1 before the package had its present form
        warn_renamed("contrastive.objectives.Losses", "Contrast.from_losses")
        return Contrast.from_losses
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
