"""The kit catches every planted defect by the check that is meant to, and passes what is right."""

import pytest
from helpers.paths import ROOT

from benchmarks.lib.conditional_defects import CONDITIONAL_CORRECT, CONDITIONAL_DEFECTS
from benchmarks.lib.defects import (
    BIJECTION_DEFECTS,
    ENERGY_DEFECTS,
    NOISE_DEFECTS,
    Autoregressive,
    Energy,
    Flow,
    Layer,
    Logit,
)
from contrastive.testing import (
    check_bijection,
    check_conditional_noise,
    check_energy_model,
    check_noise_model,
    make_subject,
    outcomes_of,
)

DEFECTS = NOISE_DEFECTS + ENERGY_DEFECTS + BIJECTION_DEFECTS + CONDITIONAL_DEFECTS


def verdict(defect, kind, shape, check=None):
    subject = make_subject(defect.model, kind, shape)
    (outcome,) = outcomes_of(subject, [check or defect.check])
    return outcome


@pytest.mark.parametrize("defect", NOISE_DEFECTS, ids=lambda d: d.name)
def test_a_broken_noise_is_caught_by_the_check_that_names_it(defect):
    outcome = verdict(defect, "noise", (2,))
    assert outcome.verdict == "failed", outcome
    assert "raised" not in outcome.reason, outcome.reason


@pytest.mark.parametrize("defect", ENERGY_DEFECTS, ids=lambda d: d.name)
def test_a_broken_energy_is_caught(defect):
    assert verdict(defect, "energy", (2,)).verdict == "failed"


@pytest.mark.parametrize("defect", BIJECTION_DEFECTS, ids=lambda d: d.name)
def test_a_broken_layer_is_caught(defect):
    assert verdict(defect, "bijection", (3,)).verdict == "failed"


@pytest.mark.parametrize("defect", CONDITIONAL_DEFECTS, ids=lambda d: d.name)
def test_a_broken_conditional_noise_is_caught_by_the_check_that_names_it(defect):
    outcome = verdict(defect, "conditional", (2,))
    assert outcome.verdict == "failed", outcome
    assert "raised" not in outcome.reason, outcome.reason


@pytest.mark.parametrize("model", CONDITIONAL_CORRECT)
def test_a_correct_conditional_noise_passes(model):
    check_conditional_noise(model, event_shape=(2,))


@pytest.mark.parametrize("model", [Flow, Autoregressive, Logit])
@pytest.mark.parametrize("seed", range(3))
def test_a_correct_noise_passes(model, seed):
    check_noise_model(model, event_shape=(2,), seed=seed)


def test_a_correct_energy_and_a_correct_layer_pass():
    check_energy_model(Energy, event_shape=(2,))
    check_bijection(Layer, (3,))


def test_the_docs_name_every_defect_with_its_check():
    page = (ROOT / "docs" / "how-to" / "testing.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line.startswith("| ") and "`" in line]
    assert table == [defect.row for defect in DEFECTS]
