"""One pytest id a check, in the spirit of scikit-learn's `parametrize_with_checks`."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from contrastive.testing.core import Check, CheckFailed, Kind, Subject, make_subject, run_checks
from contrastive.testing.suite import select


def parametrize_with_checks(targets: Iterable[Any], *, kind: Kind = "noise", **settings: Any) -> pytest.MarkDecorator:
    """A decorator that runs a test once for every model and check.

    The test takes one argument, `check`, and calls it. A check that does not apply skips itself with its reason.

    Args:
        targets: as in `check_noise_model`: names, factories, modules, distributions.
        kind: "noise", "energy", "bijection" or "conditional".
        **settings: as in `check_noise_model`.

    Example:
        >>> @parametrize_with_checks(["gaussian"], event_shape=(2,))
        ... def test_noise(check):
        ...     check()
    """
    only = settings.pop("only", None)
    cases = [
        pytest.param(_bind(target, check, kind, settings), id=f"{_name(target)}-{check.name}")
        for target in targets
        for check in select(kind, only)
    ]
    return pytest.mark.parametrize("check", cases)


def _bind(target: Any, check: Check, kind: Kind, settings: dict[str, Any]) -> Callable[[], None]:
    def run() -> None:
        subject: Subject = make_subject(target, kind, **settings)
        for outcome in run_checks(subject, [check]):
            if outcome.verdict == "failed":
                raise CheckFailed(f"{outcome.check}: {outcome.reason}")
            if outcome.verdict == "not applicable":
                pytest.skip(outcome.reason)

    return run


def _name(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)
