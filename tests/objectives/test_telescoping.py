"""Chains of bridges: where data and noise do not overlap, and against closed forms where all is Gaussian."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, fit, make_energy
from contrastive.objectives import make_objective

LEVELS, DISTANCE = 8, 6.0
ANGLES = torch.linspace(0, math.pi / 2, LEVELS + 1, dtype=torch.float64)
CHAINED = ["telescoping", "multinomial"]


class TrueRatios(nn.Module):
    """Data N(0, 1), noise N(D, 1): every level of the chain is N(D sin t_k, 1), so every log-ratio is linear."""

    def __init__(self):
        super().__init__()
        self.bridge_log_normalizers = nn.Parameter(torch.zeros(LEVELS, dtype=torch.float64))

    def log_ratios(self, x):
        log_p = -0.5 * (x - DISTANCE * ANGLES.sin()).square()
        return log_p[:, :-1] - log_p[:, 1:] - self.bridge_log_normalizers


def ends(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 1, generator=generator, dtype=torch.float64) + shift for shift in (0.0, DISTANCE)]


@pytest.mark.parametrize("name", CHAINED)
def test_the_truth_is_stationary(name):
    """The mean gradient in the c_k is 0 within 5 standard errors (200 batches, seed fixed)."""
    energy, objective = TrueRatios(), make_objective(name)
    gradients = []
    for seed in range(200):
        loss = objective.contrast(energy, *ends(500, seed)).loss
        gradients.append(torch.autograd.grad(loss, energy.bridge_log_normalizers)[0])
    stacked = torch.stack(gradients)
    assert bool((stacked.mean(0).abs() < 5 * stacked.std(0) / math.sqrt(len(stacked))).all())


def test_balance_is_the_optimum_of_telescoping_in_the_constants():
    energy, objective, chain = TrueRatios(), make_objective("telescoping"), ends(2_000)
    nn.init.normal_(energy.bridge_log_normalizers)
    objective.solve_log_normalizers(energy, *chain)
    losses = objective.contrast(energy, *chain)
    (gradient,) = torch.autograd.grad(losses.loss, energy.bridge_log_normalizers)
    assert float(gradient.abs().max()) < 1e-10
    assert float(energy.bridge_log_normalizers.detach().abs().max()) < 0.2


def test_multinomial_with_constants_alone_is_mbar():
    """Shirts & Chodera (2008), eq. 11, iterated on the same points."""
    energy, (z, z_noise) = TrueRatios(), ends(400)
    optimizer = torch.optim.LBFGS([energy.bridge_log_normalizers], 1.0, 200, tolerance_grad=1e-12, tolerance_change=0)

    def closure():
        optimizer.zero_grad()
        loss = make_objective("multinomial").contrast(energy, z, z_noise).loss
        loss.backward()
        return loss

    optimizer.step(closure)

    points = (ANGLES.cos() * z + ANGLES.sin() * z_noise).T.reshape(-1, 1)  # all levels pooled
    reduced = -0.5 * (points - DISTANCE * ANGLES.sin()).square()  # log of each level's unnormalised density
    free = torch.zeros(LEVELS + 1, dtype=torch.float64)  # log Z of each level
    for _ in range(20_000):
        denominator = (math.log(len(z)) + reduced - free).logsumexp(1, keepdim=True)
        update = (reduced - denominator).logsumexp(0)
        update = update - update[-1]
        if float((update - free).abs().max()) < 1e-12:
            break
        free = update
    torch.testing.assert_close(energy.bridge_log_normalizers.detach(), free[:-1] - free[1:], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", CHAINED)
def test_a_fit_over_bridges_finds_the_density(name):
    """Data 3 standard deviations from the noise; 0.1 nats of log p, root mean square, where most data are."""
    torch.manual_seed(0)
    x = 3 + torch.randn(20_000, 1)
    estimator = fit(
        x,
        noise_options={"loc": 0.0, "covariance": [[1.0]]},
        energy="bridges",
        energy_options={"levels": 4, "widths": (32, 32)},
        objective=name,
        standardize=False,
        steps=1_500,
        batch_size=500,
        quiet=True,
    )
    points = torch.linspace(1.5, 4.5, 31)[:, None]
    truth = Normal(3.0, 1.0).log_prob(points)[:, 0]
    with torch.no_grad():
        assert float((estimator.log_prob(points) - truth).square().mean().sqrt()) < 0.1


def test_the_density_starts_as_the_noise_and_is_log_q_plus_the_ratios():
    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    energy = make_energy("bridges", event_shape=(2,), levels=3, widths=(8,))
    estimator = ContrastiveEstimator(energy, noise, objective="telescoping")
    x = torch.randn(5, 2)
    assert torch.equal(estimator.log_prob(x), noise.log_prob(x))
    nn.init.normal_(energy.strengths)
    torch.testing.assert_close(estimator.log_prob(x), noise.log_prob(x) + energy.log_ratios(x).sum(1))
    assert energy.log_ratios(x).shape == (5, 3)
    estimator.restart_energy()
    assert torch.equal(estimator.log_prob(x), noise.log_prob(x))


def test_what_cannot_be_telescoped_is_refused():
    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    with pytest.raises(ContrastiveError, match="take --energy bridges"):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, objective="telescoping")
    with pytest.raises(ContrastiveError, match="cannot adapt the noise"):
        fit("8gaussians", energy="bridges", objective="multinomial", method="fce", quiet=True)
    with pytest.raises(ContrastiveError, match="at least 1 bridge"):
        make_energy("bridges", event_shape=(2,), levels=0)
    with pytest.raises(ContrastiveError, match="one noise draw a data point"):
        make_objective("telescoping").contrast(TrueRatios(), torch.zeros(3, 1), torch.zeros(2, 1))
