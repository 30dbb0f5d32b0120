"""The Gaussian mixtures that mixed tables are compared with have masses: they sum and integrate to one."""

import itertools

import numpy as np
import pytest

from benchmarks.lib.mixed_rivals import cells_of, mixture_log_probs
from contrastive.numerics.layout import parse_layout

LAYOUT = parse_layout(["category:3", "category:2", "grid:0.5?", "real"], 4)


def rows(n=400):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, n)
    gone = rng.integers(0, 2, n)
    count = np.where(gone == 0, 0.5 * rng.poisson(2 + kind), 0.0)
    return np.stack([kind, gone, count, rng.normal(kind)], 1)


def support():
    """Every code and count, and a rule for the last entry."""
    axis = np.linspace(-12, 14, 521)
    states = [(k, 0, c) for k, c in itertools.product(range(3), 0.5 * np.arange(-30, 60))] + [
        (k, 1, 0.0) for k in range(3)
    ]
    z = np.array([(*state, value) for state in states for value in axis])
    return z, axis[1] - axis[0]


@pytest.mark.parametrize(("covariance", "error"), [("diag", 1e-6), ("full", None)])
def test_masses_and_densities_of_a_mixture_sum_to_one(covariance, error):
    """Those of full covariances leave mass on cells of no code, so the sum is below."""
    z, step = support() if covariance == "diag" else (rows(), 1.0)
    log_p = mixture_log_probs(cells_of(rows(), LAYOUT), cells_of(z, LAYOUT), covariance, (1, 3), seed=0)
    if error is not None:
        assert np.exp(log_p).sum() * step == pytest.approx(1, abs=error)
    else:
        exact = mixture_log_probs(cells_of(rows(), LAYOUT), cells_of(z, LAYOUT), "diag", (1, 3), seed=0)
        assert abs(log_p.mean() - exact.mean()) < 1.0
