"""The linear gaussian against scikit-learn's least squares and torch's normal densities."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from contrastive import ContrastiveError, make_noise
from contrastive.noises.linear_gaussian import LinearGaussian

sizes = {"d": st.integers(1, 4), "k": st.integers(1, 4), "seed": st.integers(0, 10_000)}


def pairs(d, k, n=300, seed=0):
    """Rows x that follow y by a line and a bend, and y, both off zero and of several scales."""
    torch.manual_seed(seed)
    y = 3 + torch.randn(n, k, dtype=torch.float64) * (torch.arange(k) + 1)
    x = y @ torch.randn(k, d, dtype=torch.float64) + y[:, :1].square() / 5 - 10
    return x + torch.randn(n, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64), y


def fitted(d=2, k=2, seed=0, **options):
    noise = LinearGaussian((d,), (k,), **options).double()
    x, y = pairs(d, k, seed=seed)
    noise.fit(x, given=y)
    return noise, x, y


@given(**sizes)
def test_a_fit_is_least_squares_and_the_covariance_of_its_residuals(d, k, seed):
    noise, x, y = fitted(d, k, seed)
    line = LinearRegression().fit(y.numpy(), x.numpy())
    np.testing.assert_allclose(noise.weight.detach(), line.coef_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(noise.loc.detach(), line.intercept_, rtol=1e-6, atol=1e-7)
    residuals = x.numpy() - line.predict(y.numpy())
    factor = noise.below_diagonal.tril(-1) + noise.log_diagonal.exp().diag()
    np.testing.assert_allclose((factor @ factor.mT).detach(), residuals.T @ residuals / len(x), rtol=1e-6, atol=1e-8)


@given(**sizes, diagonal=st.booleans())
def test_its_density_is_torchs_normal_at_the_line(d, k, seed, diagonal):
    noise, x, y = fitted(d, k, seed, diagonal=diagonal)
    with torch.no_grad():
        for parameter in noise.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    mean = y @ noise.weight.mT + noise.loc
    if diagonal:
        expected = torch.distributions.Normal(mean, noise.log_diagonal.exp()).log_prob(x).sum(1)
    else:
        factor = noise.below_diagonal.tril(-1) + noise.log_diagonal.exp().diag()
        expected = torch.distributions.MultivariateNormal(mean, scale_tril=factor).log_prob(x)
    torch.testing.assert_close(noise.log_prob(x, given=y), expected)


@given(**sizes)
def test_units_and_origin_of_the_contexts_and_the_order_of_rows_do_not_matter(d, k, seed):
    noise, x, y = fitted(d, k, seed)
    mix = torch.eye(k, dtype=torch.float64) + 0.3 * torch.rand(k, k, dtype=torch.float64)
    order = torch.randperm(len(x))
    for shown, rows in ((100 * y @ mix - 7, torch.arange(len(x))), (y, order)):
        other = LinearGaussian((d,), (k,)).double()
        other.fit(x[rows], given=shown[rows])
        torch.testing.assert_close(other.log_prob(x, given=shown), noise.log_prob(x, given=y), rtol=1e-6, atol=1e-6)


def test_a_fit_has_the_largest_likelihood():
    """No gradient is left in any parameter."""
    noise, x, y = fitted(3, 2)
    noise.log_prob(x, given=y).mean().backward()
    for parameter in noise.parameters():
        torch.testing.assert_close(parameter.grad, torch.zeros_like(parameter), atol=1e-8, rtol=0)


def test_collinear_contexts_predict_as_without_them():
    x, y = pairs(2, 2)
    noise, expected = (LinearGaussian((2,), (k,)).double() for k in (4, 2))
    more = torch.cat([y, y.sum(1, keepdim=True), torch.ones(len(y), 1)], 1)  # one is a sum, one is constant
    noise.fit(x, given=more)
    expected.fit(x, given=y)
    torch.testing.assert_close(noise.log_prob(x, given=more), expected.log_prob(x, given=y))


def test_without_a_relation_it_is_the_gaussian_of_x():
    x, y = pairs(2, 1)
    noise, plain = LinearGaussian((2,), (1,)).double(), make_noise("gaussian", event_shape=(2,)).double()
    noise.fit(x, given=torch.zeros_like(y))
    plain.fit(x)
    torch.testing.assert_close(noise.log_prob(x, given=y), plain.log_prob(x))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (lambda x, y: torch.cat([x, x], 1), lambda x, y: y, "not positive definite"),
        (lambda x, y: torch.cat([x, 5 - 3 * y], 1), lambda x, y: y, "determine column 1"),
        (lambda x, y: x.repeat(1, 2)[:2], lambda x, y: y[:2], "determine column 0.*more rows"),
        (lambda x, y: torch.cat([x, x.square()], 1), lambda x, y: torch.cat([y, y], 1), r"\(300, 1\).*\(300, 2\)"),
    ],
    ids=["dependent columns", "a column is its context", "too few rows", "contexts of two columns"],
)
def test_what_cannot_be_fitted_is_refused(x, y, message):
    data = pairs(1, 1)
    with pytest.raises(ContrastiveError, match=message):
        LinearGaussian((2,), (1,)).fit(x(*data), given=y(*data))


def test_before_a_fit_it_is_standard_normal_at_every_context():
    noise = LinearGaussian((2,), (1,))
    x = torch.randn(5, 2)
    assert not noise.is_fitted
    torch.testing.assert_close(
        noise.log_prob(x, given=100 * torch.randn(5, 1)), torch.distributions.Normal(0, 1).log_prob(x).sum(1)
    )
