"""Choice of the noise by held-out likelihood, before the energy is trained."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from contrastive.errors import ContrastiveError
from contrastive.noises.candidates import Options, candidates_of, ladders
from contrastive.noises.stack import stacking_weights
from contrastive.numerics.row_weights import effective_size, weighted_mean, weights_of
from contrastive.numerics.statistics import mean_with_error
from contrastive.registry import available_noises, noises
from contrastive.training.likelihood_fit import fit_noise, log_prob_in_parts

_FOLDED, _FOLDS = 2_000, 5  # rows below which every row is scored in turn
_HELD_OUT, _MOST_HELD_OUT = 0.2, 5_000
_WORSE_RUNGS = 2  # in a row, after which a ladder is left
_FEWEST = 10
_STACK, _LEAST_WEIGHT = "stack", 0.03

Part = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Trial:
    """A candidate and what came of it.

    Attributes:
        name: of the noise.
        options: of its factory.
        log_q: held-out log q of every scored row in nats, the same rows for all candidates; None if it failed.
        seconds: of all its fits and scores.
        error: why it failed; None if it did not.
        sample_weight: of the scored rows, by which means over them are taken; None for equal ones.
    """

    name: str
    options: Options
    log_q: Float[Tensor, " n"] | None
    seconds: float
    error: str | None = None
    sample_weight: Float[Tensor, " n"] | None = None

    @property
    def mean(self) -> float:
        """Mean held-out log q a row, in nats; -inf if it failed."""
        return -math.inf if self.log_q is None else float(weighted_mean(self.log_q, self.sample_weight))

    @property
    def label(self) -> str:
        """Name and options, on one line."""
        if self.name == _STACK:
            shares = zip(self.options["weights"], self.options["parts"])
            return "stack of " + ", ".join(f"{weight:.2f} {_label(**part)}" for weight, part in shares)
        return _label(self.name, **self.options)

    def difference(self, other: "Trial") -> tuple[float, float]:
        """Mean of the paired differences of log q to `other`, in nats a row, and its standard error."""
        assert self.log_q is not None
        assert other.log_q is not None
        return mean_with_error(self.log_q - other.log_q, self.sample_weight)


@dataclass(frozen=True)
class Selection:
    """The noise that was chosen, and every candidate.

    Attributes:
        chosen: the best candidate; fit it to all rows by `fit_noise(chosen.name, chosen.options, z)`.
        trials: of all candidates in the order in which they were tried, failed ones too.
        scored_rows: rows whose held-out log q was counted.
        folds: folds of the cross-validation; 1 for one held-out part.
        skipped: candidates that the budget left no time for.
    """

    chosen: Trial
    trials: list[Trial]
    scored_rows: int
    folds: int
    skipped: int = 0

    def table(self) -> list[dict[str, Any]]:
        """A dictionary a candidate, best first: its scores, and the paired difference to the best with its error."""
        best = max(self.trials, key=lambda trial: trial.mean)
        return [_row(trial, best) for trial in sorted(self.trials, key=lambda trial: -trial.mean)]

    def __str__(self) -> str:
        """The table as text, with the failures below."""
        lines = [f"{'log q':>10} {'to best':>9} {'±':>6} {'s':>6}  noise"]
        for row in self.table():
            if row["error"] is None:
                figures = f"{row['log_q']:10.3f} {row['difference']:+9.3f} {row['difference_error']:6.3f}"
                lines.append(f"{figures} {row['seconds']:6.1f}  {row['label']}")
        lines += [f"{row['label']} failed: {row['error']}" for row in self.table() if row["error"] is not None]
        return "\n".join(lines)


def _label(name: str, **options: Any) -> str:
    return " ".join([name, *(f"{option}={value}" for option, value in options.items())])


def _row(trial: Trial, best: Trial) -> dict[str, Any]:
    gap, error = (None, None) if trial.log_q is None else trial.difference(best)
    return {
        "name": trial.name,
        "options": trial.options,
        "label": trial.label,
        "log_q": None if trial.log_q is None else trial.mean,
        "difference": gap,
        "difference_error": error,
        "seconds": trial.seconds,
        "error": trial.error,
    }


def select_noise(
    z: Float[Tensor, "n *event"],
    *,
    sample_weight: Float[Tensor, " n"] | None = None,
    names: Sequence[str] | None = None,
    num_given: int = 0,
    seed: int = 0,
    budget: float | None = None,
    progress: Callable[[Trial], None] | None = None,
    stacked: bool | None = None,
) -> Selection:
    """Choose the noise with the largest mean held-out log q among what the registered noises propose, or a stack.

    Below 2,000 rows every row is scored once, by 5-fold cross-validation; of more rows a random fifth is held out, at
    most 5,000. A noise that is trained by gradient steps stops early by other rows than those it is scored on. Growing
    candidates of one noise (`contrastive.noises.candidates`) are left when two in a row are worse than a smaller one.

    The best of each ladder are then stacked (`contrastive.noises.Stack`), with the weights of largest held-out
    likelihood. A stack has the log q of rows that its weights were not chosen by, and is taken where it is ahead of the
    best candidate by more than a standard error.

    The answer depends on rows and seed alone, unless the budget ends it.

    Args:
        z: training rows in model coordinates, none of the rows by which the run is judged.
        sample_weight: how often each row counts, up to a common factor: in fits, means and weights of the stack. The
            candidates are those for as many rows as count (`effective_size`).
        names: of the noises to ask for candidates; all that are registered, if None.
        num_given: how many of the last columns are given: then noises that condition are tried alone.
        seed: of the split and of every fit.
        budget: seconds after which no candidate is begun, and gradient steps end; the first is always tried.
        progress: called with every trial, as it ends.
        stacked: whether to try a stack; only if `names` is None and nothing is given, unless told. A mixture of
            conditional densities that are each calibrated is too wide (Gneiting & Ranjan 2013, "Combining predictive
            distributions", theorem 3.1), however good its likelihood.

    Raises:
        ContrastiveError: for fewer than 10 rows, an unknown name, or if every candidate failed.
    """
    if len(z) < _FEWEST:
        raise ContrastiveError(f"{len(z)} rows are too few to choose a noise by: it takes {_FEWEST}")
    deadline = math.inf if budget is None else time.monotonic() + budget
    parts = held_out_parts(len(z), seed)
    if names is None and num_given:
        names = noises.conditional_names()
    climbs, trials = _proposals(names, round(effective_size(sample_weight, len(z))), tuple(z.shape[1:]), num_given)
    rows = _Rows(z, sample_weight)
    skipped, tops = 0, list[Trial]()
    for name, rungs in climbs:
        climb: list[Trial] = []
        for options in rungs:
            if trials and time.monotonic() > deadline:
                skipped += 1
            elif not _is_past_its_top(climb):
                climb.append(_try(name, options, rows, parts, num_given, seed, deadline))
                trials.append(climb[-1])
                if progress is not None:
                    progress(climb[-1])
        tops += [max(climb, key=lambda trial: trial.mean)] if climb else []
    chosen = max(trials, key=lambda trial: trial.mean, default=None)
    if chosen is None or chosen.log_q is None:
        reasons = "; ".join(f"{trial.label}: {trial.error}" for trial in trials)
        raise ContrastiveError(f"no noise could be fitted: {reasons or 'none proposes candidates for these data'}")
    if names is None if stacked is None else stacked:
        stack = _stack(tops, seed)
        if stack is not None:
            trials.append(stack)
            gain, error = stack.difference(chosen)
            chosen = stack if gain > error else chosen
            if progress is not None:
                progress(stack)
    assert chosen.log_q is not None
    return Selection(chosen, trials, len(chosen.log_q), len(parts), skipped)


def _stack(tops: list[Trial], seed: int) -> Trial | None:
    """A stack of candidates; None where fewer than two have a share.

    Its weights are those of all scored rows, its log q is that of each half of them by the weights of the other.
    """
    started = time.monotonic()
    tops = [top for top in tops if top.log_q is not None]
    if len(tops) < 2:
        return None
    log_q, weight = torch.stack([top.log_q for top in tops if top.log_q is not None], 1), tops[0].sample_weight
    halves = torch.randperm(len(log_q), generator=torch.Generator().manual_seed(seed)).tensor_split(2)
    scores = torch.empty(len(log_q), dtype=log_q.dtype)
    for own, other in (halves, halves[::-1]):
        of_others = stacking_weights(log_q[other], weights_of(weight, other))
        scores[own] = _log_stack(log_q[own], _without_crumbs(of_others))
    weights = _without_crumbs(stacking_weights(log_q, weight))
    kept = [(top, float(weight)) for top, weight in zip(tops, weights) if weight > 0]
    if len(kept) < 2:
        return None
    parts = [{"name": top.name, **top.options} for top, _ in kept]
    options = {"parts": parts, "weights": [round(weight, 4) for _, weight in kept]}
    return Trial(_STACK, options, scores, time.monotonic() - started, sample_weight=weight)


def _log_stack(log_q: Float[Tensor, "n k"], weights: Float[Tensor, " k"]) -> Float[Tensor, " n"]:
    return (log_q + weights.log()).logsumexp(1)


def _without_crumbs(weights: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """Weights without the smallest: each part is fitted again, and costs a pass in every score."""
    weights = torch.where(weights < _LEAST_WEIGHT, 0.0, weights)
    return weights / weights.sum()


def _proposals(
    names: Sequence[str] | None, rows: int, event_shape: tuple[int, ...], num_given: int
) -> tuple[list[tuple[str, list[Options]]], list[Trial]]:
    """Ladders of candidates, those without gradient steps first, and noises that could not be asked."""
    climbs, failed = [], []
    for name in available_noises() if names is None else names:
        try:
            options = candidates_of(noises.load(name), rows, event_shape, num_given)
        except Exception as error:
            if names is not None and isinstance(error, ContrastiveError):
                raise
            failed.append(Trial(name, {}, None, 0.0, _reason(error)))
            continue
        climbs += [(name, rungs) for rungs in ladders(options)]
    return climbs, failed


def held_out_parts(n: int, seed: int) -> list[Part]:
    """Row numbers to fit and to score: five folds, or one held-out part of many rows."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    if n < _FOLDED:
        folds = order.tensor_split(_FOLDS)
        return [(torch.cat([*folds[:i], *folds[i + 1 :]]), folds[i]) for i in range(_FOLDS)]
    held = min(round(n * _HELD_OUT), _MOST_HELD_OUT)
    return [(order[held:], order[:held])]


def _is_past_its_top(climb: list[Trial]) -> bool:
    """Whether the last rungs of a ladder are all worse than one below, or failed."""
    below = climb[:-_WORSE_RUNGS]
    return bool(below) and max(t.mean for t in climb[-_WORSE_RUNGS:]) < max(t.mean for t in below)


class _Rows(NamedTuple):
    z: Float[Tensor, "n *event"]
    sample_weight: Float[Tensor, " n"] | None

    def part(self, rows: Tensor) -> "_Rows":
        return _Rows(self.z[rows.to(self.z.device)], weights_of(self.sample_weight, rows))


def _try(
    name: str, options: Options, rows: _Rows, parts: list[Part], num_given: int, seed: int, deadline: float
) -> Trial:
    started = time.monotonic()
    log_q, error = None, None
    how: dict[str, Any] = {"num_given": num_given, "seed": seed, "deadline": deadline}
    try:
        log_q = torch.cat(list(_scores(name, options, rows, parts, how)))
        if unscored := int((~log_q.isfinite()).sum()):
            log_q, error = None, f"log q is not finite at {unscored} of {len(rows.z)} rows"
    except Exception as failure:  # of third parties' code too: one candidate must not end the others
        error = _reason(failure)
    weight = rows.part(torch.cat([scored for _, scored in parts])).sample_weight
    return Trial(name, options, log_q, time.monotonic() - started, error, None if weight is None else weight.cpu())


def _scores(
    name: str, options: Options, rows: _Rows, parts: list[Part], how: dict[str, Any]
) -> Iterator[Float[Tensor, " s"]]:
    for fitting, scored in parts:
        z, weight = rows.part(fitting)
        noise = fit_noise(name, options, z, sample_weight=weight, **how)
        yield log_prob_in_parts(noise, rows.part(scored).z).double().cpu()


def _reason(error: Exception) -> str:
    kind = "" if isinstance(error, ContrastiveError) else f"{type(error).__name__}: "
    return kind + (str(error).splitlines() or [""])[0]
