"""Every registered noise that conditions, through the conformance kit; and the kit's own views of q(x | y)."""

import re
from functools import partial

import pytest
import torch
from helpers.paths import ROOT
from helpers.registered import options_of
from helpers.runs import refused

from contrastive import ContrastiveError
from contrastive.cli.main import main
from contrastive.registry import noises
from contrastive.testing import CheckFailed, check_conditional_noise, make_subject, outcomes_of, parametrize_with_checks
from contrastive.testing.conditional import CONDITIONAL, at_contexts
from contrastive.testing.core import Check

#: What makes the larger ones quick, besides what tests of plain noises give them.
SMALL = {
    "glow": {"depth": 2, "width": 8},
    "made": {"width": 16, "components": 3},
    "gaussian-mixture": {"components": 3},
}
#: Inverses by bisection: their density is checked without draws.
SLOW = {"zuko/bpf", "zuko/sospf", "zuko/naf"}
PROMISES = [
    "protocol", "shapes", "refuses-wrong-contexts", "context-matters", "contexts-do-not-leak", "gradient-in-context",
    "finite-at-far-contexts", "fit-pairs-rows-with-contexts", "batch-independence", "refuses-before-initialization",
    "one-pass-agrees-with-two",
]  # fmt: skip


def subject_of(name, d, k, **settings):
    options = options_of(name) | SMALL.get(name, {})
    make = partial(noises.make, name, event_shape=(d,), context_shape=(k,), **options)
    return make_subject(make, "conditional", (d,), (k,), **settings)


def failures(subject, only):
    return [
        f"{outcome.check}: {outcome.reason}" for outcome in outcomes_of(subject, only) if outcome.verdict == "failed"
    ]


@pytest.mark.parametrize("name", noises.conditional_names())
def test_a_conditional_noise_keeps_its_promises(name):
    assert not failures(subject_of(name, 2, 2), PROMISES)


@pytest.mark.parametrize("name", noises.conditional_names())
def test_it_is_the_density_of_its_draws_at_each_context(name):
    """False alarm 1e-6, each."""
    statistical = ["normalization"] if name in SLOW else ["normalization", "draws-match-density"]
    assert not failures(subject_of(name, 1, 2, rows=3000), statistical)


@parametrize_with_checks(["gaussian"], kind="conditional", event_shape=(2,), context_shape=(1,), only=PROMISES[:4])
def test_each_check_is_a_test_of_its_own(check):
    check()


class Line(torch.nn.Module):
    """x = y + 3; it remembers at which contexts it was drawn, whichever copy was."""

    event_shape, context_shape, batches = torch.Size([1]), torch.Size([1]), []

    def sample(self, *, given):
        self.batches.append(given)
        return given + 3

    def log_prob(self, value, *, given):
        return -(value - given - 3).abs().squeeze(1)


def views(check, model):
    """What a check of noises is given of a conditional one."""
    seen = []
    run = at_contexts(Check("any", "any", lambda subject: (seen.append(subject), check(subject))))
    run.run(make_subject(model, "conditional", rows=900))
    return seen


def test_draws_at_one_context_are_made_among_others():
    Line.batches.clear()
    drawn = []
    views(lambda subject: drawn.append(subject.model().sample(torch.Size([2, 3]))), Line())
    assert len(drawn) == len(Line.batches) == 3
    for x, batch in zip(drawn, Line.batches):
        assert x.shape == (2, 3, 1)
        assert len(batch) == 12
        assert len(batch[::2].unique()) == 1, "every other row is at the context that is checked"
        assert len(batch.unique()) == 3
        torch.testing.assert_close(x.reshape(-1, 1), batch[::2] + 3)


def test_rows_and_false_alarms_are_shared_by_the_contexts():
    seen = views(lambda subject: None, Line())
    assert sum(subject.rows for subject in seen) == 900
    assert sum(subject.false_alarm for subject in seen) == pytest.approx(1e-6)


def test_a_finding_says_at_which_context():
    with pytest.raises(CheckFailed, match=r"^given y = \[-?[\d.]+\]: wrong"):
        views(lambda subject: (_ for _ in ()).throw(CheckFailed("wrong")), Line())


def test_several_findings_are_told_in_one_error():
    """A model without `fit` that ignores its contexts and takes any number of them."""
    with pytest.raises(CheckFailed, match=r"(?s)refuses-wrong-contexts: .*context-matters: "):
        check_conditional_noise(Deaf, only=["refuses-wrong-contexts", "context-matters"])


class Deaf(Line):
    def log_prob(self, value, *, given):
        return -value.abs().squeeze(1)


def test_every_check_of_conditionals_has_its_own_name():
    names = [check.name for check in CONDITIONAL]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("kde", {}, "cannot condition on given columns"),
        ("gaussian", {"event_shape": (2, 2)}, "over vectors given vectors"),
        (lambda: torch.nn.Linear(2, 2), {}, "no event_shape"),
        (lambda: torch.nn.Linear(2, 2), {"event_shape": (2,)}, "no context_shape"),
    ],
)
def test_what_cannot_condition_is_refused(target, settings, message):
    with pytest.raises(ContrastiveError, match=message):
        make_subject(target, "conditional", **settings).fresh()


def test_the_command_checks_the_conditional_counterpart(capsys):
    assert main(["check", "gaussian", "--given", "1", "--dim", "1", "--only", "normalization,context-matters"]) == 0
    assert "gaussian over events of shape (1,) given 1: 2 passed, 0 failed" in capsys.readouterr().out
    typed = "benchmarks.lib.conditional_defects:ContextIgnored"
    assert main(["check", typed, "--given", "2", "--only", "context-matters"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gaussian", "--given", "0"], "number of columns"),
        (["mlp", "--given", "1"], "is an energy"),
        (["kde", "--given", "1"], "take one of"),
        (["glow", "--given", "1", "--event-shape", "3,8,8"], "over vectors given vectors"),
    ],
)
def test_the_command_refuses_what_cannot_condition(arguments, message, capsys):
    assert message in refused(capsys, "check", *arguments)


def test_the_tutorials_noise_passes():
    page = (ROOT / "docs" / "tutorials" / "writing-a-noise.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import.*?class LaplaceRegression.*?)```", page, re.DOTALL)
    names = {}
    exec(code, names)
    check_conditional_noise(names["LaplaceRegression"], event_shape=(2,), context_shape=(1,), rows=6000)
