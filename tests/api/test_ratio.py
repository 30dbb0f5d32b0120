"""Log-ratios of two samples and of a joint law to its margins, by whole fits."""

import io
import math

import numpy as np
import pandas as pd
import pytest
import torch

from contrastive import ContrastiveError, fit_ratio, mutual_information
from contrastive.errors import ContrastiveWarning
from contrastive.objectives import OBJECTIVES

ROWS = 600
QUICK = {"steps": 150, "quiet": True}


def sample(n, seed, shift=0.0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) + torch.tensor([shift, 0.0])


A, B = sample(ROWS, 1, shift=1.0), sample(ROWS, 2)
FRESH = torch.cat([sample(300, 3, shift=1.0), sample(300, 4)])
TRUTH = FRESH[:, 0] - 0.5


def frame(x, names=("age", "height")):
    return pd.DataFrame(x.numpy(), columns=list(names))


@pytest.fixture(scope="module")
def estimate():
    return fit_ratio(A, B, quiet=True)


def test_log_ratio_of_gaussians_is_the_known_one(estimate):
    assert (estimate.log_ratio(FRESH) - TRUTH).square().mean().sqrt() < 0.3
    torch.testing.assert_close(estimate.ratio(FRESH), estimate.log_ratio(FRESH).exp())
    assert estimate.test.rejects
    assert estimate.kl.low < 0.5 < estimate.kl.high
    assert not estimate.warning
    assert estimate.weights(B).effective_size < ROWS / 1.5


def test_figures_are_those_of_rows_that_trained_nothing(estimate):
    of_a, of_b = estimate.data.held_out
    torch.testing.assert_close(estimate.held_out[0], estimate.log_ratio(A[of_a]))
    torch.testing.assert_close(estimate.held_out[1], estimate.log_ratio(B[of_b]))
    assert len(of_a) == len(of_b) == ROWS // 4
    z = estimate.estimator.model_coordinates(B[of_b])
    for rows in (estimate.data.noise.rows, estimate.data.data.held_out_noise.rows):
        assert not (z[:, None] == rows).all(2).any()


def test_ratio_is_the_same_in_all_units_and_for_columns_in_any_order(estimate):
    unit, zero = torch.tensor([1000.0, 0.01]).double(), torch.tensor([5.0, -3.0]).double()
    a, b = (frame(x.double() * unit + zero) for x in (A, B))
    other = fit_ratio(a, b[["height", "age"]].assign(height=b["height"]), quiet=True)
    fresh = frame(FRESH.double() * unit + zero)[["height", "age"]]
    # Float32 arithmetic on standardised rows that differ in their last digits, over hundreds of updates.
    torch.testing.assert_close(other.log_ratio(fresh), estimate.log_ratio(FRESH), atol=0.02, rtol=0.02)
    assert other.estimator.columns == ("age", "height")


@pytest.mark.parametrize("objective", sorted(set(OBJECTIVES) - {"conditional"}))
def test_every_objective_learns_the_ratio(objective):
    found = fit_ratio(A, B, objective=objective, **QUICK).log_ratio(FRESH)
    assert np.corrcoef(found, TRUTH)[0, 1] > 0.9
    assert abs(float((found - TRUTH).mean())) < 0.3


def test_an_objective_that_never_sees_b_is_refused():
    with pytest.raises(ContrastiveError, match="never looks at B"):
        fit_ratio(A, B, objective="conditional")


def test_noise_ratio_and_an_energy_of_ones_own_change_no_units():
    linear = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0))
    found = fit_ratio(A, B, energy=linear, noise_ratio=4.0, game={"energy": {"learning_rate": 0.05}}, **QUICK)
    assert (found.log_ratio(FRESH) - TRUTH).square().mean().sqrt() < 0.25
    assert abs(found.calibration.mean_ratio - 1) < 0.3


def test_few_rows_of_one_law_in_many_columns_are_not_told_apart():
    """60 rows in 20 columns, which a network that never stopped would separate."""
    a, b = torch.randn(60, 20), torch.randn(60, 20)
    fresh = torch.randn(500, 20)
    stopped = fit_ratio(a, b, steps=200, quiet=True)
    never = fit_ratio(a, b, quiet=True, steps=300, run={"early_stopping": 0})
    assert stopped.log_ratio(fresh).square().mean().sqrt() < 0.5
    assert never.log_ratio(fresh).square().mean().sqrt() > 1.5
    assert never.twice_jsd.value < 0
    assert "no better than 1 everywhere" in str(never)


def test_mutual_information_of_gaussians_is_the_known_one():
    x = torch.randn(2000, 2)
    y = 0.8 * x[:, 0] + 0.6 * torch.randn(2000)
    found = mutual_information(x, y.numpy(), **QUICK)
    truth = -math.log(0.6)
    assert found.low < truth < found.high
    assert found.high - found.low < 0.3


