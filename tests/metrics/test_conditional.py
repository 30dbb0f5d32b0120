"""Held-out figures of a conditional density of which everything is known."""

import math

import torch
from helpers.conditional import SCALE, shifted_estimator

from contrastive.metrics.conditional import conditional_figures, conditional_transforms
from contrastive.numerics.statistics import dkw_radius


def rows(n, scale=SCALE):
    torch.manual_seed(0)
    y = 2 * torch.rand(n, 1) - 1
    return torch.cat([y + scale * torch.randn(n, 1), y], 1)


def test_the_mean_counts_log_z_of_each_context():
    """E log p(x | y) = -log(0.8 sqrt(2 pi e)), though log Z(y) varies: 5 standard errors, and the interval's width."""
    figures = conditional_figures(shifted_estimator(), rows(500))
    truth = -math.log(SCALE * math.sqrt(2 * math.pi * math.e))
    assert truth - 5 * figures["test_log_prob_given_error"] - 0.15 < figures["test_log_prob_given"]
    assert figures["test_log_prob_given"] < truth + 5 * figures["test_log_prob_given_error"]
    assert figures["log_partition_given_spread"] > 0.8
    assert figures["log_partition_given_reliable"] > 0.9


def test_transforms_are_uniform_where_the_density_is_right_alone():
    """Kolmogorov's distance by the Dvoretzky-Kiefer-Wolfowitz bound, false-alarm rate 1e-6, and 0.01 of 100 draws."""
    n = 1000
    for scale, is_right in ((SCALE, True), (2 * SCALE, False)):
        u = conditional_transforms(shifted_estimator(), rows(n, scale))[:, 0].sort().values
        distance = float((u - torch.arange(1, n + 1) / n).abs().max())
        assert (distance < dkw_radius(n, 1e-6) + 0.01) == is_right
