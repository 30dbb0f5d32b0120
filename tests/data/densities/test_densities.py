"""Named densities against quadrature, their own samplers, torch and a numerical convolution."""

import functools
import itertools
import math

import pytest
import scipy.stats
import torch
from numpy.polynomial.legendre import leggauss
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from contrastive import ContrastiveError
from contrastive.data.densities import available_densities, make_density
from contrastive.data.densities.curves import BlurredCurves
from contrastive.protocols import NoiseModel

NAMES = available_densities()
CURVES = [name for name in NAMES if isinstance(make_density(name), BlurredCurves)]

#: Draws of one test, and the false-alarm rate of one test over all densities together.
DRAWS, FALSE_ALARM = 100_000, 1e-4


def cell_edges(low, high, draws):
    """36 equal cells, cut again at 20 quantiles: they meet a board's edges and resolve a funnel's neck."""
    quantiles = torch.quantile(draws, torch.linspace(0.02, 0.98, 20, dtype=torch.float64))
    return torch.cat((torch.linspace(low, high, 37, dtype=torch.float64), quantiles.clamp(low, high))).unique()


def gauss_nodes(edges):
    """Eight Gauss-Legendre nodes and weights for each cell of one axis, `(cells, 8)`."""
    nodes, weights = (torch.from_numpy(a) for a in leggauss(8))
    half = edges.diff()[:, None] / 2
    return edges[:-1, None] + half * (1 + nodes), half * weights


@functools.cache
def integrals(name):
    """Cell edges of both axes, the mass of each cell, and the mean and variance of log p(x) under p."""
    density = make_density(name)
    torch.manual_seed(99)
    draws = density.sample((5000,)).double()
    x_min, x_max, y_min, y_max = density.extent
    edges = [cell_edges(x_min, x_max, draws[:, 0]), cell_edges(y_min, y_max, draws[:, 1])]
    (x, wx), (y, wy) = map(gauss_nodes, edges)
    points = torch.cartesian_prod(x.flatten(), y.flatten())
    log_p = density.log_prob(points)
    mass = log_p.exp() * torch.outer(wx.flatten(), wy.flatten()).flatten()
    finite = log_p.masked_fill(log_p.isneginf(), 0.0)
    mean = (mass * finite).sum()
    variance = (mass * (finite - mean).square()).sum()
    return edges, mass.reshape(*x.shape, *y.shape).sum((1, 3)), float(mean), float(variance)


def chi_square_p_value(name, draws):
    """Of draws against the cells' masses; cells that expect under 10 draws, and the outside, are one cell."""
    (x_edges, y_edges), masses, _, _ = integrals(name)
    rows, columns = (
        torch.searchsorted(e, draws[:, i].double().contiguous()) - 1 for i, e in enumerate((x_edges, y_edges))
    )
    n_rows, n_columns = masses.shape
    inside = (rows >= 0) & (rows < n_rows) & (columns >= 0) & (columns < n_columns)
    observed = torch.bincount((rows * n_columns + columns)[inside], minlength=masses.numel()).double()
    expected = masses.flatten() * len(draws)
    kept = expected >= 10
    observed, expected = observed[kept], expected[kept]
    rest = torch.tensor([len(draws) - observed.sum(), len(draws) - expected.sum()])
    if rest[1] >= 5:
        observed, expected = torch.cat((observed, rest[:1])), torch.cat((expected, rest[1:]))
    else:
        observed[-1] += rest[0]
        expected[-1] += rest[1]
    statistic = float(((observed - expected).square() / expected).sum())
    return scipy.stats.chi2.sf(statistic, len(expected) - 1)