@pytest.fixture(scope="module")
def simulations():
    """Theta uniform, x normal about it: a frame with another column between."""
    theta = torch.rand(1500, generator=torch.Generator().manual_seed(5)) * 4 - 2
    x = theta + 0.5 * torch.randn(1500, generator=torch.Generator().manual_seed(6))
    return pd.DataFrame({"x": x.numpy(), "other": 0.0, "theta": theta.numpy()})


def test_posterior_is_the_prior_times_the_ratio(simulations):
    estimate = fit_ratio(simulations, independent=("theta", "x"), steps=300, quiet=True)
    prior = torch.rand(4000) * 4 - 2
    weights = estimate.posterior_weights(prior, 0.4)
    assert float((weights.values * prior).mean()) == pytest.approx(0.4, abs=0.1)  # the prior's ends are 3 sd off
    draws = estimate.resample(prior, 0.4, 5000)
    assert float(draws.std()) == pytest.approx(0.5, abs=0.1)
    assert set(draws.tolist()) <= set(prior.tolist())
    assert torch.equal(draws, estimate.resample(prior, 0.4, 5000))
    with pytest.raises(ContrastiveError, match="one observation of 1 numbers"):
        estimate.posterior_weights(prior, [0.4, 0.5])


def test_a_ratio_of_two_samples_has_no_posterior(estimate):
    with pytest.raises(ContrastiveError, match="is for a joint law"):
        estimate.posterior_weights(A, 0.0)
    with pytest.raises(ContrastiveError, match="is for a joint law"):
        _ = estimate.mutual_information


def test_an_estimate_can_be_kept(estimate):
    file = io.BytesIO()
    torch.save(estimate, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert torch.equal(again.log_ratio(FRESH), estimate.log_ratio(FRESH))
    assert again.summary == estimate.summary


FRAME_A, FRAME_B = frame(A), frame(B)
WRONG = {
    "other columns": ((FRAME_A, FRAME_B.rename(columns={"age": "weight"})), {}, "'age' in A alone and 'weight' in B"),
    "more columns": ((FRAME_A, FRAME_B.assign(more=1.0)), {}, "'more' in B alone: name those to compare"),
    "unnamed columns": ((A, B[:, :1]), {}, "A has 2 columns and B 1"),
    "a column that is not there": ((FRAME_A, FRAME_B), {"columns": "agee"}, "no column 'agee'; did you mean 'age'"),
    "other units": ((A, B * 0.01 + 170), {}, "is from .* in A and from .* in B .*their ratio is unbounded there"),
    "few rows": ((A, B[:10]), {}, "B has 10 rows: a ratio needs at least 20"),
    "missing values": ((A, B.clone().index_fill_(0, torch.tensor([3]), math.nan)), {}, "B: the data have 2 NaN"),
    "a constant column": ((A * 0 + 1, B * 0 + 1), {}, "constant columns say nothing of a ratio: 'x0', 'x1'"),
    "images": ((torch.randn(50, 3, 4, 4), B), {}, "a ratio is one of tables"),
    "a noise": ((A, B), {"noise": "gaussian"}, "a ratio has no noise"),
    "what is given": ((FRAME_A, FRAME_B), {"given": "age"}, "a ratio has no given"),
    "weights": ((FRAME_A, FRAME_B), {"weight_column": "age"}, "a ratio has no weight_column"),
    "a kind": ((FRAME_A, FRAME_B), {"positive": "age"}, r"a ratio has no data\.positive"),
    "a method": ((A, B), {"method": "fce"}, "a ratio has no method"),
    "no second sample": ((A,), {}, "give two samples"),
    "a level": ((A, B), {"level": 95}, "level of the intervals must be in"),
    "both": ((A, B), {"independent": (0, 1)}, "give two samples"),
    "a column twice": ((A,), {"independent": ([0, 1], 1)}, "the column 1 is named twice"),
    "one side": ((A,), {"independent": ([0, 1], [])}, "all columns are on one side"),
    "no such number": ((A,), {"independent": (0, 2)}, "there is no column 2: the table has 2"),
    "no such name": ((FRAME_A,), {"independent": ("age", "hight")}, "did you mean 'height'"),
    "no sides": ((A,), {"independent": (0,)}, "columns of two sides"),
    "columns and sides": ((FRAME_A,), {"independent": ("age", "height"), "columns": "age"}, "leave out columns"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_asked_is_refused_in_one_line(case):
    data, settings, message = WRONG[case]
    with pytest.raises(ContrastiveError, match=message) as caught:
        fit_ratio(*data, quiet=True, **settings)
    assert "\n" not in str(caught.value)


def test_pairs_of_other_lengths_are_refused():
    with pytest.raises(ContrastiveError, match="a row for each pair"):
        mutual_information(torch.randn(50), torch.randn(49))


def test_rows_that_are_in_both_samples_are_warned_of():
    with pytest.warns(ContrastiveWarning, match="600 of 600 rows of A occur in B too"):
        fit_ratio(A, A, steps=1, quiet=True)
