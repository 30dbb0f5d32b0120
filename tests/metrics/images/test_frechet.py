"""Moments of a stream, and the Frechet distance against closed forms, scipy and torch-fidelity."""

import numpy as np
import pytest
import scipy.linalg
import torch

from contrastive.errors import ContrastiveError
from contrastive.io.torchvision_import import import_with_torchvision
from contrastive.metrics.images import EmbeddingMoments, frechet_bias, frechet_distance
from contrastive.metrics.images.moments import RandomRows
from contrastive.numerics.statistics import normal_threshold

FALSE_ALARM = 1e-6


def moments(mean, covariance, count=100):
    mean, covariance = (torch.as_tensor(value, dtype=torch.float64) for value in (mean, covariance))
    return EmbeddingMoments(count, mean, covariance * (count - 1))


def random_moments(d):
    root = torch.randn(d, d, dtype=torch.float64)
    return moments(torch.randn(d), root @ root.T)


def by_scipy(a, b):
    covariance_a, covariance_b = a.covariance.numpy(), b.covariance.numpy()
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b)
    trace = np.trace(covariance_a + covariance_b - 2 * root.real)
    return float((a.mean - b.mean).square().sum()) + trace


def test_commuting_covariances_have_the_closed_form():
    """|m_a - m_b|^2 + sum (sqrt(a) - sqrt(b))^2, in a basis turned at random."""
    a, b = torch.tensor([4.0, 1.0, 0.25, 0.0]), torch.tensor([1.0, 9.0, 0.25, 2.0])
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    one = moments(turn @ torch.tensor([1.0, 2.0, 3.0, 4.0]).double(), turn @ a.double().diag() @ turn.T)
    other = moments(turn @ torch.tensor([0.0, 2.0, 5.0, 4.0]).double(), turn @ b.double().diag() @ turn.T)
    exact = 1 + 4 + float((a.sqrt() - b.sqrt()).square().sum())
    assert frechet_distance(one, other) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 60])
def test_distance_is_scipys_and_torch_fidelitys(d):
    a, b = random_moments(d), random_moments(d)
    peer = import_with_torchvision("torch_fidelity.metric_fid").fid_statistics_to_metric(
        *({"mu": m.mean.numpy(), "sigma": m.covariance.numpy()} for m in (a, b)), verbose=False
    )
    assert frechet_distance(a, b) == pytest.approx(by_scipy(a, b), rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(peer["frechet_inception_distance"], rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_a_shift_counts_its_square():
    x = torch.randn(500, 8)
    shifted = frechet_distance(EmbeddingMoments.of(x.double()), EmbeddingMoments.of(x.double() + 3))
    assert shifted == pytest.approx(9 * 8, rel=1e-12)


def test_a_set_is_at_distance_zero_of_itself():
    """Up to rounding: 1e-13 of the trace, also far from the origin and with fewer images than dimensions."""
    for n in (30, 500):
        of_x = EmbeddingMoments.of(100 + torch.randn(n, 80))
        assert frechet_distance(of_x, of_x) < 1e-12 * float(of_x.covariance.trace())


def test_covariances_of_deficient_rank_keep_full_precision():
    """With n < d, against the nuclear norm of X_a X_b^T, which needs no covariance at all."""
    x, y = torch.randn(12, 64, dtype=torch.float64), 2 * torch.randn(20, 64, dtype=torch.float64) + 1
    a, b = ((z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (x, y))
    exact = (x.mean(0) - y.mean(0)).square().sum() + a.square().sum() + b.square().sum()
    exact = exact - 2 * torch.linalg.matrix_norm(a @ b.T, "nuc")
    assert frechet_distance(EmbeddingMoments.of(x), EmbeddingMoments.of(y)) == pytest.approx(float(exact), rel=1e-12)


def test_two_draws_of_one_gaussian_show_the_stated_bias():
    """The mean of 200 distances against `frechet_bias`, whose next order is below 1 % here; false-alarm rate 1e-6."""
    scale, n, m = torch.linspace(0.3, 2, 8), 2_000, 1_000
    seen = torch.tensor(
        [
            frechet_distance(
                EmbeddingMoments.of(scale * torch.randn(n, 8)), EmbeddingMoments.of(scale * torch.randn(m, 8))
            )
            for _ in range(200)
        ]
    )
    stated = frechet_bias(scale.square().diag(), n, m)
    error = normal_threshold(FALSE_ALARM) * float(seen.std()) / 200**0.5
    assert error < 0.15 * stated
    assert abs(float(seen.mean()) - stated) < error + 0.01 * stated


def test_the_bias_of_a_unit_covariance_and_of_none():
    assert frechet_bias(torch.eye(5), 100, 300) == pytest.approx((1 / 100 + 1 / 300) * (5 + 30 / 4))
    assert frechet_bias(torch.zeros(3, 3), 10, 10) == 0


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_streamed_moments_do_not_cancel(rows):
    """Far from the origin, where sums of squares would leave four digits."""
    x = 1e6 + torch.randn(1000, 5, dtype=torch.float64)
    merged = None
    for part in x.split(rows):
        merged = EmbeddingMoments.of(part) if merged is None else merged.merged(EmbeddingMoments.of(part))
    assert merged.count == 1000
    torch.testing.assert_close(merged.mean, x.mean(0), rtol=1e-14, atol=0)
    torch.testing.assert_close(merged.covariance, (x - 1e6).T.cov(), rtol=1e-8, atol=1e-8)


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ContrastiveError, match="not finite"):
        EmbeddingMoments.of(torch.tensor([[1.0, float("inf")]]))
    with pytest.raises(ContrastiveError, match="two images at least, not 1"):
        frechet_distance(EmbeddingMoments.of(torch.randn(1, 3)), EmbeddingMoments.of(torch.randn(9, 3)))
    with pytest.raises(ContrastiveError, match="of 3 and of 4 dimensions"):
        frechet_distance(EmbeddingMoments.of(torch.randn(9, 3)), EmbeddingMoments.of(torch.randn(9, 4)))


def test_random_rows_are_a_uniform_subset_in_random_order():
    """Each of 20 rows is among the 5 kept, and is the first of them, equally often; false-alarm rate 1e-6."""
    streams, kept, first = 1_000, torch.zeros(20), torch.zeros(20)
    for seed in range(streams):
        subset = RandomRows(5, seed)
        for part in torch.arange(20.0)[:, None].split(7):
            subset.add(part)
        rows = subset.rows.flatten().long()
        assert len(set(rows.tolist())) == 5
        kept[rows] += 1
        first[rows[0]] += 1
    for seen, p in ((kept, 5 / 20), (first, 1 / 20)):
        z = (seen / streams - p) / (p * (1 - p) / streams) ** 0.5
        assert z.abs().max() < normal_threshold(FALSE_ALARM, 40)


def test_a_short_stream_is_kept_whole():
    subset = RandomRows(10)
    for part in torch.arange(6.0)[:, None].split(4):
        subset.add(part)
    assert sorted(subset.rows.flatten().tolist()) == [0, 1, 2, 3, 4, 5]
