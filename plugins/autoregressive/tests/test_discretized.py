"""Bins and discretised logistic mixtures against sums over all levels, and mpmath at extremes."""

import math

import mpmath
import pytest
import torch
from contrastive_autoregressive import Bins
from contrastive_autoregressive.discretized import PixelMixture, raw_size
from hypothesis import given
from hypothesis import strategies as st

from contrastive.testing.statistics import bernstein_radius, dkw_radius

FALSE_ALARM = 1e-6
mixtures = {
    "channels": st.integers(1, 3),
    "components": st.integers(1, 3),
    "levels": st.integers(2, 6),
    "size": st.sampled_from([0.1, 1.0, 10.0]),
    "seed": st.integers(0, 10_000),
}


def random_mixture(channels=1, components=2, size=1.0, seed=0, pixels=1, dtype=torch.float64):
    torch.manual_seed(seed)
    raw = size * torch.randn(pixels, raw_size(components, channels), dtype=dtype)
    return PixelMixture.from_raw(raw, channels)


def all_levels(levels, count, dtype=torch.float64):
    return torch.cartesian_prod(*[torch.arange(levels, dtype=dtype)] * count).reshape(-1, count)


def mass_of_level(level, mean, log_scale, levels):
    """A discretised logistic's mass by its definition, in as many digits as its tails need."""
    with mpmath.workdps(3600):
        half, scale = mpmath.mpf(1) / (levels - 1), mpmath.exp(log_scale)
        place = 2 * mpmath.mpf(level) / (levels - 1) - 1

        def cdf(edge):
            return 1 / (1 + mpmath.exp(-(edge - mean) / scale))

        below = 0 if level == 0 else cdf(place - half)
        above = 1 if level == levels - 1 else cdf(place + half)
        return float(mpmath.log(above - below))


@given(**mixtures)
def test_masses_of_all_levels_sum_to_one(channels, components, levels, size, seed):
    mixture = random_mixture(channels, components, size, seed)
    masses = mixture.log_mass(all_levels(levels, channels), Bins(levels)).exp()
    assert float(masses.sum()) == pytest.approx(1, abs=1e-10)


@given(
    level=st.integers(0, 255),
    mean=st.floats(-3, 3),
    log_scale=st.floats(-6.9, 6.9),
)
def test_one_component_has_the_mass_of_its_definition(level, mean, log_scale):
    expected = mass_of_level(level, mean, log_scale, 256)
    for dtype, tolerance in [(torch.float64, 1e-9), (torch.float32, 2e-3)]:
        log_weights, means = torch.zeros(1, 1, dtype=dtype), torch.full((1, 1, 1), mean, dtype=dtype)
        scales = torch.full((1, 1, 1), log_scale, dtype=dtype)
        mixture = PixelMixture(log_weights, means, scales, torch.zeros(1, 1, 1, 1, dtype=dtype))
        got = mixture.log_mass(torch.full((1, 1), level, dtype=dtype), Bins(256))
        assert float(got) == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_later_channels_lean_on_earlier_ones_linearly():
    mixture = random_mixture(channels=3, components=1, seed=4)
    bins, level = Bins(5), torch.tensor([[1.0, 3.0, 2.0]], dtype=torch.float64)
    red, green, _ = bins.scale(level)[0]
    means, links, log_scales = mixture.means[0, 0], mixture.links[0, 0], mixture.log_scales[0, 0]
    shifted = [means[0], means[1] + links[1, 0] * red, means[2] + links[2, 0] * red + links[2, 1] * green]
    expected = sum(
        mass_of_level(int(k), float(m), float(s), 5) for k, m, s in zip(level[0].tolist(), shifted, log_scales)
    )
    assert float(mixture.log_mass(level, bins)) == pytest.approx(expected, abs=1e-10)
    assert (links.abs() < 1).all()


@pytest.mark.parametrize(("channels", "levels"), [(1, 6), (3, 3)])
def test_draws_have_the_masses_of_log_mass(channels, levels):
    """Empirical Bernstein over all states, false-alarm rate 1e-6."""
    mixture, bins, n = random_mixture(channels, 2, seed=5), Bins(levels), 20_000
    states = all_levels(levels, channels)
    many = PixelMixture(*(v.expand(n, *v.shape[1:]) for v in mixture))
    index = (many.sample(bins) * levels ** torch.arange(channels - 1, -1, -1)).sum(-1).long()
    drawn = torch.nn.functional.one_hot(index, len(states)).double()
    mean, radius = bernstein_radius(drawn, width=1.0, false_alarm=FALSE_ALARM)
    assert ((mean - mixture.log_mass(states, bins).exp()).abs() <= radius).all()


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_extreme_networks_stay_finite_in_float32(size):
    bins = Bins(256)
    torch.manual_seed(0)
    raw = (size * torch.randn(2000, raw_size(3, 3))).requires_grad_()
    mixture = PixelMixture.from_raw(raw, 3)
    log_mass = mixture.log_mass(torch.randint(256, (2000, 3)).float(), bins)
    assert torch.isfinite(log_mass).all()
    assert (log_mass <= 1e-5).all()
    assert torch.isfinite(torch.autograd.grad(log_mass.mean(), raw)[0]).all()
    drawn = mixture.sample(bins)
    assert ((drawn >= 0) & (drawn <= 255)).all()


@given(levels=st.integers(2, 256), low=st.floats(-10, 10), width=st.floats(0.1, 10), seed=st.integers(0, 1000))
def test_dequantised_levels_come_back(levels, low, width, seed):
    torch.manual_seed(seed)
    bins = Bins(levels, low, low + width)
    for dtype in (torch.float32, torch.float64):
        level = torch.randint(levels, (2000,)).to(dtype)
        x = bins.dequantize(level)
        assert torch.equal(bins.level(x), level)
        assert bins.contain(x).all()


def test_dequantisation_is_uniform_within_a_bin():
    """False-alarm rate 1e-6."""
    n, bins = 20_000, Bins(5, -1.0, 1.5)
    place = (bins.dequantize(torch.full((n,), 3.0, dtype=torch.float64)) - 0.5).sort().values / bins.width
    grid = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    assert float((place - grid).abs().max()) <= dkw_radius(n, FALSE_ALARM) + 0.5 / n


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edges_belong_to_the_upper_bin_and_the_end_to_the_last(dtype):
    bins = Bins(4, -1.0, 1.0)
    edges = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0], dtype=dtype)
    assert bins.level(edges).tolist() == [0, 1, 2, 3, 3]
    assert bins.contain(edges).all()
    outside = torch.nextafter(edges[[0, -1]], torch.tensor([-2.0, 2.0], dtype=dtype))
    assert not bins.contain(outside).any()
    assert bins.level(torch.tensor([math.nan, -math.inf, math.inf, 1e30], dtype=dtype)).tolist() == [0, 0, 3, 3]


def test_eight_bit_images_divided_by_255_keep_their_levels():
    level = torch.arange(256.0)
    assert torch.equal(Bins(256).level(level / 255), level)
