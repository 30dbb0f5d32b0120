"""A noise fitted to weighted rows is the noise fitted to repeated rows."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KernelDensity as PeerKernels

from contrastive import make_noise
from contrastive.errors import ContrastiveError
from contrastive.noises.expectation_maximization import expectation_maximization, k_means
from contrastive.noises.kde import KernelDensity, best_bandwidth, distances_to_others, leave_one_out
from contrastive.noises.stack import stacking_weights
from contrastive.protocols import prepare_noise

N = 60
X = torch.randn(N, 2, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([1.0, 3.0]) + 2
COUNTS = torch.randint(1, 5, (N,), generator=torch.Generator().manual_seed(1))
REPEATED = X.repeat_interleave(COUNTS, 0)
POINTS = torch.randn(20, 2, generator=torch.Generator().manual_seed(2)).double() * 3
#: Fits without a choice that depends on random numbers or on a search.
EXACT = {
    "gaussian": {},
    "diag-gaussian": {},
    "student-t": {"df": 3.0},
    "uniform": {},
    "gaussian-mixture": {"components": 1},
    "kde": {"bandwidth": 0.4},
    "stack": {"parts": [{"name": "gaussian"}, {"name": "kde", "bandwidth": 0.3}], "weights": [1.0, 2.0]},
}
of_every_fit = pytest.mark.parametrize("name", EXACT)


@torch.no_grad()
def log_q(name, x, sample_weight=None):
    noise = make_noise(name, event_shape=(2,), **EXACT[name]).double()
    noise.fit(x) if sample_weight is None else noise.fit(x, sample_weight=sample_weight)
    return noise.log_prob(POINTS)


@of_every_fit
def test_a_weighted_fit_is_that_of_repeated_rows(name):
    torch.testing.assert_close(log_q(name, X, COUNTS), log_q(name, REPEATED), rtol=1e-6, atol=1e-6)
    if name != "uniform":  # the range of the rows, whatever they weigh
        assert (log_q(name, X, COUNTS) - log_q(name, X)).abs().max() > 1e-3


@of_every_fit
def test_the_scale_of_the_weights_means_nothing(name):
    torch.testing.assert_close(log_q(name, X, COUNTS / 1000), log_q(name, X, COUNTS))


@of_every_fit
def test_rows_of_weight_0_are_as_if_they_were_not_there(name):
    weights = COUNTS.clone()
    weights[::3] = 0
    kept = weights > 0
    torch.testing.assert_close(log_q(name, X, weights), log_q(name, X[kept], weights[kept]))


def test_the_moments_are_those_of_numpy():
    noise = make_noise("gaussian", event_shape=(2,)).double()
    noise.fit(X, sample_weight=COUNTS)
    expected = np.cov(X.numpy().T, fweights=COUNTS.numpy(), ddof=0)
    np.testing.assert_allclose(noise.distribution().covariance_matrix.detach(), expected, rtol=1e-6)


def test_spins_flip_as_often_as_their_weights_say():
    x, weights = torch.tensor([[1.0, -1.0], [-1.0, -1.0], [1.0, 1.0]]), torch.tensor([1.0, 2.0, 5.0])
    noise = make_noise("bernoulli-spins", event_shape=(2,))
    noise.fit(x, sample_weight=weights)
    torch.testing.assert_close(noise.logits.sigmoid(), torch.tensor([6 / 8, 5 / 8]))


def test_em_from_the_same_start_ends_where_it_does_with_repeated_rows():
    x, labels = (X - X.mean(0)) / X.std(0), torch.arange(N) % 3
    how = {"ridge": 1e-3, "max_iterations": 40, "tolerance": 1e-9}
    weighted, likelihood = expectation_maximization(x, labels, 3, **how, sample_weight=COUNTS.double() * 0.1)
    copies = x.repeat_interleave(COUNTS, 0)
    expected, of_repeated = expectation_maximization(copies, labels.repeat_interleave(COUNTS), 3, **how)
    assert likelihood == pytest.approx(of_repeated, abs=1e-9)
    for found, right in zip(weighted, expected):
        torch.testing.assert_close(found, right, rtol=1e-6, atol=1e-8)


def test_k_means_ends_at_the_weighted_centres():
    x = X + 40.0 * (torch.arange(N) % 3)[:, None]
    labels = k_means(x, 3, torch.Generator().manual_seed(0), COUNTS.double())
    assert {tuple(sorted(set(labels[k::3].tolist()))) for k in range(3)} == {(0,), (1,), (2,)}


def test_a_mixture_of_clusters_is_that_of_repeated_rows_from_any_start():
    x = X + 40.0 * (torch.arange(N) % 3)[:, None]
    how = {"event_shape": (2,), "components": 3, "tolerance": 1e-9}
    weighted, copies = (make_noise("gaussian-mixture", **how).double() for _ in range(2))
    weighted.fit(x, sample_weight=COUNTS)
    copies.fit(x.repeat_interleave(COUNTS, 0))
    torch.testing.assert_close(weighted.log_prob(x), copies.log_prob(x), rtol=1e-5, atol=1e-5)


def test_more_rows_than_a_fit_takes_are_picked_by_weight():
    weights = torch.ones(1000).double()
    weights[7] = 1000.0  # half of all
    noise = KernelDensity((2,), bandwidth=0.1, covariance="diagonal", max_rows=100)
    noise.fit(torch.arange(2000.0).reshape(1000, 2), sample_weight=weights)
    assert noise.centres.shape == (100, 2)
    assert 49 <= int((noise.centres[:, 0] == 14).sum()) <= 51


def test_kernels_are_those_of_scikit_learn():
    noise = KernelDensity((2,), bandwidth=0.5)
    noise.fit(X, sample_weight=COUNTS)
    centred = X.numpy() - np.average(X.numpy(), axis=0, weights=COUNTS)
    factor = np.linalg.cholesky(np.cov(centred.T, fweights=COUNTS.numpy(), ddof=0))
    white, points = (np.linalg.solve(factor, x.numpy().T).T for x in (X, POINTS))
    peer = PeerKernels(bandwidth=0.5, rtol=0, atol=0).fit(white, sample_weight=COUNTS.numpy())
    expected = peer.score_samples(points) - np.log(np.diag(factor)).sum()
    np.testing.assert_allclose(noise.log_prob(POINTS.float()), expected, atol=1e-3)


def test_kernels_are_drawn_by_weight():
    """False-alarm rate 1e-6: 20,000 draws, a share of 3/4, 4.9 standard errors."""
    noise = KernelDensity((1,), bandwidth=0.01)
    noise.fit(torch.tensor([[0.0], [1.0]]), sample_weight=[1.0, 3.0])
    share = float((noise.sample(torch.Size([20_000])) > 0.5).float().mean())
    assert abs(share - 0.75) < 4.9 * (0.75 * 0.25 / 20_000) ** 0.5


def test_the_leave_one_out_likelihood_is_that_of_repeated_rows_at_every_bandwidth():
    weights = COUNTS.double()
    distances, of_copies = distances_to_others(X, X), distances_to_others(REPEATED, REPEATED)
    for bandwidth in (0.1, 0.4, 2.0):
        found = leave_one_out(distances, bandwidth, 2, weights, weights)
        assert found == pytest.approx(leave_one_out(of_copies, bandwidth, 2), abs=1e-5)
    best, of_repeated = best_bandwidth(X, N, weights), best_bandwidth(REPEATED, len(REPEATED))
    reached = leave_one_out(distances, best, 2, weights, weights)
    assert reached == pytest.approx(leave_one_out(of_copies, of_repeated, 2), abs=1e-3)  # to the search's tolerance


def test_weighted_kernels_are_saved_and_those_of_earlier_runs_are_read():
    weighted, equal = KernelDensity((2,)), KernelDensity((2,))
    weighted.fit(X.float(), sample_weight=COUNTS)
    equal.fit(X.float())
    assert "log_weights" not in equal.state_dict()
    for noise, other in ((weighted, equal), (equal, KernelDensity((2,)))):
        other.load_state_dict(noise.state_dict())
        torch.testing.assert_close(other.log_prob(POINTS.float()), noise.log_prob(POINTS.float()))


def test_stacking_weights_are_those_of_repeated_rows():
    log_q = torch.randn(N, 3)
    expected = stacking_weights(log_q.repeat_interleave(COUNTS, 0))
    torch.testing.assert_close(stacking_weights(log_q, COUNTS.double()), expected)


def test_a_noise_that_takes_no_weights_sees_rows_drawn_by_them():
    class Plain:
        is_fitted = is_initialized = False

        def fit(self, x):
            self.fitted_to = x

        def initialize(self, x):
            self.began_with = x

    noise, x = Plain(), torch.arange(4.0)[:, None]
    prepare_noise(noise, x, first=x[:2], sample_weight=torch.tensor([1.0, 1.0, 2.0, 0.0]))
    assert noise.fitted_to.flatten().tolist() == [0, 1, 2, 2]
    assert noise.began_with.flatten().tolist() == [0, 1]


def test_weights_of_another_length_are_refused():
    with pytest.raises(ContrastiveError, match=r"weights of shape \(3,\) for 60 rows"):
        make_noise("gaussian", event_shape=(2,)).fit(X, sample_weight=[1.0, 2.0, 3.0])
