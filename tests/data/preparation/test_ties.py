"""Columns with ties: which they are, their rounding step, and rows spread over it."""

import math
import warnings

import numpy as np
import pytest
import torch

from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.data.preparation.copies import count_copies
from contrastive.data.preparation.ties import describe_spread, describe_ties, find_ties, spread

RNG = np.random.default_rng(0)
RAIN = np.where(RNG.random(500) < 0.48, 0.0, RNG.lognormal(size=500))


def steps(*columns):
    found = find_ties(np.column_stack([np.asarray(column, np.float64) for column in columns]))
    return {column: tie.step for column, tie in found.items()}


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (np.round(RNG.normal(5, 1, 150), 1), 0.1),
        (np.round(RNG.normal(5, 1, 150), 1).astype(np.float32), 0.1),
        (RNG.integers(20, 80, 500), 1.0),
        (RNG.integers(0, 2, 500), 1.0),
        (RNG.choice([-1.0, 1.0], 500), 2.0),
        (np.where(np.arange(400) == 7, 1.0, 0.0), 1.0),
        (np.round(RAIN, 1), 0.1),
        (np.round(RNG.standard_cauchy(500), 1), 0.1),
        (RNG.integers(0, 30, 500) / 60, round(1 / 60, 7)),
        (1e-9 * RNG.integers(0, 30, 500), 1e-9),
        (1.6e9 + 60 * RNG.integers(0, 30, 500), 60.0),
        (np.round(RNG.integers(60, 300, 250) / 60, 3), 0.016),  # no grid: seconds, written as minutes
        (np.round(25.4 * 0.01 * RNG.integers(0, 12, 400), 1), 0.2),  # no grid: 0, 0.3, 0.5, 0.8
        (RNG.choice([0.3, 0.1 * 3, 0.7, 1.1], 500), 0.4),  # 0.1 * 3 is 0.30000000000000004
    ],
)
def test_a_rounded_column_has_ties_and_its_step(column, step):
    assert steps(column) == pytest.approx({0: step}, rel=1e-5)


@pytest.mark.parametrize(
    "column",
    [
        RNG.normal(size=200),
        RNG.normal(size=100_000).astype(np.float32),
        RNG.random(100_000, dtype=np.float32),
        RNG.standard_cauchy(100_000).astype(np.float32),
        np.round(RNG.normal(size=100), 4),
        np.round(RNG.lognormal(1, 0.5, 180), 2),
        np.arange(300),
        np.repeat(RNG.normal(size=100), 2),  # every row twice
        RNG.choice(RNG.normal(size=100), 100),  # a bootstrap sample
    ],
)
def test_a_continuous_column_has_none(column):
    assert steps(column) == {}


def test_a_common_value_among_continuous_ones_is_an_atom():
    (tie,) = find_ties(RAIN[:, None]).values()
    value, share = tie.atom
    assert (value, share) == (0.0, np.mean(RAIN == 0))
    said = describe_spread({"rain": tie.step}, {"rain": tie.atom}, 3)
    assert f"rain (exactly 0 on {100 * share:.0f} % of the rows): no density describes" in said
    (capped,) = find_ties(np.minimum(RNG.normal(size=500), 1.5)[:, None]).values()
    assert capped.atom[0] == 1.5


def test_values_are_spread_uniformly_over_their_step_and_no_other_column():
    x = np.column_stack([RNG.integers(0, 3, 2000), RNG.normal(size=2000)]).astype(np.float64)
    before, state = x.copy(), torch.get_rng_state()
    first, again, other = (spread(x, {0: 2.0}, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert np.array_equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:, 0], other[:, 0])
    assert np.array_equal(first[:, 1], x[:, 1])
    u = (first[:, 0] - x[:, 0]) / 2
    assert u.min() >= -0.5
    assert u.max() < 0.5
    # Mean and mean square of 2,000 uniform numbers, to 5 standard errors: false alarms below 1e-6.
    assert abs(u.mean()) < 5 * math.sqrt(1 / 12 / 2000)
    assert abs((u**2).mean() - 1 / 12) < 5 * math.sqrt(1 / 180 / 2000)


def test_the_density_of_spread_values_bounds_the_mass_of_rounded_ones():
    """E log p(x + s u) = sum P log P - log s for the piecewise constant density, and no density has more (Gibbs)."""
    mass, s = np.array([0.5, 0.3, 0.2]), 0.25
    x = s * RNG.choice(3, size=20_000, p=mass)[:, None]
    spread_x = spread(x, {0: s}, torch.Generator().manual_seed(0))[:, 0]
    counts = np.unique(x, return_counts=True)[1] / len(x)
    most = float((counts * np.log(counts)).sum() - math.log(s))
    cell = np.floor(spread_x / s + 0.5).astype(int)
    assert np.log(counts[cell] / s).mean() == pytest.approx(most, abs=1e-12)
    gaussian = -((spread_x - spread_x.mean()) ** 2) / 2 / spread_x.var() - math.log(2 * math.pi * spread_x.var()) / 2
    two_piece = np.where(spread_x < 0, 0.7 * counts[0] / s, np.where(cell == 0, 1.3 * counts[0] / s, counts[cell] / s))
    for log_p in (gaussian, np.log(two_piece)):
        assert log_p.mean() < most - 0.01
    on_the_ties = -math.log(1e-6) - math.log(2 * math.pi) / 2 - math.log(3)
    assert on_the_ties > most + 5  # a mixture of three components at the rounded values beats any bound


