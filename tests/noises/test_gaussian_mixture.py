"""The mixture's EM: scikit-learn's from the same start, and what a ridge keeps from collapsing."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as Peer

from contrastive import ContrastiveError
from contrastive.noises import Gaussian, GaussianMixture
from contrastive.noises.expectation_maximization import expectation_maximization, k_means


def three_clusters(n=600, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[0.0, 0.0], [4.0, 1.0], [-1.0, 5.0]], dtype=torch.float64)
    x = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return x + centres[torch.randint(3, (n,), generator=generator)]


def fitted(x, **options):
    noise = GaussianMixture(tuple(x.shape[1:]), **options).to(x.dtype)
    noise.fit(x)
    return noise


def test_em_is_scikit_learns_from_the_same_start():
    """Cluster labels in, 20 iterations, with the ridge: the same weights, means and covariances."""
    x, k, ridge = three_clusters(), 4, 1e-2
    labels = k_means(x, k, torch.Generator().manual_seed(1))
    found, _ = expectation_maximization(x, labels, k, ridge=ridge, max_iterations=20, tolerance=1e-300)
    parts = [x[labels == i].numpy() for i in range(k)]
    covariances = [np.cov(part.T, bias=True) + ridge * np.eye(2) for part in parts]
    peer = Peer(
        k,
        reg_covar=ridge,
        max_iter=20,
        tol=1e-300,
        weights_init=[len(part) / len(x) for part in parts],
        means_init=[part.mean(0) for part in parts],
        precisions_init=np.linalg.inv(covariances),
    )
    with pytest.warns(match="did not converge"):
        peer.fit(x.numpy())
    np.testing.assert_allclose(found.log_weights.exp().numpy(), peer.weights_, rtol=1e-8)
    np.testing.assert_allclose(found.means.numpy(), peer.means_, rtol=1e-8)
    np.testing.assert_allclose((found.factors @ found.factors.mT).numpy(), peer.covariances_, rtol=1e-8, atol=1e-10)


def test_log_q_is_scikit_learns_at_the_same_parameters():
    x = three_clusters()
    noise = fitted(x, components=3)
    peer = Peer(3)
    peer.weights_, peer.means_ = noise.logits.exp().numpy(), noise.locs.numpy()
    peer.precisions_cholesky_ = torch.linalg.inv(noise.scale_trils).mT.numpy()
    points = 2 * three_clusters(seed=1)
    torch.testing.assert_close(noise.log_prob(points), torch.from_numpy(peer.score_samples(points.numpy())))


def test_held_out_likelihood_is_no_worse_than_scikit_learns():
    """On curved data in 5 columns and 12 components; 0.05 nats is the spread between starts."""
    generator = torch.Generator().manual_seed(0)
    g = torch.randn(3000, 5, generator=generator, dtype=torch.float64)
    x = torch.cat([g[:, :1], g[:, :1].square() + 0.1 * g[:, 1:3], g[:, 3:].cumsum(1).sin() + 0.1 * g[:, :2]], 1)
    fitting, held = x[:2000], x[2000:]
    ours = float(fitted(fitting, components=12).log_prob(held).mean())
    theirs = Peer(12, n_init=3, random_state=0, max_iter=300).fit(fitting.numpy()).score(held.numpy())
    assert ours > theirs - 0.05


@pytest.mark.parametrize("ridge", [1e-2, 1e-4])
def test_components_on_tied_values_keep_the_width_of_the_ridge(ridge):
    """Half of a column is exactly zero, as rain is: no component is narrower than sqrt(ridge) standard deviations."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator, dtype=torch.float64)
    x[::2, 0] = 0
    noise = fitted(x, components=6, ridge=ridge)
    widths = torch.linalg.svdvals(torch.linalg.solve_triangular(factor_of(x), noise.scale_trils, upper=False))
    assert float(widths.min()) > 0.99 * math.sqrt(ridge)
    assert float(noise.log_prob(x).max()) < 10


def factor_of(x):
    noise = Gaussian((2,)).double()
    noise.fit(x)
    return noise.distribution().scale_tril.detach()


def test_units_do_not_matter():
    x, scale = three_clusters(), torch.tensor([1e-3, 1e4], dtype=torch.float64)
    expected = fitted(x).log_prob(x) - scale.log().sum()
    torch.testing.assert_close(fitted(x * scale).log_prob(x * scale), expected, rtol=1e-5, atol=1e-5)


def test_dependent_columns_and_repeated_rows_are_fitted():
    x = three_clusters()[:, :1].repeat(1, 2)
    assert fitted(x, components=3).log_prob(x).isfinite().all()
    few = three_clusters(4).repeat(5, 1)
    assert fitted(few, components=8).log_prob(few).isfinite().all()


def test_more_starts_find_no_smaller_likelihood():
    x = three_clusters()
    assert fitted(x, starts=5).log_prob(x).mean() >= fitted(x, starts=1).log_prob(x).mean() - 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ridge": 0.0}, "ridge and tolerance must be positive"), ({"starts": 0}, "starts must be at least 1")],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ContrastiveError, match=message):
        GaussianMixture((2,), **options)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ContrastiveError, match="ask for fewer"):
        fitted(three_clusters(5))
    with pytest.raises(ContrastiveError, match="does not vary"):
        fitted(torch.ones(50, 2).double())
