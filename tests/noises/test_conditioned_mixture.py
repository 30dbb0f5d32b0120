"""The conditioned mixture against joint minus marginal: by quadrature, and by scikit-learn's mixtures."""

import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.mixture import GaussianMixture as PeerMixture

from contrastive import ContrastiveError, make_noise
from contrastive.noises.linear_gaussian import LinearGaussian
from contrastive.numerics.statistics import dkw_radius

FALSE_ALARM = 1e-6


def randomized(d=1, k=1, components=3, seed=0):
    """A mixture of rows (y, x) with any parameters, conditioned on y."""
    torch.manual_seed(seed)
    noise = make_noise("gaussian-mixture", event_shape=(d,), context_shape=(k,), components=components).double()
    joint = noise.joint
    joint.logits.copy_(torch.randn(components))
    joint.locs.copy_(2 * torch.randn(components, k + d))
    below = 0.7 * torch.randn(components, k + d, k + d)
    joint.scale_trils.copy_(below.tril(-1) + torch.diag_embed(0.5 + torch.rand(components, k + d)))
    return noise


def peer(noise, columns):
    """scikit-learn's mixture of some columns of (y, x)."""
    joint = noise.joint
    covariances = (joint.scale_trils @ joint.scale_trils.mT)[:, columns][:, :, columns].numpy()
    mixture = PeerMixture(len(joint.logits))
    mixture.weights_, mixture.means_ = joint.logits.softmax(0).numpy(), joint.locs[:, columns].numpy()
    mixture.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(covariances))
    return mixture


@given(d=st.integers(1, 3), k=st.integers(1, 3), components=st.integers(1, 5), seed=st.integers(0, 10_000))
def test_its_log_density_is_joint_minus_marginal(d, k, components, seed):
    noise = randomized(d, k, components, seed)
    x, y = (2 * torch.randn(20, size, dtype=torch.float64) for size in (d, k))
    joint = peer(noise, list(range(k + d))).score_samples(torch.cat([y, x], 1).numpy())
    marginal = peer(noise, list(range(k))).score_samples(y.numpy())
    np.testing.assert_allclose(noise.log_prob(x, given=y), joint - marginal, rtol=1e-8, atol=1e-8)


def test_the_marginal_is_the_integral_of_the_joint():
    noise = randomized()
    for y in (-3.0, 0.0, 2.0):
        at_y = torch.tensor([[y]], dtype=torch.float64)

        def joint(x, at_y=at_y):
            row = torch.cat([at_y, torch.tensor([[x]], dtype=torch.float64)], 1)
            return float(noise.joint.log_prob(row).exp())

        marginal, _ = scipy.integrate.quad(joint, -20, 20, limit=200)
        claimed = noise.log_prob(torch.tensor([[0.7]], dtype=torch.float64), given=at_y)
        assert float(claimed.exp()) == pytest.approx(joint(0.7) / marginal, rel=1e-6)


@pytest.mark.parametrize("y", [-2.0, 1.0, 500.0])
def test_draws_have_the_distribution_function_of_regression_by_mixtures(y):
    """Weights and lines by numpy, component by component; false alarm 1e-6 (Dvoretzky-Kiefer-Wolfowitz)."""
    noise, n = randomized(), 4000
    covariances = (noise.joint.scale_trils @ noise.joint.scale_trils.mT).numpy()
    means, variance = noise.joint.locs.numpy(), covariances[:, 0, 0]
    log_weights = np.log(noise.joint.logits.softmax(0).numpy()) + norm.logpdf(y, means[:, 0], np.sqrt(variance))
    weights = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    slope = covariances[:, 1, 0] / variance
    centres = means[:, 1] + slope * (y - means[:, 0])
    scales = np.sqrt(covariances[:, 1, 1] - slope * covariances[:, 1, 0])
    x = noise.sample(given=torch.full((n, 1), y, dtype=torch.float64)).flatten().sort().values.numpy()
    u = norm.cdf(x[:, None], centres, scales) @ weights
    expected = np.arange(n) / n
    assert max(np.abs(u - expected).max(), np.abs(u - expected - 1 / n).max()) < dkw_radius(n, FALSE_ALARM)


def test_one_component_is_the_linear_gaussian():
    torch.manual_seed(0)
    y = torch.randn(400, 2, dtype=torch.float64)
    x = y @ torch.randn(2, 3, dtype=torch.float64) + torch.randn(400, 3, dtype=torch.float64)
    mixture = make_noise(
        "gaussian-mixture", event_shape=(3,), context_shape=(2,), components=1, ridge=1e-12, starts=1
    ).double()
    mixture.fit(x, given=y)
    line = LinearGaussian((3,), (2,)).double()
    line.fit(x, given=y)
    assert mixture.is_fitted
    torch.testing.assert_close(mixture.log_prob(x, given=y), line.log_prob(x, given=y), rtol=1e-6, atol=1e-6)


def test_several_components_bend_with_the_context():
    """A parabola: held-out log-density is ahead of the line's by half a nat and more."""
    torch.manual_seed(0)
    y = 2 * torch.rand(2000, 1) - 1
    x = y.square() + 0.05 * torch.randn(2000, 1)
    noise = make_noise("gaussian-mixture", event_shape=(1,), context_shape=(1,), components=6, starts=1)
    line = make_noise("gaussian", event_shape=(1,), context_shape=(1,))
    for model in (noise, line):
        model.fit(x[:1000], given=y[:1000])
    bent, straight = (float(model.log_prob(x[1000:], given=y[1000:]).detach().mean()) for model in (noise, line))
    assert bent > straight + 0.5


def test_no_contexts_are_no_draws_and_wrong_ones_are_refused():
    noise = randomized(2, 2)
    assert noise.sample(given=torch.zeros(0, 2, dtype=torch.float64)).shape == (0, 2)
    with pytest.raises(ContrastiveError, match=r"\(3, 2\) as given.*\(3, 1\)"):
        noise.sample(given=torch.zeros(3, 1, dtype=torch.float64))
    with pytest.raises(ContrastiveError, match=r"\(4, 2\) as given.*\(4, 3\)"):
        noise.fit(torch.zeros(4, 2), given=torch.zeros(4, 3))
