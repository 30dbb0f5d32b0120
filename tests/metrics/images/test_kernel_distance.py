"""The kernel distance: against all pairs one by one, torch-fidelity, and moments of Gaussians in closed form."""

import math

import numpy as np
import pytest
import torch

from contrastive.errors import ContrastiveError
from contrastive.io.torchvision_import import import_with_torchvision
from contrastive.metrics.images import kernel_distance
from contrastive.metrics.images.kernel import _cut, squared_mmd
from contrastive.numerics.statistics import normal_threshold

FALSE_ALARM = 1e-6
SHIFT = 0.5


def test_squared_mmd_is_the_sum_over_pairs():
    x, y = torch.randn(5, 3), torch.randn(4, 3)

    def k(a, b):
        return (float(a.double() @ b.double()) / 3 + 1) ** 3

    within_x = np.mean([k(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    within_y = np.mean([k(y[i], y[j]) for i in range(4) for j in range(4) if i != j])
    across = np.mean([k(a, b) for a in x for b in y])
    assert float(squared_mmd(x, y)) == pytest.approx(within_x + within_y - 2 * across, rel=1e-10)


def test_squared_mmd_is_torch_fidelitys():
    x, y = torch.randn(50, 16).double(), 1 + torch.randn(50, 16).double()
    defaults = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None}
    peer = import_with_torchvision("torch_fidelity.metric_kid").kernel_mmd
    expected = peer(x.numpy(), y.numpy(), **defaults, kid_kernel_poly_coef0=1)
    assert float(squared_mmd(x, y)) == pytest.approx(expected, rel=1e-10)


def exact():
    """N(0, 1) and N(t, 1): sum_k binom(3, k) (E x^k - E y^k)^2 with E y^2 = 1 + t^2, E y^3 = 3 t + t^3."""
    return 3 * SHIFT**2 + 3 * SHIFT**4 + (3 * SHIFT + SHIFT**3) ** 2


def draws(shift, n, m, times):
    pairs = ((torch.randn(n, 1), shift + torch.randn(m, 1)) for _ in range(times))
    return [kernel_distance(x, y, seed=seed) for seed, (x, y) in enumerate(pairs)]


def test_kernel_distance_is_unbiased():
    """The mean of 200 estimates from few images, at equal and at different densities; false-alarm rate 1e-6."""
    for shift, truth in ((0.0, 0.0), (SHIFT, exact())):
        values = torch.tensor([distance.value for distance in draws(shift, 30, 60, 200)], dtype=torch.float64)
        error = normal_threshold(FALSE_ALARM, 2) * float(values.std()) / math.sqrt(200)
        assert abs(float(values.mean()) - truth) < error
        # The diagonals, left in, would add E (x^2 + 1)^3 (1/3 + 1/6) = 14 in the mean at shift 0.
        assert error < 14 / 2


def test_standard_error_covers():
    """200 intervals of 95 % by Student's t, 9 degrees of freedom; allowed 3 % for the estimate's skewness.

    False-alarm rate 1e-6 with exact coverage.
    """
    inside = [abs(value - exact()) < 2.262 * error for value, error in draws(SHIFT, 600, 400, 200)]
    assert abs(np.mean(inside) - 0.95) < normal_threshold(FALSE_ALARM) * math.sqrt(0.95 * 0.05 / 200) + 0.03


def test_subsets_are_disjoint():
    """Rows are orthogonal, so that k = 1 for every pair, unless a row meets itself."""
    x, y = torch.eye(120)[:60], torch.eye(120)[60:]
    value, error = kernel_distance(x, y, subset_size=3)
    assert value == pytest.approx(0, abs=1e-12), "a row met itself"
    assert error == pytest.approx(0, abs=1e-12)
    parts = _cut(torch.arange(65.0)[:, None], 20, 3, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [3] * 20
    assert len(torch.cat(parts).unique()) == 60, "a row is in two subsets"


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ContrastiveError, match="needs 20 images on each side, not 19"):
        kernel_distance(torch.randn(19, 3), torch.randn(50, 3))
    with pytest.raises(ContrastiveError, match="of 3 and of 4 dimensions"):
        kernel_distance(torch.randn(30, 3), torch.randn(30, 4))
