"""The balanced objective against enumeration, and what it is for: ratios that err to the flat side."""

from itertools import product

import pytest
import torch
from torch.nn.functional import softplus

from contrastive import ContrastiveError, fit_ratio
from contrastive.objectives import make_objective

P, Q = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], dtype=torch.float64)
R = torch.tensor([-1.3, 0.4, 2.0], dtype=torch.float64)  # of a classifier that is wrong, at the three points


@pytest.mark.parametrize("nu", [1.0, 0.5])
def test_expected_loss_is_that_of_all_batches_enumerated(nu):
    """E[loss] = NCE + weight ((bias of the balance)^2 + its variance over batches), by 3^2 x 3^3 batches."""
    objective, n, m = make_objective("balanced", weight=7.0), 2, 3
    expected = 0.0
    for data in product(range(3), repeat=n):
        for noise in product(range(3), repeat=m):
            probability = P[list(data)].prod() * Q[list(noise)].prod()
            at_data, at_noise = objective(R[list(data)], R[list(noise)], nu)
            expected += probability * (at_data.mean() + at_noise.mean())
    d = R.sigmoid()
    nce = (P * softplus(-R)).sum() + nu * (Q * softplus(R)).sum()
    means = [(w * d).sum() for w in (P, Q)]
    variances = [(w * d.square()).sum() - mean.square() for w, mean in zip((P, Q), means)]
    penalty = (means[0] + nu * means[1] - 1) ** 2 + variances[0] / n + nu**2 * variances[1] / m
    torch.testing.assert_close(expected, nce + 7.0 * penalty)


@pytest.mark.parametrize("nu", [1.0, 0.25, 3.0])
def test_the_exact_classifier_is_balanced(nu):
    d = (P / (nu * Q)).log().sigmoid()
    torch.testing.assert_close((P * d).sum() + nu * (Q * d).sum(), torch.tensor(1.0).double())


def test_weight_0_is_nce():
    at = make_objective("balanced", weight=0)(R, R - 1, 2.0), make_objective("nce")(R, R - 1, 2.0)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*at))


@pytest.mark.parametrize("weight", [-1, float("nan"), "much"])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ContrastiveError, match="weight of at least 0"):
        make_objective("balanced", weight=weight)


def test_balanced_posteriors_of_an_overfitted_network_hold_the_truth_where_those_of_nce_do_not():
    """Expected coverage of 90 % regions, theta uniform and x theta plus noise; 100 simulations, no early stopping.

    Of 2,000 fresh pairs the share has a standard error of at most 0.011.
    """
    theta = torch.rand(100, 1) * 2 - 1
    simulations = torch.cat([theta, theta + 0.3 * torch.randn(100, 1)], 1)
    fresh = torch.rand(2000, 1) * 2 - 1
    x = fresh + 0.3 * torch.randn(2000, 1)
    grid = torch.linspace(-1, 1, 101)
    pairs = torch.cat([grid.repeat(2000, 1).reshape(-1, 1), x.repeat_interleave(101, 0)], 1)
    coverage = {}
    for objective in ("nce", "balanced"):
        settings = {"objective": objective, "steps": 300, "run": {"early_stopping": 0}, "quiet": True}
        estimate = fit_ratio(simulations, independent=(0, 1), **settings)
        posterior = estimate.log_ratio(pairs).reshape(2000, 101).softmax(1)
        nearest = (fresh - grid).abs().argmin(1, keepdim=True)
        above = (posterior * (posterior > posterior.gather(1, nearest))).sum(1)
        coverage[objective] = float((above < 0.9).double().mean())
    assert coverage["balanced"] > 0.87
    assert coverage["nce"] < coverage["balanced"] - 0.05
