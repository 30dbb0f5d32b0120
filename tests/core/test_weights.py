"""Weights in the core: the contrast and c are those of repeated rows."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Independent, Normal

from contrastive import make_energy
from contrastive.core.estimator import Estimator
from contrastive.metrics import classification, evaluate, hdr_level
from contrastive.metrics.evaluation import noise_quality
from contrastive.objectives import OBJECTIVES, make_objective
from contrastive.objectives.protocol import SamplingObjective

N = 40
Z = torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
COUNTS = torch.randint(1, 4, (N,), generator=torch.Generator().manual_seed(1))
WEIGHTS, REPEATED = COUNTS.double() / 10, Z.repeat_interleave(COUNTS, 0)
#: Those that draw no points of their own, whose contrast `fit` alone weights (by the rows that it draws).
PLAIN = [name for name in OBJECTIVES if not isinstance(make_objective(name), SamplingObjective) and name != "ranking"]


def estimator(objective="nce"):
    torch.manual_seed(3)
    noise = Independent(Normal(torch.zeros(2), 1.5 * torch.ones(2)), 1)
    return Estimator(make_energy("mlp", event_shape=(2,), widths=(8,)), noise, objective=objective)


@pytest.mark.parametrize("objective", PLAIN)
def test_the_data_term_and_its_gradient_are_those_of_repeated_rows(objective):
    model = estimator(objective)
    terms = [model.contrast(Z, sample_weight=WEIGHTS).data_term, model.contrast(REPEATED).data_term]
    torch.testing.assert_close(*terms)
    gradients = [torch.cat([g.flatten() for g in torch.autograd.grad(t, model.energy.parameters())]) for t in terms]
    torch.testing.assert_close(*gradients)


def test_all_that_is_said_of_a_contrast_is_by_weight():
    model = estimator()
    noise = torch.randn(50)
    with torch.no_grad():
        weighted, repeated = model.contrast(Z, sample_weight=WEIGHTS), model.contrast(REPEATED)
    pair = [replace(each, r_noise=noise, noise_term=noise.mean()).detached() for each in (weighted, repeated)]
    for name in ("loss", "accuracy", "twice_jsd"):
        torch.testing.assert_close(*(getattr(each, name) for each in pair))
    assert noise_quality(pair[0]) == pytest.approx(noise_quality(pair[1]))


def solved(z, weights=None):
    """c against the same 1,000 draws of the noise, whatever the number of rows."""
    model = estimator()
    model.noise_per_data = 1000 / len(z)
    torch.manual_seed(5)
    model.solve_log_normalizer(z, weights)
    return float(model.log_normalizer.detach())


def test_c_is_that_of_repeated_rows():
    assert solved(Z, WEIGHTS) == pytest.approx(solved(REPEATED), abs=1e-6)
    assert solved(Z, 1000 * WEIGHTS) == pytest.approx(solved(Z, WEIGHTS), abs=1e-9)
    assert abs(solved(Z, WEIGHTS) - solved(Z)) > 1e-4


def test_an_objective_with_a_solver_of_its_own_gets_rows_by_weight():
    seen, weights = [], torch.zeros(N, dtype=torch.float64)
    weights[5] = 1.0

    class Solving:
        def __call__(self, r_data, r_noise, noise_ratio):
            return -r_data, r_noise

        def solve_log_normalizers(self, energy, z, z_noise):
            seen.append(z)

    model = estimator()
    model.objective = Solving()
    model.solve_log_normalizer(Z, weights)
    assert torch.equal(seen[0], Z[5].expand(N, 2))


def test_figures_are_those_of_repeated_rows():
    model = estimator()
    weighted, repeated = evaluate(model, Z, sample_weight=WEIGHTS), evaluate(model, REPEATED)
    for name in ("test_log_prob_noise", "test_log_prob_energy", "test_gain", "value_data", "overlap", "relative_ess"):
        assert weighted[name] == pytest.approx(repeated[name], abs=1e-5), name
    scaled = evaluate(model, Z, sample_weight=1000 * WEIGHTS)
    assert scaled == pytest.approx(weighted)
    assert weighted["test_gain"] != pytest.approx(evaluate(model, Z)["test_gain"], abs=1e-5)


def test_the_level_of_a_row_is_the_weight_of_those_that_are_more_likely():
    log_p, held_out = torch.tensor([0.0, 1.0, 2.5, torch.nan]), torch.tensor([1.0, 2.0, 3.0, torch.nan])
    found = hdr_level(log_p, held_out, torch.tensor([1.0, 2.0, 1.0, 9.0], dtype=torch.float64))
    repeated = hdr_level(log_p, torch.tensor([1.0, 2.0, 2.0, 3.0]))
    torch.testing.assert_close(found, repeated, equal_nan=True)


def test_a_classifier_is_judged_by_weight():
    torch.manual_seed(0)
    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    model = Estimator(make_energy("mlp", event_shape=(2,), widths=(8,), num_classes=2), noise)
    y = torch.arange(N) % 2
    y[0] = -1
    found = classification(model, Z, y, WEIGHTS)
    assert found == pytest.approx(classification(model, REPEATED, y.repeat_interleave(COUNTS)), abs=1e-6)
