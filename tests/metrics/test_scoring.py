"""One number a row: levels of highest-density regions, and the entries that make a row rare."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from contrastive import ContrastiveEstimator
from contrastive.metrics import entry_gains, hdr_level, row_log_probs

TRUTH = MultivariateNormal(torch.zeros(3), torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 4.0]]))


@pytest.fixture(scope="module")
def exact():
    """An estimator whose energy is the density that its noise is, plus 5."""
    return ContrastiveEstimator(lambda x: TRUTH.log_prob(x) + 5, TRUTH)


def test_level_is_the_share_of_more_likely_rows_and_half_of_the_ties():
    held_out = torch.tensor([-3.0, -1.0, -1.0, 0.0])
    log_p = torch.tensor([-9.0, -3.0, -1.0, -0.5, 1.0, math.nan, -math.inf])
    expected = torch.tensor([1.0, 0.875, 0.5, 0.25, 0.0, math.nan, 1.0]).double()
    torch.testing.assert_close(hdr_level(log_p, held_out), expected, equal_nan=True)


def test_level_is_that_of_the_region_of_a_gaussian():
    """The mass inside radius r of a standard Gaussian of the plane is 1 - exp(-r^2 / 2).

    With 20,000 rows the standard deviation is at most 0.0035; five of them: a false alarm in 500,000.
    """
    held_out = -torch.randn(20_000, 2).square().sum(1) / 2
    r = torch.tensor([0.1, 1.0, 2.0, 3.0])
    torch.testing.assert_close(
        hdr_level(-r.square() / 2, held_out).float(), 1 - torch.exp(-(r**2) / 2), atol=0.018, rtol=0
    )


def test_log_densities_of_rows_by_c_or_by_a_given_log_z(exact):
    x = TRUTH.sample((7,))
    x[2, 1], x[5, 0] = math.nan, math.inf
    log_p, log_q = row_log_probs(exact, x)
    kept = [0, 1, 3, 4, 6]
    torch.testing.assert_close(log_p[kept], TRUTH.log_prob(x[kept]).double() + 5)
    torch.testing.assert_close(log_q[kept], TRUTH.log_prob(x[kept]).double())
    torch.testing.assert_close(row_log_probs(exact, x, torch.tensor([5.0]))[0][kept], log_q[kept], atol=1e-5, rtol=0)
    assert log_p.isnan().tolist() == log_q.isnan().tolist() == [False, False, True, False, False, True, False]


def test_gain_of_an_entry_is_that_of_averaging_it_out(exact, monkeypatch):
    monkeypatch.setattr("contrastive.metrics.scoring._NUMBERS", 70)  # so that columns come in parts
    x, held_out = TRUTH.sample((4,)), TRUTH.sample((11,))
    gains = entry_gains(exact, x, held_out)
    for i in range(4):
        for j in range(3):
            density = torch.zeros(())
            for h in held_out:
                row = x[i].clone()
                row[j] = h[j]
                density += TRUTH.log_prob(row).exp() / len(held_out)
            assert float(gains[i, j]) == pytest.approx(float(density.log() - TRUTH.log_prob(x[i])), abs=1e-4)


def test_gains_name_the_entry_that_is_wrong(exact):
    x = torch.tensor([[0.0, 0.0, 16.0], [2.0, -2.0, 0.0], [0.0, 0.0, 0.0]])
    gains = entry_gains(exact, x, TRUTH.sample((200,)))
    assert gains[0].argmax() == 2
    assert gains[0, 2] > 25
    assert gains[1, :2].min() > 15
    assert gains[1, 2] < 0
    assert gains[2].max() < 0
