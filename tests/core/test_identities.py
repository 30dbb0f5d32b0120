"""What theory says of the value function and of NCE exactly, by quadrature."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal
from torch.nn.functional import logsigmoid

from contrastive import ContrastiveEstimator


def normal(loc, scale):
    return Independent(Normal(*(torch.tensor([number], dtype=torch.float64) for number in (loc, scale))), 1)


def grid():
    return torch.linspace(-20, 20, 80_001, dtype=torch.float64)[:, None]


def integral(values):
    return torch.trapezoid(values, grid()[:, 0])


@pytest.mark.parametrize("nu", [0.3, 1.0, 5.0])
def test_at_the_truth_v_is_a_divergence_less_a_constant(nu):
    """V = KL(p, m) + nu KL(q, m) - (1 + nu) log(1 + nu) + nu log nu, m = (p + nu q) / (1 + nu); 2 JSD - log 4 at 1."""
    p, q, x = normal(0.0, 1.0), normal(1.0, 1.6), grid()
    estimator = ContrastiveEstimator(p.log_prob, q, noise_ratio=nu)
    with torch.no_grad():
        r = estimator.log_ratio(x)
    a, b = p.log_prob(x).exp(), q.log_prob(x).exp()
    value = integral(a * logsigmoid(r)) + nu * integral(b * logsigmoid(-r))
    m = (a + nu * b) / (1 + nu)
    divergence = integral(torch.xlogy(a, a / m)) + nu * integral(torch.xlogy(b, b / m))
    constant = (1 + nu) * math.log(1 + nu) - nu * math.log(nu)
    assert float(value) == pytest.approx(float(divergence) - constant, abs=1e-9)
    if nu == 1:
        assert constant == pytest.approx(math.log(4))


class Quadratic(nn.Module):
    """The Gaussian family: f(x) = a x + b x^2."""

    def __init__(self, a, b):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([a, b], dtype=torch.float64))

    def forward(self, x):
        return self.theta[0] * x[:, 0] + self.theta[1] * x[:, 0].square()


@pytest.mark.parametrize("nu", [0.5, 1.0, 8.0])
def test_noise_that_is_the_maximum_likelihood_fit_gives_that_fit_back(nu):
    """With the noise integrated out, NCE's gradient is 0 there to rounding: adapting q to the data costs nothing."""
    torch.manual_seed(0)
    x = 3 * torch.rand(40, 1, dtype=torch.float64) ** 2 - 1  # not Gaussian at all
    mean, sd = float(x.mean()), float(x.std(correction=0))
    estimator = ContrastiveEstimator(Quadratic(mean / sd**2, -0.5 / sd**2), normal(mean, sd), noise_ratio=nu).double()
    with torch.no_grad():
        estimator.log_normalizer.fill_(0.5 * (mean / sd) ** 2 + math.log(sd) + 0.5 * math.log(2 * math.pi))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    z = mean + sd * torch.as_tensor(nodes)[:, None]
    weights = torch.as_tensor(weights / weights.sum())
    data, noise = estimator.objective(estimator.model_log_ratio(x), estimator.model_log_ratio(z), nu)
    loss = data.mean() + (weights * noise).sum()
    gradients = torch.autograd.grad(loss, [estimator.energy.theta, estimator.log_normalizer])
    assert max(float(g.abs().max()) for g in gradients) < 1e-12


class Location(nn.Module):
    """The noise N(theta, 1)."""

    event_shape = torch.Size([1])

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

    def log_prob(self, value):
        return Normal(self.theta, 1.0).log_prob(value)[..., 0]

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        x = self.theta + torch.randn(*sample_shape, 1, dtype=torch.float64)
        return x, self.log_prob(x)

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return self.rsample_and_log_prob(sample_shape)[0]


def test_detached_draws_would_leave_the_noise_without_a_gradient_at_the_truth_and_ours_are_not_detached():
    p, noise = normal(0.0, 1.0), Location()
    estimator = ContrastiveEstimator(p.log_prob, noise, adapt_noise=True).double()
    x = grid()
    log_q = noise.log_prob(x)
    r = p.log_prob(x) - log_q
    data = integral(p.log_prob(x).exp() * logsigmoid(r))
    held = data + integral(log_q.exp().detach() * logsigmoid(-r))
    full = data + integral(log_q.exp() * logsigmoid(-r))
    (of_held,) = torch.autograd.grad(held, noise.theta, retain_graph=True)
    (of_full,) = torch.autograd.grad(full, noise.theta)
    assert abs(float(of_held)) < 1e-9
    assert float(of_full) > 0.1

    torch.manual_seed(1)
    ours = torch.stack(
        [torch.autograd.grad(estimator.noise_loss(p.sample((1000,))).value, noise.theta)[0] for _ in range(200)]
    )
    assert abs(float(ours.mean() - of_full)) < 5 * float(ours.std()) / math.sqrt(len(ours))
    assert float(ours.mean()) > 10 * float(ours.std()) / math.sqrt(len(ours))
