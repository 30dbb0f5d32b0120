"""Weights of rows stand for repeated rows, whatever their scale."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive.errors import ContrastiveError
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer
from contrastive.numerics.row_weights import (
    as_weights,
    effective_size,
    fit_weighted,
    resampled,
    rows_by_weight,
    thinned,
    weighted_mean,
    weighted_std,
)
from contrastive.numerics.statistics import mean_with_error, normal_threshold

COUNTS = st.lists(st.integers(1, 5), min_size=2, max_size=12)


def repeated(x, counts):
    return x.repeat_interleave(torch.tensor(counts), 0)


@given(COUNTS, st.floats(1e-6, 1e6))
def test_means_are_those_of_repeated_rows_at_every_scale(counts, scale):
    x = torch.randn(len(counts), 3, dtype=torch.float64)
    weights = scale * torch.tensor(counts, dtype=torch.float64)
    torch.testing.assert_close(weighted_mean(x, weights), repeated(x, counts).mean(0))
    torch.testing.assert_close(weighted_std(x, weights), repeated(x, counts).std(0, correction=0))
    assert effective_size(weights, len(counts)) == pytest.approx(sum(counts) ** 2 / sum(c**2 for c in counts))


@given(COUNTS, st.floats(0, 0.999))
def test_an_epoch_has_each_row_as_often_as_its_weight_says_rounded(counts, offset):
    n, total = len(counts), sum(counts)
    drawn = torch.bincount(rows_by_weight(torch.tensor(counts).double(), n, offset), minlength=n)
    assert drawn.sum() == n
    for times, count in zip(drawn.tolist(), counts):
        assert abs(times - n * count / total) < 1


def test_over_all_offsets_the_mean_number_of_times_is_exact():
    weights = torch.tensor([1.0, 2.0, 3.0, 2.0], dtype=torch.float64)
    drawn = torch.cat([rows_by_weight(weights, 4, (k + 0.5) / 100) for k in range(100)])
    assert torch.bincount(drawn).tolist() == [50, 100, 150, 100]


def test_equal_weights_give_each_row_once():
    for weight in (1.0, 0.1, 7.3):
        assert rows_by_weight(torch.full((1000,), weight), 1000, 0.3).tolist() == list(range(1000))


def test_rows_kept_by_thinning_follow_the_weighted_distribution_and_none_comes_twice():
    """x uniform on (0, 1) with weight x: those kept have density 2 x, mean 2/3. False-alarm rate 1e-6."""
    x = torch.rand(20_000, dtype=torch.float64)
    kept = x[thinned(3 * x)]
    assert len(kept.unique()) == len(kept)
    error = math.sqrt(1 / 18 / len(kept))
    assert abs(float(kept.mean()) - 2 / 3) < normal_threshold(1e-6) * error


def test_the_error_of_a_mean_with_equal_weights_is_the_usual_one():
    x = torch.randn(50, dtype=torch.float64)
    assert mean_with_error(x, torch.full((50,), 0.2)) == pytest.approx(mean_with_error(x))
    assert mean_with_error(x[:1], torch.ones(1))[1] == math.inf


def test_the_error_of_a_mean_has_the_right_size_where_weights_depend_on_the_values():
    """1,000 means of 200 rows over their errors have variance 1; false-alarm rate 1e-6, and 3 % of bias allowed."""
    z = []
    for _ in range(1000):
        x = torch.randn(200, dtype=torch.float64)
        mean, error = mean_with_error(x, torch.exp(x / 2))  # under these weights x is N(1/2, 1)
        z.append((mean - 0.5) / error)
    squares = torch.tensor(z).square()
    assert abs(float(squares.mean()) - 1) < 0.03 + normal_threshold(1e-6) * math.sqrt(2 / 1000)


def test_where_weights_do_not_depend_on_the_values_the_error_is_that_of_the_effective_number():
    x, weights = torch.randn(100_000, dtype=torch.float64), torch.rand(100_000, dtype=torch.float64)
    error = float(x.std()) / math.sqrt(effective_size(weights, len(x)))
    assert mean_with_error(x, weights)[1] == pytest.approx(error, rel=0.02)


@given(COUNTS)
def test_the_optimal_normalizer_is_that_of_repeated_rows(counts):
    r, noise = torch.randn(len(counts)) * 3, torch.randn(30)
    weights = torch.tensor(counts, dtype=torch.float64) / 7
    expected = optimal_log_normalizer(repeated(r, counts), noise, 2.0)
    assert optimal_log_normalizer(r, noise, 2.0, weights) == pytest.approx(expected, abs=1e-9)


def test_a_fit_without_weights_gets_rows_drawn_by_weight_and_one_with_them_gets_the_weights():
    x, weights, got = torch.arange(4.0)[:, None], torch.tensor([3.0, 1.0, 0.0, 0.0]), []
    fit_weighted(got.append, x, weights)
    assert got[0].flatten().tolist() == [0, 0, 0, 1]
    fit_weighted(lambda x, sample_weight=None: got.append((x, sample_weight)), x, weights)
    assert got[1][0] is x
    assert got[1][1] is weights
    assert resampled(x, None, 2) is x


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ([1.0, -1.0, 2.0], "1 of 3 weights are negative, NaN or infinite; the first is -1, of row 2"),
        ([1.0, math.nan, 2.0], "the first is nan, of row 2"),
        ([1.0, 2.0, math.inf], "the first is inf, of row 3"),
        ([0.0, 0.0, 0.0], "all 3 weights are 0"),
        ([1.0, 2.0], r"shape \(2,\) for 3 rows"),
        ([[1.0], [2.0], [3.0]], r"shape \(3, 1\) for 3 rows"),
        (["a", "b", "c"], "one number a row"),
    ],
)
def test_what_is_no_weight_is_refused(weights, said):
    with pytest.raises(ContrastiveError, match=said):
        as_weights(weights, 3)
