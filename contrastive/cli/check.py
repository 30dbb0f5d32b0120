"""`contrastive check`."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from tqdm import tqdm

from contrastive.cli.options import dotted_options
from contrastive.config import refuse_taken
from contrastive.errors import ContrastiveError
from contrastive.io.imports import import_object
from contrastive.registry import energies, noises
from contrastive.testing import SUITES, Outcome, make_subject, outcomes_of

_SIGNS = {"passed": "ok", "failed": "FAILED", "not applicable": "-"}


def run(
    *,
    name: str | None,
    dim: int,
    event_shape: str | None,
    kind: str | None,
    only: str | None,
    seed: int,
    json_output: bool,
    list_checks: bool,
    dotted: list[str],
    allow_import: bool = False,
    given: int | None = None,
) -> int:
    """Run the conformance kit on one model; returns 1 if a check failed.

    Given `given` columns it is the conditional noise q(x | y), or the conditional counterpart of what is named.
    """
    if list_checks:
        _list()
        return 0
    if name is None:
        raise ContrastiveError("say what to check: contrastive check NAME (contrastive list shows the names)")
    shape = (dim,) if event_shape is None else _shape(event_shape)
    options = {key.partition(".")[2].replace("-", "_"): value for key, value in dotted_options(dotted)}
    contexts = None if given is None else _contexts(given)
    factory, kind = _factory(name, kind, shape, contexts, options, allow_import)
    subject = make_subject(factory, kind, shape, contexts, seed=seed)  # type: ignore[arg-type]
    try:
        subject.fresh()  # what cannot be made is told before any check
    except SystemExit as error:
        raise ContrastiveError(f"{name} cannot be made: it leaves Python (SystemExit: {error})") from error
    names = None if only is None else [part.strip() for part in only.split(",")]
    total = len(names or SUITES[subject.kind])
    with tqdm(total=total, desc=f"check {name}", leave=False, disable=not sys.stderr.isatty()) as bar:
        outcomes = []
        for outcome in outcomes_of(subject, names):
            bar.update()
            outcomes.append(outcome)
            if not json_output:
                bar.write(_line(outcome), file=sys.stdout)
    verdicts: list[str] = [outcome.verdict for outcome in outcomes]
    if json_output:
        print(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=2))
    else:
        counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _SIGNS)
        print(f"{name} over events of shape {shape}{f' given {given}' if given else ''}: {counts}")
    return int("failed" in verdicts)


def _line(outcome: Outcome) -> str:
    sign = _SIGNS[outcome.verdict]
    return f"{sign:7} {outcome.check:30} {outcome.seconds:6.1f} s  {outcome.reason}".rstrip()


def _list() -> None:
    for kind, checks in SUITES.items():
        print(f"{kind}:")
        for check in checks:
            print(f"  {check.name:30} {check.proves}")


def _factory(
    name: str,
    kind: str | None,
    shape: tuple[int, ...],
    contexts: tuple[int, ...] | None,
    options: dict[str, Any],
    allow_import: bool,
) -> tuple[Callable[[], Any], str]:
    """What makes the model, and its kind: as told, or an energy where only energies have the name."""
    if ":" in name:
        factory = _typed_object(name)
        if contexts is None:
            return partial(factory, **options), kind or "noise"
        return partial(getattr(factory, "conditional", factory), **options), "conditional"
    only_energy = name in energies.names() and name not in noises.names()
    kind = kind or ("energy" if only_energy else "noise")
    registry = energies if kind == "energy" else noises
    if kind == "energy" and contexts is not None:
        raise ContrastiveError(f"--given is for a noise q(x | y): {name!r} is an energy")
    for option in options:
        refuse_taken(f"{kind}.{option}")
    make = partial(registry.make, name, event_shape=shape, allow_import=allow_import, **options)
    if contexts is None:
        return make, kind
    return partial(make, context_shape=contexts), "conditional"


def _contexts(given: int) -> tuple[int, ...]:
    if given < 1:
        raise ContrastiveError(f"--given takes the number of columns that a noise conditions on, got {given}")
    return (given,)


def _typed_object(path: str) -> Callable[..., Any]:
    """What the user's own `module:factory` leads to: as it was typed, modules in the working directory count.

    Raises:
        ContrastiveError: if it does not import, or cannot be called.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    factory = import_object(path)
    if not callable(factory):
        raise ContrastiveError(f"{path} is no factory: it cannot be called")
    return factory


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise ContrastiveError(f"--event-shape takes positive integers such as 3,32,32, got {text!r}")
    return shape
