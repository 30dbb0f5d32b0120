"""The logistic objective against its definition, in places where the definition itself is safe."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contrastive.errors import ContrastiveError
from contrastive.objectives import make_objective
from contrastive.objectives.bregman import LOGISTIC as logistic

ratios = st.lists(st.floats(-20, 20), min_size=1, max_size=8).map(lambda r: torch.tensor(r, dtype=torch.float64))


@given(ratios, ratios, st.floats(0.05, 50))
def test_logistic_is_minus_the_log_likelihood_of_the_classifier(r_data, r_noise, nu):
    data, noise = logistic(r_data, r_noise, nu)
    torch.testing.assert_close(data, -torch.log(1 / (1 + torch.exp(-r_data))))
    torch.testing.assert_close(noise, -nu * torch.log(1 / (1 + torch.exp(r_noise))))


@pytest.mark.parametrize("extreme", [1e4, 1e30, math.inf])
def test_logistic_is_finite_with_bounded_gradient_where_the_ratio_is_extreme_but_right(extreme):
    r_data = torch.tensor([extreme, -30.0], requires_grad=True)
    r_noise = torch.tensor([-extreme, 30.0], requires_grad=True)
    loss = sum(losses.mean() for losses in logistic(r_data, r_noise, 2.0))
    loss.backward()
    assert loss.isfinite()
    assert r_data.grad.abs().max() <= 1
    assert r_noise.grad.abs().max() <= 2


@given(st.floats(0.2, 5), st.integers(0, 1000))
def test_minimum_over_all_functions_is_the_normalised_density(nu, seed):
    """On a finite space the minimiser of the exact loss is f - c = log p: the loss normalises by itself."""
    generator = torch.Generator().manual_seed(seed)
    p, q = (torch.rand(5, generator=generator, dtype=torch.float64).softmax(0) for _ in range(2))
    log_p = p.log().clone().requires_grad_()
    r = log_p - q.log() - math.log(nu)
    # mean over data and noise as exact expectations: weights p and q, times 5 for the mean over 5 points
    loss = (p * torch.nn.functional.softplus(-r)).sum() + nu * (q * torch.nn.functional.softplus(r)).sum()
    (gradient,) = torch.autograd.grad(loss, log_p)
    assert gradient.abs().max() < 1e-12


def test_unknown_objective_names_the_known():
    with pytest.raises(ContrastiveError, match="nce"):
        make_objective("nse")
