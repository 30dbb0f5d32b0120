"""Losses and gradients beside those of other libraries, to rounding.

ebmkit is installed with the tools of development. torch-mist asks for an old numpy, so its test is run by hand:
`pip install --no-deps torch-mist pyro-ppl pyro-api opt_einsum hydra-core omegaconf antlr4-python3-runtime`.
"""

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveEstimator, make_energy
from contrastive.objectives import make_objective

NOISE = Independent(Normal(torch.zeros(3).double(), 1.5 * torch.ones(3).double()), 1)


def energy(seed=0):
    torch.manual_seed(seed)
    return make_energy("mlp", event_shape=(3,), widths=(16, 16)).double()


@pytest.mark.parametrize("nu", [1, 2, 5])
def test_nce_is_that_of_ebmkit(nu):
    from ebm.losses import NoiseContrastiveEstimation

    f, x = energy(), torch.randn(64, 3, dtype=torch.float64)
    ours = ContrastiveEstimator(f, NOISE, noise_ratio=nu).double()
    theirs = NoiseContrastiveEstimation(NOISE, noise_ratio=nu).double()
    with torch.no_grad():
        ours.log_normalizer.fill_(0.7)
        theirs.log_z.fill_(0.7)
    torch.manual_seed(1)  # both draw n nu points of noise, and nothing else
    loss = ours.contrast(x).loss
    torch.manual_seed(1)
    peer = theirs(lambda x: -f(x), x).loss
    assert float(loss.detach()) == pytest.approx(float(peer.detach()), abs=1e-12)
    for own, other in zip(
        torch.autograd.grad(loss, [ours.log_normalizer, *f.parameters()]),
        torch.autograd.grad(peer, [theirs.log_z, *f.parameters()]),
    ):
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-12)


@pytest.fixture
def mist():
    reason = "torch-mist asks for numpy below 2: see the head of this file"
    return pytest.importorskip("torch_mist.estimators.discriminative.implementations", reason=reason)


def test_objectives_are_the_bounds_of_torch_mist(mist):
    """Its critic is our log-ratio s = f - log q, its product of marginals our noise.

    JS is `nce` at c = 0, NWJ `is-mle` at c = 1 (plus 1), InfoNCE over the data point and K draws `ranking` (less
    log(K + 1)).
    """
    from torch_mist.critic import Critic

    n, k = 50, 4
    f, x = energy(), torch.randn(n, 3, dtype=torch.float64)
    draws = NOISE.sample((n, k))

    class LogRatio(Critic):
        def forward(self, x, y):
            flat = y.reshape(-1, 3)
            return (f(flat) - NOISE.log_prob(flat)).reshape(y.shape[:-1])

    class Fixed(nn.Module):
        def __init__(self, negatives):
            super().__init__()
            self.negatives = negatives

        def sample(self, shape):
            assert shape.numel() == len(self.negatives)
            return self.negatives

    def bound(estimator, negatives):
        estimator.proposal = Fixed(negatives)
        return estimator.batch_loss(x, x).mean()

    negatives = draws.movedim(1, 0)  # (K, n, 3): K draws for each data point
    s_data, s_noise = (LogRatio()(points, points) for points in (x, draws))

    data, noise = make_objective("nce")(s_data, s_noise.flatten(), 1.0)
    torch.testing.assert_close(data.mean() + noise.mean(), bound(mist.JS(LogRatio(), k), negatives))
    data, noise = make_objective("is-mle")(s_data - 1, s_noise.flatten() - 1, 1.0)
    torch.testing.assert_close(data.mean() + noise.mean(), bound(mist.NWJ(LogRatio(), k), negatives) + 1)
    data, _ = make_objective("ranking")(s_data, s_noise.flatten(), 1.0)
    candidates = torch.cat([x[None], negatives])
    peer = bound(mist.InfoNCE(LogRatio(), k + 1), candidates)
    torch.testing.assert_close(data.mean(), peer + torch.tensor(float(k + 1)).double().log())
