"""The benchmark of redshifts: quadrature, the probability-integral transform, the band of its histogram."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, norm

from benchmarks.lib.redshift_models import band, fit_flow, fit_line, on_grid, score

GRID = torch.linspace(-12, 12, 2_001, dtype=torch.float64)


def rows(n):
    y = torch.randn(n, 2)
    return y @ torch.tensor([[1.0], [-0.5]]) + 0.7 * torch.randn(n, 1), y


def test_a_gaussian_is_normalized_and_its_distribution_function_is_found():
    z, y = rows(200)

    def log_density(points, given):
        return 3.0 - (points - given[:, :1]).square().squeeze(1) / (2 * 0.7**2)

    scored = score(log_density, z, y, GRID)
    law = norm(y[:, 0].numpy(), 0.7)
    np.testing.assert_allclose(scored.log_prob.numpy(), law.logpdf(z[:, 0].numpy()), atol=1e-5)
    np.testing.assert_allclose(scored.pit.numpy(), law.cdf(z[:, 0].numpy()), atol=1e-4)
    np.testing.assert_allclose(scored.log_normalizer.numpy(), 3 + math.log(0.7 * math.sqrt(2 * math.pi)), atol=1e-5)


def test_a_skewed_density_keeps_its_own_distribution_function():
    """Beta(2, 5) on [0, 1], which ends at the grid's ends."""
    z = torch.linspace(0.02, 0.98, 50)[:, None]
    law = beta(2, 5)
    inside = torch.linspace(0, 1, 2_001, dtype=torch.float64)

    def log_density(points, given):
        return torch.from_numpy(law.logpdf(points[:, 0].double().numpy()))

    scored = score(log_density, z, torch.zeros(50, 1), inside)
    np.testing.assert_allclose(scored.pit.numpy(), law.cdf(z[:, 0].numpy()), atol=1e-3)
    np.testing.assert_allclose(scored.log_normalizer.numpy(), 0, atol=1e-3)


def test_the_line_is_the_regression_that_made_the_rows():
    z, y = rows(4_000)
    values = on_grid(fit_line(z, y).log_density, torch.tensor([[1.0, 2.0], [0.0, 0.0]]), GRID)
    density = (values - values.logsumexp(1, keepdim=True)).exp()
    mean = density @ GRID
    spread = (density @ GRID.square() - mean.square()).sqrt()
    torch.testing.assert_close(mean, torch.zeros(2, dtype=torch.float64), atol=0.1, rtol=0)  # 6 standard errors
    torch.testing.assert_close(spread, torch.full((2,), 0.7, dtype=torch.float64), atol=0.06, rtol=0)


def test_the_flow_is_normalized_before_quadrature():
    z, y = rows(300)
    flow = fit_flow(z, y, seed=0, most_seconds=2.0)
    scored = score(flow.log_density, z[:20], y[:20], GRID)
    # Its own log-density is in standardised units.
    torch.testing.assert_close(scored.log_normalizer, z.double().std().log().expand(20), atol=2e-3, rtol=0)


@pytest.mark.parametrize("n", [200, 2_000])
def test_a_uniform_histogram_stays_within_the_band_at_the_stated_rate(n):
    """Rejected of 2,000 right models: 5 % or fewer, but for a false-alarm rate of 1e-6 of this test itself."""
    low, high = band(n, 20, 0.95)
    counts = np.random.default_rng(0).multinomial(n, np.full(20, 1 / 20), size=2_000)
    rejected = ((counts < low) | (counts > high)).any(1).mean()
    assert rejected < 0.05 + norm.isf(1e-6) * math.sqrt(0.05 * 0.95 / 2_000)
    assert rejected > 0.01  # a band that is never left proves nothing