@pytest.mark.parametrize("name", NAMES)
def test_density_integrates_to_one_over_its_window(name):
    """To 1e-4, which is what the window may leave out."""
    _, masses, _, _ = integrals(name)
    assert float(masses.sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_draws_fall_into_cells_as_the_density_says(name):
    """Chi-square over some 3,000 cells; and the same test sees draws that are stretched by 5 %."""
    torch.manual_seed(1)
    draws = make_density(name).sample((DRAWS,))
    assert chi_square_p_value(name, draws) > FALSE_ALARM / len(NAMES)
    assert chi_square_p_value(name, 1.05 * draws) < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_mean_log_density_of_draws_is_the_negative_entropy(name):
    """A z-test: it sees a wrong width that is smaller than a cell. The 1e-4 is the quadrature's."""
    density = make_density(name)
    torch.manual_seed(2)
    log_p = density.log_prob(density.sample((DRAWS,)).double())
    _, _, mean, variance = integrals(name)
    z = scipy.stats.norm.isf(FALSE_ALARM / len(NAMES) / 2)
    assert float(log_p.mean()) == pytest.approx(mean, abs=z * math.sqrt(variance / DRAWS) + 1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_draws_stay_in_the_support_at_the_ends_of_the_uniforms(name, uniform, monkeypatch):
    """0 and 1 - 2^-24 are the least and the greatest number that `torch.rand` gives in float32."""
    monkeypatch.setattr(torch, "rand", lambda *size: torch.full(size, uniform))
    density = make_density(name)
    assert density.log_prob(density.sample((200,))).isfinite().all()


@pytest.mark.parametrize("name", CURVES)
def test_quadrature_error_is_below_1e_4_nats(name):
    """Against four times the nodes: at draws, and all over the window down to a log-density of -30."""
    density = make_density(name)
    finer = BlurredCurves(
        density.branches,
        start=density.start,
        stop=density.stop,
        power=density.power,
        sd=density.sd,
        nodes=4 * len(density.nodes) // len(density.branches),
    )
    x_min, x_max, y_min, y_max = density.extent
    window = torch.cartesian_prod(
        torch.linspace(x_min, x_max, 61, dtype=torch.float64), torch.linspace(y_min, y_max, 61, dtype=torch.float64)
    )
    points = torch.cat((density.sample((3000,)).double(), window))
    expected = finer.log_prob(points)
    seen = expected > -30
    assert float((density.log_prob(points) - expected)[seen].abs().max()) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_float32_agrees_with_float64(name):
    density = make_density(name)
    corner = torch.tensor(density.extent).reshape(2, 2)
    window = corner[:, 0] + torch.rand(5000, 2) * (corner[:, 1] - corner[:, 0])
    points = torch.cat((density.sample((5000,)), window))
    expected = density.log_prob(points.double())
    seen = expected > -30
    torch.testing.assert_close(density.log_prob(points).double()[seen], expected[seen], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_points_have_no_nan(name, dtype):
    sizes = [0.0, 1e-30, 1.0, 90.0, 1e4, 1e10, 1e19, 1e30, torch.finfo(dtype).max, math.inf]
    points = torch.tensor(list(itertools.product([*sizes, *(-s for s in sizes)], repeat=2)), dtype=dtype)
    log_p = make_density(name).log_prob(points)
    assert not log_p.isnan().any()
    assert (log_p < 20).all()
    assert log_p[points.isinf().any(-1)].isneginf().all()


@pytest.mark.parametrize("name", NAMES)
def test_nan_points_have_a_nan_density(name):
    assert make_density(name).log_prob(torch.tensor([[math.nan, 0.0], [0.0, math.nan]])).isnan().all()


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_dtypes_are_those_of_torch_distributions(name):
    density = make_density(name)
    assert isinstance(density, NoiseModel)
    for shape in [(), (0,), (7,), (3, 4)]:
        draws = density.sample(torch.Size(shape))
        assert draws.shape == (*shape, 2)
        assert draws.dtype == torch.float32
        assert not draws.requires_grad
        for dtype in (torch.float32, torch.float64):
            log_p = density.log_prob(draws.to(dtype))
            assert log_p.shape == shape
            assert log_p.dtype == dtype
    assert density.log_prob(density.sample().bfloat16()).dtype == torch.float32
    assert density.sample().shape == density.event_shape


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_the_global_generator(name):
    density = make_density(name)
    first, again = [(torch.manual_seed(5), density.sample((10,)))[1] for _ in range(2)]
    assert torch.equal(first, again)
    assert not torch.equal(first, density.sample((10,)))


@pytest.mark.parametrize("name", NAMES)
def test_points_of_another_dimension_are_refused(name):
    with pytest.raises(ContrastiveError, match=r"shape \(\.\.\., 2\), got \(4, 3\)"):
        make_density(name).log_prob(torch.zeros(4, 3))


def test_an_unknown_name_gets_the_near_ones():
    with pytest.raises(ContrastiveError, match="unknown density 'mons'; did you mean 'moons'"):
        make_density("mons")


def circle(radius, k):
    angles = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
    return radius * torch.stack((angles.cos(), angles.sin()), -1)


def clusters(centres, sd):
    components = Independent(Normal(centres, torch.tensor(sd, dtype=torch.float64)), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(centres), dtype=torch.float64)), components)


GRID = torch.cartesian_prod(*[torch.arange(-4.0, 5, 2, dtype=torch.float64)] * 2)
PEERS = {
    "8gaussians": lambda: clusters(circle(8**0.5, 8), 8**-0.5),
    "8gaussians-tight": lambda: clusters(circle(2**0.5, 8), 0.1),
    "25gaussians": lambda: clusters(GRID, 0.2),
    # The blurred circle by the trapezoid rule, which for a periodic integrand converges geometrically.
    "rings": lambda: clusters(torch.cat([circle(radius, 600) for radius in (1.0, 2.0, 3.0, 4.0)]), 0.12),
}


@pytest.mark.parametrize("name", PEERS)
def test_closed_form_is_the_mixture_of_torch(name):
    density = make_density(name)
    points = torch.cat((density.sample((500,)).double(), 5 * torch.randn(500, 2, dtype=torch.float64)))
    torch.testing.assert_close(density.log_prob(points), PEERS[name]().log_prob(points), rtol=1e-9, atol=1e-9)
