"""The benchmarks' contrastive divergence: its gradient in closed form, its fixed point, and a peer's loss."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.lib.contrastive_divergence import Chains, divergence_loss, fit_by_divergence
from contrastive import load, make_energy
from contrastive.config import configure
from contrastive.sampling.kernels import MALA


class Normal(nn.Module):
    """f of a Gaussian with a mean and a log precision to be learned."""

    def __init__(self, mean=0.0, log_precision=0.0):
        super().__init__()
        self.mean = nn.Parameter(torch.tensor(mean, dtype=torch.float64))
        self.log_precision = nn.Parameter(torch.tensor(log_precision, dtype=torch.float64))

    def forward(self, x):
        return -self.log_precision.exp() * (x - self.mean).square().sum(1) / 2


def test_gradient_in_closed_form():
    """f = -e^t (x - m)^2 / 2, so df/dm = e^t (x - m) and df/dt = f."""
    torch.manual_seed(0)
    energy = Normal(0.3, 0.5)
    z, negatives = torch.randn(50, 1, dtype=torch.float64), 2 * torch.randn(40, 1, dtype=torch.float64)
    gradients = torch.autograd.grad(divergence_loss(energy, z, negatives), [energy.mean, energy.log_precision])
    precision = np.exp(0.5)
    by_mean = precision * ((negatives.numpy() - 0.3).mean() - (z.numpy() - 0.3).mean())
    by_log = -precision / 2 * (((negatives.numpy() - 0.3) ** 2).mean() - ((z.numpy() - 0.3) ** 2).mean())
    assert float(gradients[0]) == pytest.approx(by_mean, abs=1e-12)
    assert float(gradients[1]) == pytest.approx(by_log, abs=1e-12)


@pytest.mark.parametrize("regularization", [0.0, 0.1])
def test_loss_is_that_of_ebmkit(regularization):
    losses = pytest.importorskip("ebm.losses", reason="ebmkit, a peer, is not installed")

    class Same:
        """A sampler whose chains do not move."""

        def sample(self, energy, x0):
            return x0

    torch.manual_seed(0)
    energy = make_energy("mlp", event_shape=(3,), widths=(8,)).double()
    z, negatives = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 3, dtype=torch.float64)
    theirs = losses.ContrastiveDivergence(Same(), energy_reg=regularization, init_fn=lambda shape: negatives)
    peer = theirs(lambda x: -energy(x), z).loss
    ours = divergence_loss(energy, z, negatives, regularization=regularization)
    assert float(ours.detach()) == pytest.approx(float(peer.detach()), abs=1e-12)


def test_persistent_chains_reach_the_moments_of_the_energy():
    """2,000 independent chains far from N(1, 1/4): mean within 5 sd of 1, variance within 5 sd of 1/4: alarm 1e-6."""
    torch.manual_seed(0)
    energy = Normal(1.0, float(np.log(4.0)))
    chains = Chains(5 + torch.zeros(2000, 1, dtype=torch.float64), kernel=MALA(step_size=0.5))
    for _ in range(400):
        chains.move(energy, torch.zeros(500, 1, dtype=torch.float64))
    assert chains.persistent is not None
    x = chains.persistent
    assert abs(float(x.mean()) - 1) < 5 * 0.5 / 2000**0.5
    assert abs(float(x.var()) - 0.25) < 5 * 0.25 * (2 / 2000) ** 0.5


def test_restarted_chains_begin_at_the_data():
    torch.manual_seed(0)
    chains = Chains(torch.full((8, 2), 100.0), restart=1.0, kernel=MALA(step_size=1e-6))
    z = torch.randn(5, 2)
    ends = chains.move(make_energy("mlp", event_shape=(2,), widths=(4,)), z)
    torch.testing.assert_close(ends, z, atol=1e-4, rtol=0)


@pytest.mark.parametrize("persistent", [0, 500])
def test_both_find_a_gaussian(persistent):
    """Both are consistent for a Gaussian: mean 2 and sd 1/2 of 4,000 points, 400 updates; seed fixed."""
    torch.manual_seed(0)
    energy, z = Normal(), 2 + 0.5 * torch.randn(4000, 1, dtype=torch.float64)
    start = torch.randn(persistent, 1, dtype=torch.float64) if persistent else None
    chains = Chains(start, kernel=MALA(step_size=0.5))
    optimizer = torch.optim.Adam(energy.parameters(), 0.05)
    for step in range(400):
        rows = torch.randint(len(z), (200,))
        loss = divergence_loss(energy, z[rows], chains.move(energy, z[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimizer.step()
    assert energy.mean.item() == pytest.approx(2, abs=0.06)
    assert np.exp(-energy.log_precision.item() / 2) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("persistent", [0, 20])
def test_kept_as_a_run_that_loads(persistent, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (120, 1, 8, 8), dtype=np.uint8)
    config = configure(energy="conv", energy_options={"widths": [3, 4]}, steps=3, batch_size=10)
    fit_by_divergence(pixels, config, tmp_path / "run", persistent=persistent)
    estimator = load(tmp_path / "run")
    assert estimator.features(torch.from_numpy(pixels[:4])).shape == (4, 16)
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    fit_by_divergence(pixels, config, tmp_path / "run", persistent=persistent)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