def test_a_table_is_spread_where_the_noise_is_chosen_or_it_is_asked_for():
    x = np.column_stack([RNG.integers(0, 2, 200), RNG.normal(size=200)]).astype(np.float64)
    for settings, wanted in (
        ({}, True),
        ({"noise": "auto"}, True),
        ({"dequantize": False}, False),
        ({"noise": "gaussian"}, False),
        ({"steps": 5}, False),
        ({"noise": "gaussian", "dequantize": True}, True),
    ):
        data, again = (prepare(x, configure(**settings)) for _ in range(2))
        assert data.dequantize is data.facts.dequantize is wanted
        assert data.rounding_steps == ({"x0": 1.0} if wanted else {})
        assert list(data.ties) == ["x0"]
        assert (len(data.test[:, 0].unique()) > 2) is wanted
        assert torch.equal(data.test, again.test)
        assert torch.equal(data.fitting, again.fitting)
        plain = prepare(x, configure(dequantize=False))
        assert torch.equal(data.test[:, 1], plain.test[:, 1])  # the same split
        torch.testing.assert_close(data.test[:, 0], plain.test[:, 0], atol=0.5, rtol=0)


def test_labels_are_never_spread():
    x, y = RNG.integers(0, 5, (200, 2)).astype(np.float64), RNG.integers(0, 2, 200)
    data = prepare(x, configure(dequantize=True), y)
    assert set(data.labels.tolist()) == {0, 1}
    assert data.rounding_steps == {"x0": 1.0, "x1": 1.0}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("8gaussians", "a density has none"),
        (np.zeros((60, 1, 8, 8), np.uint8), "pixels are always spread"),
        (np.zeros((60, 2, 2)) + RNG.normal(size=(60, 2, 2)), "rows of shape"),
        (torch.utils.data.TensorDataset(torch.randn(60, 2)), "a Dataset gives its items itself"),
    ],
)
def test_what_has_no_columns_to_spread_is_refused(data, why):
    with pytest.raises(ContrastiveError, match=rf"is for the columns of a table: {why}.*leave it out"):
        prepare(data, configure(dequantize=True))


def test_six_columns_are_named_and_the_others_counted():
    names = {f"c{i}": 1.0 for i in range(9)}
    said = describe_spread(names, {}, 10)
    assert said.startswith("9 of 10 columns have ties and were spread over their rounding step before the fit (c0: 1,")
    assert "c5: 1 and 3 more)" in said
    ties = find_ties(np.column_stack([RNG.integers(0, 2, 100), RNG.integers(0, 40, 400)[:100]]).astype(np.float64))
    said = describe_ties({"sex": ties[0], "age": ties[1]})
    assert said.startswith("columns sex and age have ties: a density on them grows without bound")
    assert "--data.dequantize true" in said
    assert said.endswith("name it with --label-column: sex (2 values)")


def test_copies_of_training_rows_are_counted_exactly():
    rows = RNG.integers(0, 6, (300, 2)).astype(np.float64)
    among = RNG.integers(0, 6, (20, 2)).astype(np.float64)
    there = set(map(tuple, among))
    assert count_copies(rows, among) == sum(tuple(row) in there for row in rows) > 0
    assert count_copies(np.array([[-0.0, 1.0]]), np.array([[0.0, 1.0]])) == 1
    x = RNG.normal(size=(200_000, 10))
    assert count_copies(x[:50_000], x[50_000:]) == 0
    assert count_copies(x[:50_000], x[40_000:]) == 10_000


def test_held_out_rows_that_were_given_twice_are_counted_before_they_are_spread():
    x = np.repeat(RNG.integers(0, 1000, (100, 3)), 2, 0).astype(np.float64)
    data = prepare(x, configure())
    test, rest = data.test.round(), torch.cat([data.validation, data.scaling.inverse(data.fitting)]).round()
    there = set(map(tuple, rest.tolist()))
    assert data.duplicated_test_rows == sum(tuple(row) in there for row in test.tolist()) > 5


def test_no_column_of_few_values_is_warned_of_when_it_is_spread():
    x = np.column_stack([RNG.integers(0, 2, 200), RNG.normal(size=200)]).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare(x, configure())
