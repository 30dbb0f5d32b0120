"""Goodness of fit: planted faults are found, and equal distributions raise no more than the stated false alarms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, make_density
from contrastive.metrics import goodness_of_fit, independent_samples, quick_samples
from contrastive.metrics.two_sample import classifier_test, tail_test

ROWS, DRAWS = 600, 1_200


def normal(n, d, generator):
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def wrong_scale(g):
    return normal(ROWS, 3, g), normal(DRAWS, 3, g) * torch.tensor([1.0, 1.4, 1.0])


def wrong_correlation(g):
    data = normal(ROWS, 4, g)
    data[:, 1] = 0.5 * data[:, 0] + math.sqrt(0.75) * data[:, 1]
    return data, normal(DRAWS, 4, g)


def missing_mode(g):
    ring = make_density("8gaussians")
    torch.manual_seed(int(g.initial_seed()))
    data, samples = ring.sample((ROWS,)), ring.sample((2 * DRAWS,))
    angle = torch.atan2(samples[:, 1], samples[:, 0])
    return data.double(), samples[angle.abs() > math.pi / 8][:DRAWS].double()


def light_tails(g):
    """Student's t with 3 degrees of freedom, and the Gaussian of the same scale."""
    t = normal(ROWS, 2, g) / torch.stack([normal(ROWS, 3, g).square().mean(1) for _ in range(2)], 1).sqrt()
    return t, normal(DRAWS, 2, g)


FAULTS = {
    "wrong scale": (wrong_scale, "the distribution of b is off|classifier"),
    "wrong correlation": (wrong_correlation, "a classifier tells them apart"),
    "missing mode": (missing_mode, "a classifier tells them apart|is off"),
    "light tails": (light_tails, "tails are too light in a"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_fault_is_found_and_named(name, seed):
    make, expected = FAULTS[name]
    data, samples = make(torch.Generator().manual_seed(seed))
    found = goodness_of_fit(data, samples, "abcd"[: data.shape[1]])
    assert not found.is_good
    assert found.verdict.startswith("The model is wrong somewhere")
    assert any(part in found.verdict for part in expected.split("|"))


def test_a_wrong_correlation_shows_in_no_column():
    found = goodness_of_fit(*wrong_correlation(torch.Generator().manual_seed(0)))
    assert len(found.differences) == 1, "the classifier's"
    assert found.classifier.p_value == 1 / 500


def test_equal_distributions_raise_false_alarms_at_no_more_than_the_stated_rate():
    """60 pairs: more than 9 alarms at 5 % have a probability of 4e-4; the verdict shares its level over the tests."""
    alarms = {"classifier": 0, "verdict": 0}
    for seed in range(60):
        g = torch.Generator().manual_seed(seed)
        found = goodness_of_fit(normal(100, 3, g), normal(150, 3, g), seed=seed)
        alarms["classifier"] += found.classifier.p_value <= 0.05
        alarms["verdict"] += not found.is_good
    assert binom.sf(9, 60, 0.05) < 1e-3
    assert max(alarms.values()) <= 9
    assert alarms["classifier"] > 0, "a test that never rejects has no power either"


def test_p_values_of_the_classifier_are_uniform_on_equal_discrete_rows():
    """Ties everywhere: the mean of 40 uniform numbers lies within 0.5 +- 0.15 but for 0.1 %."""
    g = np.random.default_rng(0)
    pairs = [g.integers(0, 3, size=(2, 60, 2)).astype(float) for _ in range(40)]
    p = [classifier_test(x, y, seed=k).p_value for k, (x, y) in enumerate(pairs)]
    assert abs(np.mean(p) - 0.5) < 0.15


def test_the_tail_test_counts_by_hand():
    """Of the ten largest of 100 pooled numbers all are the first sample's: C(50, 10) / C(100, 10), two-sided."""
    x, y = np.arange(50.0) + 50, np.arange(50.0)
    found = tail_test(x, y, upper=True)
    assert (found.found, found.expected) == (10, 5.0)
    assert found.p_value == pytest.approx(2 * math.comb(50, 10) / math.comb(100, 10))
    assert tail_test(np.zeros(50), np.zeros(50), upper=False).p_value == 1.0


def test_the_result_repeats_and_can_be_written():
    g = torch.Generator().manual_seed(0)
    data, samples = normal(50, 2, g), normal(2_000, 2, g)
    found = goodness_of_fit(data, samples)
    assert found == goodness_of_fit(data, samples)
    written = found.to_dict()
    assert written["verdict"] == found.verdict
    assert "only large differences" in found.verdict
    (first, _) = written["columns"]
    assert first["name"] == "x0"
    assert first["data_quantiles"] == (None,) * 4, "50 rows have no 1 % quantile"
    assert first["sample_quantiles"][0] == pytest.approx(float(samples[:, 0].quantile(0.001)))
    assert first["upper_tail"]["expected"] == pytest.approx(20 * 50 / 2_050, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": torch.zeros(19, 2)}, "at least 20 rows; the data have 19"),
        ({"samples": torch.full((30, 2), torch.nan)}, "the samples have values that are not finite"),
        ({"samples": torch.zeros(30, 3)}, "2 columns and the samples 3"),
        ({"columns": ["a"]}, "1 names for 2 columns"),
        ({"level": 5.0}, "between 0 and 1"),
    ],
)
def test_what_cannot_be_tested_is_refused(change, message):
    arguments = {"data": torch.randn(30, 2), "samples": torch.randn(30, 2), **change}
    with pytest.raises(ContrastiveError, match=message):
        goodness_of_fit(**arguments)


def gaussian(scale):
    return Independent(Normal(torch.zeros(2).double(), scale), 1)


def test_an_energy_that_is_its_noise_is_sampled_exactly():
    noise, x = gaussian(2.0), torch.randn(50, 2).double()
    estimator = ContrastiveEstimator(lambda z: noise.log_prob(z) + 3.0, noise)
    for samples in (independent_samples(estimator, x, n=500), quick_samples(estimator, x, n=500)):
        assert len(samples.x) == 500
        assert "exact" in samples.origin


def test_samples_of_an_energy_pass_the_test_and_its_noise_fails():
    """A narrow Gaussian under a wide noise: chains and resampling both give the energy's density."""
    energy, noise = gaussian(1.0), gaussian(2.0)
    estimator = ContrastiveEstimator(energy.log_prob, noise)
    torch.manual_seed(0)
    x, before = energy.sample((500,)), torch.get_rng_state()
    for samples in (independent_samples(estimator, x, n=1_000), quick_samples(estimator, x)):
        assert goodness_of_fit(x, samples.x).is_good, samples.origin
        assert len(samples.x) > 300
    assert torch.equal(torch.get_rng_state(), before)
    assert not goodness_of_fit(x, estimator.sample_noise(1_000)).is_good


def test_a_noise_that_is_far_off_gives_no_quick_samples():
    energy = gaussian(0.01)
    assert quick_samples(ContrastiveEstimator(energy.log_prob, gaussian(3.0)), energy.sample((50,))) is None
