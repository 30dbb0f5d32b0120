"""Importance, bridge and certified estimates of log Z against closed forms and independent implementations.

Statistical tests allow 4.5 standard errors, two-sided false-alarm rate 7e-6, unless they say otherwise.
"""

import math

import pytest
import torch
from arviz_stats.base.array import array_stats
from scipy.integrate import quad
from scipy.stats import binom
from torch.nn.functional import softplus

from contrastive import ContrastiveError, ContrastiveEstimator, make_energy, make_noise
from contrastive.normalizer import log_partitions
from contrastive.normalizer.bridge import bridge_estimate, chain_diagnostics
from contrastive.normalizer.certified import certified_interval
from contrastive.normalizer.importance import WeightSummary, importance_estimate
from contrastive.normalizer.result import LogPartition
from contrastive.numerics.optimal_normalizer import optimal_log_normalizer

SIGMAS = 4.5
DOUBLE = {"dtype": torch.float64}


def lognormal_log_weights(n, sigma=0.8, log_z=3.0):
    """log w = log Z + sigma g - sigma^2 / 2: mean Z, relative variance exp(sigma^2) - 1."""
    return log_z + sigma * torch.randn(n, **DOUBLE) - sigma**2 / 2


def shifted(n, shift, log_z=0.0):
    """Log-weights of p = N(shift, 1), q = N(0, 1): at `n` draws of p, and of q."""
    model, noise = torch.randn(n, **DOUBLE) + shift, torch.randn(n, **DOUBLE)
    return tuple(shift * x - shift**2 / 2 + log_z for x in (model, noise))


def covers(estimate, log_z):
    return estimate.low <= log_z <= estimate.high


def plausible_coverage(hits, trials, level=0.95, false_alarm=1e-4):
    """Whether `hits` of `trials` could come from the stated level, two-sided."""
    low, high = binom.ppf([false_alarm / 2, 1 - false_alarm / 2], trials, level)
    return low <= hits <= high


# Importance sampling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
def test_summaries_merged_in_any_order_are_the_summary_of_all(order):
    log_w = lognormal_log_weights(20_000)
    parts = [log_w[:1], log_w[1:9_000], log_w[9_000:9_100], log_w[9_100:]]
    merged = WeightSummary.of(parts[order[0]])
    for index in order[1:]:
        merged = merged + WeightSummary.of(parts[index])
    whole = WeightSummary.of(log_w)
    assert merged.count == whole.count
    assert merged.log_sum == pytest.approx(whole.log_sum, rel=1e-13)
    assert merged.log_sum_squares == pytest.approx(whole.log_sum_squares, rel=1e-13)
    assert torch.equal(merged.tail, whole.tail)
    assert merged.smoothed()[1] == pytest.approx(whole.smoothed()[1], abs=1e-12)


@pytest.mark.parametrize("n", [60, 200, 1_000, 30_000])
def test_smoothing_the_tail_is_arviz_smoothing_of_all_the_weights(n):
    log_w = 2 * lognormal_log_weights(n)
    log_normalized, k = array_stats.psislw(-log_w.numpy())
    smooth, own_k = WeightSummary.of(log_w).smoothed()
    assert own_k == pytest.approx(float(k), abs=1e-10)
    assert smooth.relative_ess == pytest.approx(1 / float((n * torch.as_tensor(log_normalized).exp() ** 2).sum()))


@pytest.mark.parametrize("variance", [0.3, 0.5, 0.7])
def test_pareto_k_of_too_narrow_a_normal_is_one_minus_its_variance(variance):
    """q = N(0, s^2), p = N(0, 1), s < 1: P_q(w > t) falls as t^(-1 / (1 - s^2)), so k = 1 - s^2.

    k has a standard error of (1 + k) / sqrt(948) and the power law a slowly varying factor: 4.5 errors allowed.
    """
    x = variance**0.5 * torch.randn(100_000, **DOUBLE)
    log_w = x**2 / 2 * (1 / variance - 1)
    k = WeightSummary.of(log_w).smoothed()[1]
    assert abs(k - (1 - variance)) < SIGMAS * (2 - variance) / math.sqrt(948)


def test_equal_weights_have_no_tail_and_no_error():
    estimate = importance_estimate(WeightSummary.of(torch.full((500,), 7.0, **DOUBLE)))
    assert estimate.log_z == pytest.approx(7.0, abs=1e-12)
    assert estimate.standard_error == pytest.approx(0.0, abs=1e-7)
    assert estimate.diagnostics["pareto_k"] == -math.inf
    assert estimate.is_reliable


