"""The suites: which checks a noise, a conditional noise, an energy or a bijection must pass."""

from collections.abc import Iterable, Iterator
from typing import Any

from contrastive.errors import ContrastiveError, did_you_mean
from contrastive.protocols import trainable_parameters
from contrastive.testing.behaviour import BEHAVIOUR
from contrastive.testing.bijections import BIJECTION
from contrastive.testing.conditional import CONDITIONAL
from contrastive.testing.core import Check, CheckFailed, Kind, Outcome, Subject, make_subject, require, run_checks
from contrastive.testing.densities import DENSITY
from contrastive.testing.energies import ENERGY
from contrastive.testing.gradients import GRADIENTS


def _adaptive(subject: Subject) -> None:
    model = subject.fresh()
    require(bool(trainable_parameters(model)), f"{type(model).__name__} has no trainable parameters")


#: Checks by kind of model, in the order in which they run: the cheap ones first.
SUITES: dict[Kind, list[Check]] = {
    "noise": [*BEHAVIOUR, *GRADIENTS, *BIJECTION, *DENSITY],
    "energy": ENERGY,
    "bijection": BIJECTION,
    "conditional": CONDITIONAL,
}
_IS_ADAPTIVE = Check("is-adaptive", "It can adapt in FCE: it has trainable parameters.", _adaptive)


def check_noise_model(target: Any, **settings: Any) -> list[Outcome]:
    """Prove a noise right: every check that applies to it.

    Args:
        target: a registered name, a factory (a class will do), a module, or a torch distribution.
        **settings: `event_shape`, `seed`, `rows`, `false_alarm`, `strength` (see `Subject`), and `only`, names of
            checks to run instead of all.

    Returns:
        One outcome a check.

    Raises:
        CheckFailed: naming every check that failed and what is wrong with the density.
        ContrastiveError: if the target cannot be made or a name of `only` is unknown.

    Example:
        >>> outcomes = check_noise_model("gaussian", event_shape=(2,), rows=4000)
        >>> sum(outcome.verdict == "failed" for outcome in outcomes)
        0
    """
    return _all_pass(target, "noise", **settings)


def check_adaptive_noise(target: Any, **settings: Any) -> list[Outcome]:
    """As `check_noise_model`, and it must be able to adapt."""
    return _all_pass(target, "noise", first=[_IS_ADAPTIVE], **settings)


def check_energy_model(target: Any, **settings: Any) -> list[Outcome]:
    """Prove an energy right: shape, rows, gradients, copies, and log Z where it has a closed form."""
    return _all_pass(target, "energy", **settings)


def check_bijection(target: Any, event_shape: tuple[int, ...], **settings: Any) -> list[Outcome]:
    """Prove an invertible layer right: `forward(z)` and `inverse(x)`, each giving `(mapped, log_det)`."""
    return _all_pass(target, "bijection", event_shape=event_shape, **settings)


def check_conditional_noise(target: Any, **settings: Any) -> list[Outcome]:
    """Prove a conditional noise q(x | y) right: every check that applies to it.

    Args:
        target: as in `check_noise_model`; of a registered name, or a factory with a conditional counterpart, that one
            is checked.
        **settings: as in `check_noise_model`, and `context_shape`.

    Raises:
        CheckFailed: as `check_noise_model`.
        ContrastiveError: as `check_noise_model`, or if the target cannot condition.

    Example:
        >>> outcomes = check_conditional_noise("gaussian", event_shape=(2,), context_shape=(1,), rows=3000)
        >>> sum(outcome.verdict == "failed" for outcome in outcomes)
        0
    """
    return _all_pass(target, "conditional", **settings)


def select(kind: Kind, only: Iterable[str] | None = None) -> list[Check]:
    """The checks of a kind, or those named.

    Raises:
        ContrastiveError: for an unknown name.
    """
    checks = {check.name: check for check in SUITES[kind]}
    for name in only or ():
        if name not in checks:
            raise ContrastiveError(f"unknown check {name!r}; {did_you_mean(name, checks)}")
    return [checks[name] for name in (checks if only is None else only)]


def outcomes_of(subject: Subject, only: Iterable[str] | None = None) -> Iterator[Outcome]:
    """Run the suite of the subject's kind, one outcome at a time; nothing is raised for a failed check."""
    yield from run_checks(subject, select(subject.kind, only))


def _all_pass(
    target: Any, kind: Kind, *, only: Iterable[str] | None = None, first: Iterable[Check] = (), **settings: Any
) -> list[Outcome]:
    subject = make_subject(target, kind, **settings)
    outcomes = list(run_checks(subject, [*first, *select(kind, only)]))
    failed = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    if failed:
        raise CheckFailed("\n".join(f"{outcome.check}: {outcome.reason}" for outcome in failed))
    return outcomes
