"""The conformance kit: proves that a noise, an energy or an invertible layer is what it claims to be.

    from contrastive.testing import check_noise_model

    check_noise_model(MyNoise, event_shape=(2,))

On the command line `contrastive check NAME`. A conditional noise q(x | y) is for `check_conditional_noise`, on the
command line `--given K`. Every check runs on a model that has seen data and whose parameters were perturbed from their
initial values, in float64. Checks that rest on random draws fail a correct model with probability at most
`false_alarm` each (default: 1e-6).
"""

from typing import TYPE_CHECKING, Any

from contrastive.testing.core import Check, CheckFailed, Outcome, Subject, make_subject
from contrastive.testing.suite import (
    SUITES,
    check_adaptive_noise,
    check_bijection,
    check_conditional_noise,
    check_energy_model,
    check_noise_model,
    outcomes_of,
)

if TYPE_CHECKING:
    from contrastive.testing.parametrize import parametrize_with_checks

__all__ = [
    "SUITES",
    "Check",
    "CheckFailed",
    "Outcome",
    "Subject",
    "check_adaptive_noise",
    "check_bijection",
    "check_conditional_noise",
    "check_energy_model",
    "check_noise_model",
    "make_subject",
    "outcomes_of",
    "parametrize_with_checks",
]


def __getattr__(name: str) -> Any:
    if name == "parametrize_with_checks":  # needs pytest, which only the author of a test has
        from contrastive.testing.parametrize import parametrize_with_checks

        return parametrize_with_checks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