@pytest.mark.parametrize("spread", [50.0, 200.0, 1000.0])
def test_weights_that_differ_by_hundreds_of_nats_give_a_doubtful_estimate(spread):
    """As between a noise of images and an energy that tells it from data: one draw makes all of the sum."""
    torch.manual_seed(0)
    log_w = spread * torch.randn(2_000, **DOUBLE)
    estimate = importance_estimate(WeightSummary.of(log_w))
    largest = float(log_w.max())
    assert abs(estimate.log_z - (largest - math.log(2_000))) < 0.05 * largest
    assert "count as" in estimate.verdict_with_reasons
    assert math.isfinite(estimate.low)


def test_ties_of_discrete_weights_are_smoothed_without_nan():
    log_w = torch.randint(0, 4, (5_000,)).double()
    smooth, k = WeightSummary.of(log_w).smoothed()
    assert k == -math.inf  # the largest value is taken often: no tail
    assert smooth.log_mean == pytest.approx(WeightSummary.of(log_w).log_mean)
    log_w = torch.distributions.Geometric(torch.tensor(0.5)).sample((5_000,)).double() * 0.3
    smooth, k = WeightSummary.of(log_w).smoothed()
    assert math.isfinite(k)
    assert smooth.log_mean == pytest.approx(float(log_w.logsumexp(0)) - math.log(5_000), abs=0.02)


def test_importance_error_and_interval_are_the_delta_methods():
    n, sigma = 50_000, 0.5
    estimate = importance_estimate(WeightSummary.of(lognormal_log_weights(n, sigma)), level=0.9)
    error = math.sqrt(math.expm1(sigma**2) / n)
    assert estimate.standard_error == pytest.approx(error, rel=0.03)
    assert estimate.diagnostics["relative_ess"] == pytest.approx(math.exp(-(sigma**2)), rel=0.02)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.6448536 * estimate.standard_error)
    assert abs(estimate.log_z - 3.0) < SIGMAS * error


def test_importance_intervals_cover_at_the_stated_rate():
    hits = sum(
        covers(importance_estimate(WeightSummary.of(lognormal_log_weights(2_000, 0.5))), 3.0) for _ in range(600)
    )
    assert plausible_coverage(hits, 600)


def test_importance_sampling_underestimates_log_z_on_average():
    """Jensen: E[log Z_hat] = log Z - Var(w) / (2 n Z^2) to first order; here -0.0086 at 100 draws."""
    n, repetitions, variance = 100, 20_000, math.expm1(1.0)
    log_w = lognormal_log_weights(n * repetitions, 1.0).reshape(repetitions, n)
    errors = log_w.logsumexp(1) - math.log(n) - 3.0
    bias, error = float(errors.mean()), float(errors.std()) / math.sqrt(repetitions)
    assert bias < -SIGMAS * error
    assert bias == pytest.approx(-variance / (2 * n), rel=0.25)


def test_zero_weights_count_and_impossible_ones_are_refused():
    log_w = torch.cat([torch.zeros(50, **DOUBLE), torch.full((150,), -math.inf, **DOUBLE)])
    assert WeightSummary.of(log_w).log_mean == pytest.approx(math.log(0.25))
    with pytest.raises(ContrastiveError, match="NaN or infinite"):
        WeightSummary.of(torch.tensor([0.0, math.nan]))
    with pytest.raises(ContrastiveError, match="supports do not overlap"):
        importance_estimate(WeightSummary.of(log_w[50:]))


def test_a_light_tailed_noise_is_doubted():
    x = 0.4**0.5 * torch.randn(20_000, 3, **DOUBLE)
    estimate = importance_estimate(WeightSummary.of((x**2 / 2 * (1 / 0.4 - 1)).sum(1)))
    assert estimate.verdict == "doubtful"
    assert "tails are too light" in str(estimate)


# Bridge -------------------------------------------------------------------------------------------------------


def meng_wong(model, noise, iterations=10_000):
    """The iteration of Meng & Wong (1996), eq. 4.1, for log Z."""
    n, m = len(model), len(noise)
    s1, s2 = n / (n + m), m / (n + m)
    log_z = torch.zeros((), **DOUBLE)
    for _ in range(iterations):
        top = (noise - torch.logaddexp(math.log(s1) + noise, math.log(s2) + log_z)).logsumexp(0) - math.log(m)
        bottom = (-torch.logaddexp(math.log(s1) + model, math.log(s2) + log_z)).logsumexp(0) - math.log(n)
        previous, log_z = log_z, top - bottom
        if abs(log_z - previous) < 1e-15:
            break
    return float(log_z)


