"""The spline against normflows', whose formula it shares, and where normflows' gives up."""

import math

import pytest
import torch
from contrastive_glow.elementwise import BoundedAffine, RationalQuadratic
from hypothesis import given
from hypothesis import strategies as st
from normflows.utils.splines import unconstrained_rational_quadratic_spline as normflows_spline

MAPS = [BoundedAffine(), RationalQuadratic(bins=6, tail_bound=3.0)]


def normflows(value, raw, spline, inverse):
    """normflows' spline on our raw parameters: ours are shifted so that zero is the identity."""
    widths, heights, slopes = raw.split([spline.bins, spline.bins, spline.bins - 1], -1)
    slopes = slopes + math.log(math.expm1(1 - 1e-3))
    return normflows_spline(value, widths, heights, slopes, inverse=inverse, tail_bound=spline.tail_bound)


@given(seed=st.integers(0, 10_000), bins=st.integers(2, 12), scale=st.floats(0, 3))
def test_the_spline_is_that_of_normflows(seed, bins, scale):
    torch.manual_seed(seed)
    spline = RationalQuadratic(bins, 4.0)
    raw = scale * torch.randn(50, 2, spline.size, dtype=torch.float64)
    value = 2.5 * torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close(spline.to_latent(value, raw), normflows(value, raw, spline, False), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        spline.from_latent(value, raw), normflows(value, raw, spline, True), rtol=1e-6, atol=1e-6
    )


def test_extreme_splines_stay_exact_in_float32_where_normflows_does_not():
    spline = RationalQuadratic(8, 5.0)
    raw = 10 * torch.randn(200_000, 1, spline.size)
    value = 12 * torch.rand(200_000, 1) - 6
    raw.requires_grad_()
    for mapping in (spline.to_latent, spline.from_latent):
        mapped, log_slope = mapping(value, raw)
        (gradient,) = torch.autograd.grad(mapped.sum() + log_slope.sum(), raw)
        assert torch.isfinite(mapped).all()
        assert torch.isfinite(log_slope).all()
        assert torch.isfinite(gradient).all()
        assert (mapped.abs() <= 6).all()
    there, _ = spline.from_latent(value, raw)
    torch.testing.assert_close(spline.to_latent(there, raw)[0], value, rtol=0, atol=1e-2)
    _, log_slope = normflows(value, raw, spline, inverse=True)
    assert not torch.isfinite(log_slope).all(), "normflows has mended its spline: ours can go"


@pytest.mark.parametrize("elementwise", MAPS)
def test_zero_parameters_are_the_identity(elementwise):
    value = 4 * torch.randn(100, 3)
    raw = torch.zeros(100, 3, elementwise.size)
    for mapping in (elementwise.to_latent, elementwise.from_latent):
        mapped, log_slope = mapping(value, raw)
        torch.testing.assert_close(mapped, value, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(log_slope, torch.zeros(100, 3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("elementwise", MAPS)
def test_a_point_that_is_not_a_number_leaves_the_others_alone(elementwise):
    value = torch.tensor([[float("nan")], [0.5]])
    raw = torch.randn(1, 1, elementwise.size).expand(2, -1, -1)
    for mapping in (elementwise.to_latent, elementwise.from_latent):
        assert torch.isfinite(mapping(value, raw)[0][1]).all()
