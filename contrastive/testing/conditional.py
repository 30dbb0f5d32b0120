"""Checks of a conditional noise q(x | y): its own, and those of noises where they apply.

A conditional noise is looked at in two more ways, each an ordinary noise that passes the ordinary checks: as the noise
over joint rows (x, y), of which behaviour and gradients are checked, and as q(. | y) at each of several contexts y, of
which the density is. Draws at one context are made in a batch among other contexts, so that a leak between rows shows.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive.errors import ContrastiveError
from contrastive.protocols import ConditionalNoise, FittableNoise
from contrastive.testing.behaviour import BEHAVIOUR
from contrastive.testing.bijections import BIJECTION
from contrastive.testing.core import Check, CheckFailed, NotApplicable, Subject, collect, gap, require
from contrastive.testing.densities import DENSITY
from contrastive.testing.fixed_context import at_context
from contrastive.testing.gradients import GRADIENTS

CONDITIONAL: list[Check] = []
_CONTEXTS = 3  # at which the density is checked
_ROWS = 32
_PRECISION = 1e-7  # of float64 arithmetic through a deep flow
_LEAST_CHANGE = 1e-6  # nats by which a log-density follows its context; rounding is a thousandth of it
_FAR = [1e3, 1e6]
_FARTHEST_DRAWN = 1e3  # contexts; a scale that grows with y by any power overflows somewhere
_FIT_ROWS = 1000
_LEAST_GAIN = 0.1  # nats that a fit must gain from contexts that move x by three standard deviations: 1 and more


@collect(CONDITIONAL)
def _protocol(subject: Subject) -> None:
    """It has event_shape, context_shape, sample and log_prob, and its shapes are those asked for."""
    model = subject.fresh()
    require(
        isinstance(model, ConditionalNoise),
        f"{type(model).__name__} lacks event_shape, context_shape, sample or log_prob",
    )
    for name in ("event_shape", "context_shape"):
        shape, expected = tuple(getattr(model, name)), getattr(subject, name)
        require(shape == expected, f"{name} is {shape}, asked for {expected}")


@collect(CONDITIONAL)
def _shapes(subject: Subject) -> None:
    """sample(given=y) draws one event for each context, and log_prob of n events has shape (n,)."""
    model = subject.model()
    for n in (1, 7):
        y = _contexts(subject, n)
        x = model.sample(given=y)
        expected = (n, *subject.event_shape)
        require(tuple(x.shape) == expected, f"sample at {n} contexts has shape {tuple(x.shape)}, expected {expected}")
        require(not x.requires_grad, "sample returns draws with a graph: wrap it in torch.no_grad()")
        shape = tuple(model.log_prob(x, given=y).shape)
        require(shape == (n,), f"log_prob of {n} events has shape {shape}, expected ({n},): one number an event")


@collect(CONDITIONAL)
@torch.no_grad()
def _refuses_wrong_contexts(subject: Subject) -> None:
    """Without contexts, with too few or too many, or with other columns, it raises: nothing is broadcast."""
    model, x, y = _drawn(subject, 4)
    log_prob = partial(model.log_prob, x)
    cases: list[tuple[str, Callable[..., Any], dict[str, Tensor]]] = [
        ("no contexts", log_prob, {}),
        ("no contexts", model.sample, {}),
        ("one context for 4 events", log_prob, {"given": y[:1]}),
        ("3 contexts for 4 events", log_prob, {"given": y[:3]}),
        *(("a column too many", use, {"given": torch.cat([y, y[:, :1]], 1)}) for use in (log_prob, model.sample)),
        *(("a column too few", use, {"given": y[:, :-1]}) for use in (log_prob, model.sample)),
    ]
    for what, use, given in cases:
        try:
            use(**given)
        except (ContrastiveError, TypeError):  # a TypeError says that an argument is missing, or what its shape must be
            continue
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            require(False, f"{what}: raise a ContrastiveError (see require_contexts), not {raised}")
        require(False, f"it takes {what}, and pairs events with contexts as it can: see require_contexts")


@collect(CONDITIONAL)
@torch.no_grad()
def _context_matters(subject: Subject) -> None:
    """log q(x | y) changes with every column of y."""
    model, x, y = _drawn(subject, _ROWS)
    before = model.log_prob(x, given=y)
    for column in range(y.shape[1]):
        moved = y.clone()
        moved[:, column] += 1
        change = gap(model.log_prob(x, given=moved), before)
        require(
            change > _LEAST_CHANGE,
            f"log_prob is the same, to {change:.1g} nats, when column {column} of the contexts changes: it is ignored",
        )


@collect(CONDITIONAL)
@torch.no_grad()
def _contexts_do_not_leak(subject: Subject) -> None:
    """The score of a row depends on no other row's context, in either mode."""
    model, x, y = _drawn(subject, _ROWS)
    for mode in ("eval", "train"):
        if isinstance(model, nn.Module):
            model.train(mode == "train")
        whole = model.log_prob(x, given=y)
        for row in (0, _ROWS // 2):
            others = 3 - 2 * y  # another mean and spread too
            others[row] = y[row]
            change = gap(model.log_prob(x, given=others)[row], whole[row])
            require(
                change <= _PRECISION * (1 + float(whole[row].abs())),
                f"the score of a row changes by {change:.3g} nats with the contexts of the other rows ({mode} mode): "
                "rows are paired wrongly, or contexts are normalised by the batch",
            )


@collect(CONDITIONAL)
def _gradient_in_context(subject: Subject) -> None:
    """The gradient of log_prob in the context exists, is finite, and is that of finite differences."""
    model, x, y = _drawn(subject, _ROWS)
    y.requires_grad_()
    log_q = model.log_prob(x, given=y)
    require(log_q.requires_grad, "log_prob has no graph")
    (gradient,) = torch.autograd.grad(log_q.sum(), y, allow_unused=True)
    require(gradient is not None, "log_prob has no gradient in the context: it is detached on the way")
    require(bool(gradient.isfinite().all()), "the gradient of log_prob in the context is not finite")
    direction = torch.randn_like(y)
    with torch.no_grad():
        above, below = (model.log_prob(x, given=y + step * direction) for step in (1e-6, -1e-6))
    rise, slope = (above - below) / 2e-6, (gradient * direction).sum(1)
    agrees = (rise - slope).abs() <= 1e-3 * (1 + slope.abs())
    require(
        float(agrees.double().mean()) > 0.9,  # a kink may lie between
        f"the gradient of log_prob in the context is {gap(rise, slope):.3g} off finite differences: a part of it is "
        "detached, or computed in float32",
    )


@collect(CONDITIONAL)
@torch.no_grad()
def _finite_at_far_contexts(subject: Subject) -> None:
    """At contexts of size 1e3 and 1e6 log_prob is never NaN or +inf; at 1e3 draws are finite."""
    model, x, y = _drawn(subject, 200)
    for size in _FAR:
        far = size * torch.randn_like(y)
        log_q = model.log_prob(x, given=far)
        bad = int((log_q.isnan() | (log_q == torch.inf)).sum())
        require(bad == 0, f"log_prob is NaN or +inf at {bad} of 200 contexts of size {size:g}: bound the scales")
        if size <= _FARTHEST_DRAWN:
            bad = int((~model.sample(given=far).isfinite()).flatten(1).any(1).sum())
            require(bad == 0, f"{bad} of 200 draws at contexts of size {size:g} are not finite")


@collect(CONDITIONAL)
@torch.no_grad()
def _fit_pairs_rows_with_contexts(subject: Subject) -> None:
    """A fit learns from the pairs: other events are likelier at their own contexts than at those of other rows."""
    model = subject.fresh()
    if not isinstance(model, FittableNoise):
        raise NotApplicable("it has no fit of its own")
    noise: Any = model  # its fit takes contexts
    x, y = _rows(subject, 2 * _FIT_ROWS)
    x = x + 3 * x.std() * ((y - y.mean(0)) / y.std(0)).mean(1, keepdim=True)
    noise.fit(x[:_FIT_ROWS], given=y[:_FIT_ROWS])
    require(bool(model.is_fitted), "is_fitted is still False after fit(x, given=y)")
    x, y = x[_FIT_ROWS:], y[_FIT_ROWS:]
    own, other = (float(noise.log_prob(x, given=given).mean()) for given in (y, y.roll(1, 0)))
    require(
        own > other + _LEAST_GAIN,
        f"after a fit the mean log-density is {own:.3g} at the right contexts and {other:.3g} at wrong ones: fit does "
        "not learn from the pairs of x and y",
    )


def at_contexts(check: Check) -> Check:
    """A check of noises as one of q(. | y) at each of several y, which share its rows and its false-alarm rate."""

    def run(subject: Subject) -> None:
        model = subject.model()
        rows, false_alarm = subject.rows // _CONTEXTS, subject.false_alarm / _CONTEXTS
        part = replace(subject, kind="noise", context_shape=(), rows=rows, false_alarm=false_alarm)
        contexts, skipped = _apart(_contexts(subject, 100)), []
        for i, y in enumerate(contexts):
            others = contexts[torch.arange(len(contexts)) != i]
            try:
                check.run(replace(part, factory=partial(at_context, model, y, others)))
            except NotApplicable as reason:
                skipped.append(reason)
            except CheckFailed as failure:
                raise CheckFailed(f"given y = {[round(v, 2) for v in y.tolist()]}: {failure}") from failure
        if len(skipped) == _CONTEXTS:
            raise skipped[0]

    return Check(check.name, f"At each of {_CONTEXTS} contexts: {check.proves}", run)


def over_rows(check: Check) -> Check:
    """A check of noises as one of the noise over joint rows (x, y)."""
    return Check(check.name, f"Over rows (x, y): {check.proves}", lambda subject: check.run(subject.over_rows()))


def _rows(subject: Subject, n: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"]]:
    """Events and their contexts."""
    rows = subject.over_rows().data(n)
    return rows[:, : subject.dim], rows[:, subject.dim :]


def _contexts(subject: Subject, n: int) -> Float[Tensor, "n k"]:
    return _rows(subject, n)[1]


def _apart(contexts: Float[Tensor, "n k"]) -> Float[Tensor, "few k"]:
    """A few of them, from one side of the data to the other: no one is the mean of all."""
    order = ((contexts - contexts.mean(0)) / contexts.std(0)).sum(1).argsort()
    return contexts[order[torch.linspace(0.1, 0.9, _CONTEXTS).mul(len(order)).long()]]


def _drawn(subject: Subject, n: int) -> tuple[Any, Float[Tensor, "n d"], Float[Tensor, "n k"]]:
    """The model, a draw for each of `n` contexts, and these."""
    model = subject.model()
    y = _contexts(subject, n)
    return model, model.sample(given=y).detach(), y


def _named(names: str) -> list[Check]:
    checks = {check.name: check for check in (*BEHAVIOUR, *GRADIENTS, *BIJECTION, *DENSITY)}
    return [checks[name] for name in names.split()]


#: As a noise over joint rows. `JointNoise` gives these rows their shapes, so the checks of shapes are its own.
OVER_ROWS = _named(
    "float64 finite batch-independence input-is-untouched use-changes-nothing modes-agree copies "
    "refuses-before-initialization device gradient-of-log-prob one-pass-agrees-with-two gradient-is-pathwise "
    "sees-an-optimizer-step score-identity"
)
#: As q(. | y).
AT_CONTEXTS = [check for check in (*_named("seeds"), *BIJECTION, *DENSITY) if check.name != "score-identity"]
CONDITIONAL += [*map(over_rows, OVER_ROWS), *map(at_contexts, AT_CONTEXTS)]