@pytest.mark.parametrize(("n", "m"), [(300, 300), (100, 2_000), (2_000, 150)])
def test_bridge_is_the_fixed_point_of_meng_and_wong(n, m):
    model, noise = shifted(2_000, 1.3, log_z=4.0)
    estimate = bridge_estimate(model[:n, None], noise[:m])
    assert estimate.log_z == pytest.approx(meng_wong(model[:n], noise[:m]), abs=1e-12)


@pytest.mark.parametrize("nu", [0.3, 1.0, 4.0])
def test_bridge_is_the_optimum_of_nce_in_c_with_ebm_samples_for_data(nu):
    model, noise = shifted(400, 1.0, log_z=-2.0)
    model = model[: int(400 / nu)] if nu > 1 else model
    noise = noise[: int(len(model) * nu)]
    c = torch.tensor(bridge_estimate(model[:, None], noise).log_z, **DOUBLE, requires_grad=True)
    ratio = len(noise) / len(model)
    r_model, r_noise = model - c - math.log(ratio), noise - c - math.log(ratio)
    (gradient,) = torch.autograd.grad(softplus(-r_model).mean() + ratio * softplus(r_noise).mean(), c)
    assert abs(float(gradient)) < 1e-13
    assert optimal_log_normalizer(model - math.log(ratio), noise - math.log(ratio), ratio) == c.item()


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_overlap_is_that_of_the_densities(shift):
    model, noise = shifted(40_000, shift)

    def integrand(x):
        p, q = math.exp(-((x - shift) ** 2) / 2), math.exp(-(x**2) / 2)
        return p * q / (p + q) / math.sqrt(2 * math.pi) if p + q > 0 else 0.0

    exact = quad(integrand, -12, 15)[0]
    assert bridge_estimate(model[:, None], noise).diagnostics["overlap"] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(("n", "m"), [(1_000, 1_000), (400, 3_000)])
def test_bridge_error_is_what_repetition_shows_and_intervals_cover(n, m):
    estimates = [bridge_estimate(shifted(n, 1.5)[0][:, None], shifted(m, 1.5)[1]) for _ in range(500)]
    spread = float(torch.tensor([e.log_z for e in estimates]).std())
    stated = sum(e.standard_error for e in estimates) / len(estimates)
    # The standard deviation of 500 normal values has a relative error of 1 / sqrt(1000).
    assert spread == pytest.approx(stated, rel=SIGMAS / math.sqrt(1_000))
    assert plausible_coverage(sum(covers(e, 0.0) for e in estimates), 500)


def autoregressive(chains, draws, rho):
    """AR(1) chains of N(0, 1), autocorrelation time (1 + rho) / (1 - rho)."""
    x = torch.randn(chains, draws, **DOUBLE)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + math.sqrt(1 - rho**2) * x[:, t]
    return x


def test_correlated_samples_of_the_ebm_widen_the_interval():
    rho, hits, times = 0.8, 0, []
    for _ in range(300):
        x = autoregressive(8, 250, rho) + 1.0
        estimate = bridge_estimate(x - 0.5, shifted(2_000, 1.0)[1])
        hits += covers(estimate, 0.0)
        times.append(estimate.diagnostics["autocorrelation_time"])
    assert plausible_coverage(hits, 300)
    # A function of an AR(1) chain that is not linear decorrelates a little faster than the chain, (1+rho)/(1-rho) = 9.
    assert 6 < sum(times) / len(times) < 9.5


def test_chains_that_disagree_are_doubted():
    x = torch.randn(4, 500, **DOUBLE) + torch.tensor([0.0, 0.0, 0.0, 2.0], **DOUBLE)[:, None]
    estimate = bridge_estimate(x - 0.5, shifted(1_000, 1.0)[1])
    assert "chains disagree" in str(estimate)


def test_little_overlap_is_doubted():
    model, noise = shifted(1_000, 6.0)
    assert "overlap" in str(bridge_estimate(model[:, None], noise))


