"""What is said of a log-ratio, at ratios that are known or wrong on purpose: nothing is trained here."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import binom, norm

from contrastive.metrics.ratio import (
    Weights,
    calibrate,
    independence_test,
    kl_bound,
    mean_of_both,
    pair_rows,
    twice_jsd_bound,
    two_sample_test,
)

#: Of each test that rests on draws.
FALSE_ALARM = 1e-6
REPEATS = 400


def log_ratio(x):
    """log N(x; 1, 1) - log N(x; 0, 1): KL = 1/2."""
    return x - 0.5


def exact(function):
    """Of N(1, 1) and N(0, 1) by quadrature."""
    return quad(lambda x: function(x, norm.pdf(x, 1), norm.pdf(x)), -12, 13)[0]


def half_right(x):
    return 0.5 * x + 0.3


def test_bounds_are_what_quadrature_gives_for_a_wrong_ratio_and_below_the_divergence():
    a, b = torch.randn(400_000).double() + 1, torch.randn(400_000).double()
    kl = kl_bound(half_right(a), half_right(b), level=0.95, name="KL")
    expected = exact(lambda x, p, q: p * half_right(x)) - math.log(exact(lambda x, p, q: q * math.exp(half_right(x))))
    assert abs(kl.value - expected) < norm.isf(FALSE_ALARM / 2) * kl.standard_error
    assert expected < 0.5
    jsd = twice_jsd_bound(half_right(a), half_right(b), level=0.95, name="JSD")
    expected = math.log(4) + exact(
        lambda x, p, q: -p * math.log1p(math.exp(-half_right(x))) - q * math.log1p(math.exp(half_right(x)))
    )
    assert abs(jsd.value - expected) < norm.isf(FALSE_ALARM / 2) * jsd.standard_error
    assert expected < exact(lambda x, p, q: p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q)))


def held_of(intervals, truth):
    return sum(found.low <= truth <= found.high for found in intervals)


def test_intervals_of_two_samples_hold_the_divergence_of_the_exact_ratio_at_their_level():
    found = [
        (
            kl_bound(*rows, level=0.9, name="KL"),
            twice_jsd_bound(*rows, level=0.9, name="JSD"),
        )
        for rows in ((log_ratio(torch.randn(300) + 1), log_ratio(torch.randn(200))) for _ in range(REPEATS))
    ]
    jsd = exact(lambda x, p, q: p * math.log(2 * p / (p + q)) + q * math.log(2 * q / (p + q)))
    for intervals, truth in zip(zip(*found), (0.5, jsd)):
        # The normal approximation may cost 0.02 of the level.
        assert held_of(intervals, truth) >= binom.ppf(FALSE_ALARM, REPEATS, 0.88)
        assert held_of(intervals, truth) <= binom.isf(FALSE_ALARM, REPEATS, 0.92)


RHO = 0.6


def joint_rows(n):
    x = torch.randn(n, 1).double()
    return torch.cat([x, RHO * x + math.sqrt(1 - RHO**2) * torch.randn(n, 1)], 1)


def joint_log_ratio(rows):
    x, y = rows.unbind(1)
    return -math.log1p(-(RHO**2)) / 2 + (2 * RHO * x * y - RHO**2 * (x**2 + y**2)) / (2 * (1 - RHO**2))


@pytest.mark.parametrize("most", [200, 5_000, 40_000])
def test_intervals_of_mutual_information_hold_it_at_their_level_or_above(most):
    """One pair a row, 25, or all: with few pairs the error is too large by design."""
    truth, found = -math.log1p(-(RHO**2)) / 2, []
    for _ in range(REPEATS // 2):
        rows = joint_rows(200)
        pairs = pair_rows(joint_log_ratio, rows, 1, most)
        found.append(kl_bound(joint_log_ratio(rows), pairs, level=0.9, name="MI"))
    assert held_of(found, truth) >= binom.ppf(FALSE_ALARM, REPEATS // 2, 0.87)


def test_pairs_are_those_of_different_rows_each_once():
    rows = torch.stack([torch.arange(5.0), 10 * torch.arange(5.0)], 1)
    found = pair_rows(lambda x: x.sum(1), rows, 1, most=1000)
    assert sorted(found.flatten().tolist()) == sorted(i + 10.0 * j for i in range(5) for j in range(5) if i != j)
    assert pair_rows(lambda x: x.sum(1), rows, 1, most=3).shape == (5, 1)


def test_error_of_pairs_is_the_spread_over_samples():
    """Of a statistic whose Hajek projection is not degenerate: the mean of x y over pairs, E x = 1, E y = 2."""
    found = []
    for _ in range(REPEATS):
        rows = torch.randn(100, 2).double() + torch.tensor([1.0, 2.0])
        found.append(mean_of_both(rows[:, 0], pair_rows(lambda x: x.prod(1), rows, 1, 10_000)))
    means, errors = torch.tensor(found).double().T
    spread = norm.isf(FALSE_ALARM / 2) / math.sqrt(2 * REPEATS)
    assert abs(float(means.std() / errors.mean()) - 1) < spread + 0.02


def rejections(make, repeats=REPEATS):
    return sum(make(seed).rejects for seed in range(repeats))


def test_two_sample_test_raises_no_more_false_alarms_than_its_level_whatever_the_ratio():
    def found(seed):
        r = torch.randn(90).exp().round()  # skewed, with ties
        return two_sample_test(r[:30], r[30:], level=0.1, seed=seed)

    assert rejections(found) <= binom.isf(FALSE_ALARM, REPEATS, 0.1)


def test_independence_test_raises_no_more_false_alarms_than_its_level_whatever_the_ratio():
    def found(seed):
        x = torch.randn(40, 2).double()
        return independence_test(lambda rows: rows.prod(1).exp(), x, 1, level=0.1, most=4_000, seed=seed)

    assert rejections(found, 200) <= binom.isf(FALSE_ALARM, 200, 0.1)


def test_both_tests_find_a_difference_that_the_ratio_knows():
    assert two_sample_test(log_ratio(torch.randn(100) + 1), log_ratio(torch.randn(100)), level=0.01).rejects
    assert independence_test(joint_log_ratio, joint_rows(200), 1, level=0.05, most=20_000).rejects


def test_equal_log_ratios_are_no_evidence():
    assert two_sample_test(torch.full((20,), 0.3), torch.full((30,), 0.3), level=0.05).p_value == 1


def test_the_exact_ratio_is_calibrated_and_a_steeper_one_is_not():
    a, b = torch.randn(50_000) + 1, torch.randn(20_000)
    right, steep = (calibrate(k * log_ratio(a), k * log_ratio(b)) for k in (1, 2))
    assert right.expected_calibration_error < 0.02 < 0.1 < steep.expected_calibration_error
    assert right.log_score < steep.log_score
    assert right.brier_score < steep.brier_score
    assert abs(right.mean_ratio - 1) < norm.isf(FALSE_ALARM / 2) * right.mean_ratio_error
    jsd = twice_jsd_bound(log_ratio(a), log_ratio(b), level=0.9, name="JSD")
    assert right.log_score == pytest.approx((math.log(4) - jsd.value) / 2)


def test_calibration_gives_both_samples_the_same_weight():
    """Half of A and a tenth of B at P = 0.95, the others at 0.05: 1/2 against 1/10 is 5 to 1."""
    high = math.log(0.95 / 0.05)
    a, b = torch.tensor([high, -high]), torch.tensor([high] + 9 * [-high])
    found = calibrate(a, b)
    assert float(found.observed[-1]) == pytest.approx(5 / 6)
    assert float(found.observed[0]) == pytest.approx(0.5 / 1.4)
    assert found.share.sum() == pytest.approx(1)
    assert found.brier_score == pytest.approx(sum([0.25 * (0.05**2 + 0.95**2), 0.05 * 0.95**2, 0.45 * 0.05**2]))


def test_weights_have_mean_1_and_kishs_effective_size_whatever_the_constant():
    found = Weights.of(torch.tensor([0.0, math.log(3)]).double() + 500)
    assert found.values.tolist() == pytest.approx([0.5, 1.5], rel=1e-6)
    assert found.effective_size == pytest.approx(16 / 10)


def test_weighted_rows_of_b_have_the_mean_of_a():
    b = torch.randn(200_000).double()
    weights = Weights.of(log_ratio(b))
    error = math.sqrt(float((weights.values * (b - 1)).var()) / len(b))
    assert abs(float((weights.values * b).mean()) - 1) < norm.isf(FALSE_ALARM / 2) * error
    assert weights.effective_size / len(b) == pytest.approx(math.exp(-1), rel=0.1)  # 1 / E_B[ratio^2]


def test_a_bound_that_a_few_rows_carry_says_so():
    found = kl_bound(torch.tensor([5.0, 6.0]), torch.tensor([3.0] + 999 * [-9.0]), level=0.95, name="KL")
    assert "effective rows of 1,000" in found.warning
    assert "effective rows" in str(found)
    assert not kl_bound(torch.zeros(5), torch.zeros(100), level=0.95, name="KL").warning
