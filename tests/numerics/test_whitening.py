"""The whitening that autoregressive noises and tilted energies see the data through."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastive.numerics.whitening import Whitening


def collinear(n=4000, spread=1e-3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    a, b, c, e = torch.randn(4, n, generator=generator, dtype=torch.float64)
    return torch.stack([3 + 2 * a, b, 5 + a + b + spread * e, c], 1)


def test_whitened_rows_are_uncorrelated_with_unit_variance():
    x = (
        torch.randn(4000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        @ torch.randn(3, 3).double()
    )
    whitening = Whitening(3)
    whitening.fit(x)
    covariance = torch.cov(whitening(x).mT)
    # The farthest 5 % of the rows are left out, which takes a fifth of the variance of a normal at most.
    torch.testing.assert_close(covariance, torch.eye(3).double(), atol=0.25, rtol=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(0, 100))
def test_the_map_is_inverted_and_its_log_determinant_is_autograds(d, seed):
    torch.manual_seed(seed)
    whitening = Whitening(d)
    whitening.fit(torch.randn(50, d) @ torch.randn(d, d) + torch.randn(d))
    x = torch.randn(4, d, dtype=torch.float64)
    torch.testing.assert_close(whitening.inverse(whitening(x)), x)
    jacobian = torch.autograd.functional.jacobian(lambda row: whitening(row[None])[0], x[0])
    torch.testing.assert_close(whitening.log_det, jacobian.slogdet().logabsdet)
    assert torch.equal(jacobian.triu(1), torch.zeros_like(jacobian))  # entry i sees none after it


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 100))
def test_given_the_first_entries_its_log_determinant_is_that_of_the_others(d, k, seed):
    """By autograd: the map of x at a fixed y; and y is whitened without x."""
    torch.manual_seed(seed)
    whitening = Whitening(k + d, given=k)
    whitening.fit(torch.randn(50, k + d) @ torch.randn(k + d, k + d) + torch.randn(k + d))
    y, x = torch.randn(k, dtype=torch.float64), torch.randn(d, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: whitening(torch.cat([y, x])[None])[0], x)
    assert not jacobian[:k].any()
    torch.testing.assert_close(whitening.log_det, jacobian[k:].slogdet().logabsdet)


def test_collinear_columns_part_in_float32():
    x = collinear(spread=1e-4).float()
    whitening = Whitening(4)
    whitening.fit(x)
    w = whitening(x)
    assert w.dtype == torch.float32
    assert w.std(0).tolist() == pytest.approx([1, 1, 1, 1], abs=0.2)


def test_tails_do_not_set_the_unit():
    x = torch.distributions.StudentT(1.0).sample(torch.Size([5000, 2]))  # no variance at all
    whitening = Whitening(2)
    whitening.fit(x)
    assert (whitening(x).abs().median(0).values > 0.1).all()


def test_dependent_and_constant_columns_stay_finite():
    x = collinear()
    x = torch.cat([x, x[:, :1] + x[:, 3:], torch.full((len(x), 1), 7.0)], 1)
    whitening = Whitening(6)
    whitening.fit(x)
    assert whitening(x).isfinite().all()
    torch.testing.assert_close(whitening.inverse(whitening(x)), x)


def test_it_is_the_identity_before_the_fit_and_says_whether_it_is_fitted():
    whitening = Whitening(2)
    x = torch.randn(5, 2)
    assert torch.equal(whitening(x), x)
    assert not whitening.is_fitted
    whitening.fit(torch.randn(100, 2))
    twin = Whitening(2)
    twin.load_state_dict(whitening.state_dict())
    assert twin.is_fitted
    assert copy.deepcopy(whitening).to(torch.float32).factor.dtype == torch.float64