def test_independent_draws_have_an_autocorrelation_time_of_one():
    assert chain_diagnostics(torch.randn(1_000, 1, **DOUBLE)) == (1.0, 1.0)
    time, rhat = chain_diagnostics(torch.randn(8, 2_000, **DOUBLE))
    assert time == pytest.approx(1.0, abs=0.15)
    assert rhat == pytest.approx(1.0, abs=0.01)
    with pytest.raises(ContrastiveError, match="too short"):
        chain_diagnostics(torch.randn(8, 2, **DOUBLE))


def test_nan_log_weights_are_refused():
    with pytest.raises(ContrastiveError, match="NaN"):
        bridge_estimate(torch.tensor([[math.nan]]), torch.zeros(3))
    with pytest.raises(ContrastiveError, match="no log-ratio is finite"):
        bridge_estimate(torch.full((1, 1), -math.inf), torch.full((3,), -math.inf))


# The certified interval ---------------------------------------------------------------------------------------


def test_certified_interval_covers_at_least_at_its_level_with_few_draws_of_a_rare_weight():
    """A weight of e^3 with probability 0.02, else e^-3: at 60 draws the normal interval covers far too rarely."""
    bound, share, draws, trials = 3.0, 0.02, 60, 400
    log_z = math.log(share * math.exp(bound) + (1 - share) * math.exp(-bound))
    certified = normal = 0
    for _ in range(trials):
        tilts = torch.where(torch.rand(draws, **DOUBLE) < share, bound, -bound).double()
        estimate = certified_interval(tilts, bound)
        certified += covers(estimate, log_z)
        plain = LogPartition.normal(estimate.log_z, estimate.standard_error, level=0.95, method="importance")
        normal += covers(plain, log_z)
    assert certified >= binom.ppf(1e-4, trials, 0.95)
    assert normal < 0.85 * trials


def test_certified_interval_shrinks_to_the_truth_and_stays_within_the_bound():
    tilts = 2 * torch.tanh(torch.randn(200_000, **DOUBLE))
    estimate = certified_interval(tilts, 2.0)
    exact = math.log(quad(lambda x: math.exp(2 * math.tanh(x) - x**2 / 2) / math.sqrt(2 * math.pi), -12, 12)[0])
    assert estimate.low < exact < estimate.high
    assert estimate.high - estimate.low < 0.03
    few = certified_interval(tilts[:3], 2.0)
    assert (few.low, few.high) == pytest.approx((-2.0, 2.0))
    assert certified_interval(torch.tensor([-400.0, 0.0, 1.0]), 400.0).low == pytest.approx(-400.0)


# What is printed ----------------------------------------------------------------------------------------------


def test_an_estimate_is_printed_with_its_error_interval_method_and_verdict():
    estimate = LogPartition.normal(1.83724, 0.00112, level=0.95, method="bridge")
    assert str(estimate) == "log Z = 1.8372 +- 0.0011 (95 %: [1.8350, 1.8394]) by bridge: reliable"
    doubtful = LogPartition.normal(1.0, 2e-6, level=0.9, method="importance", reasons=["it rains", "it snows"])
    assert str(doubtful).endswith("by importance: doubtful because it rains; it snows")
    assert "1.0000000 +- 0.0000020" in str(doubtful)


def test_bounded_weights_have_a_variance_whatever_their_largest_ones_look_like():
    """A tilt that rises as x^2 up to its bound: weights look as if they had no variance, and the interval covers."""
    noise = make_noise("gaussian", event_shape=(1,), loc=0.0)
    energy = make_energy("tilted", event_shape=(1,), correction="mlp", bound=3.0, widths=(8,))
    estimator = ContrastiveEstimator(energy, noise)
    steep = lambda x: (0.38 * x.squeeze(-1).square()).clamp_max(3.0)  # noqa: E731
    energy.tilt = steep
    grid = torch.linspace(-9, 9, 200_001, dtype=torch.float64)[:, None]
    exact = float((noise.double().log_prob(grid) + steep(grid)).exp().sum() * (grid[1] - grid[0]))
    noise.float()
    misses = 0
    for seed in range(20):
        torch.manual_seed(seed)
        (estimate,) = log_partitions(estimator, "importance", draws=20_000)
        assert not estimate.reasons
        misses += not estimate.low <= math.log(exact) <= estimate.high
    assert misses <= 5  # of 20 at 95 %: false alarm 3e-4
    pareto = WeightSummary.of(torch.distributions.Exponential(1.0).sample(torch.Size([20_000])))
    assert any("no variance" in reason for reason in importance_estimate(pareto).reasons)
    assert not any("no variance" in reason for reason in importance_estimate(pareto, bounded=True).reasons)
