"""Gradients of the two players against quadrature, finite differences and enumeration."""

import math
from itertools import product

import pytest
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from contrastive import ContrastiveEstimator, make_energy

# Statistical tests: a gradient entry may be off by 4.5 standard errors, two-sided false-alarm rate 7e-6 an entry.
SIGMAS = 4.5


class Banana(nn.Module):
    """A 2-D flow of five parameters: x1 = e^a z1 + b, x2 = e^c z2 + d x1^2 + e."""

    event_shape = torch.Size([2])

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.3, -0.2, -0.1, 0.25, 0.4], dtype=torch.float64))

    def log_prob(self, x):
        a, b, c, d, e = self.theta
        z1 = (x[..., 0] - b) * torch.exp(-a)
        z2 = (x[..., 1] - d * x[..., 0] ** 2 - e) * torch.exp(-c)
        return -0.5 * (z1**2 + z2**2) - math.log(2 * math.pi) - a - c

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        a, b, c, d, e = self.theta
        z = torch.randn(*sample_shape, 2, dtype=torch.float64)
        x1 = torch.exp(a) * z[..., 0] + b
        x = torch.stack([x1, torch.exp(c) * z[..., 1] + d * x1**2 + e], -1)
        return x, -0.5 * z.square().sum(-1) - math.log(2 * math.pi) - a - c

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return self.rsample_and_log_prob(sample_shape)[0]


class SinhArcsinh(nn.Module):
    """A 1-D flow of four parameters: x = sinh((arcsinh(z) + a) e^b) e^c + d."""

    event_shape = torch.Size([1])

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.2, -0.3, 0.4, -0.1], dtype=torch.float64))

    def log_prob(self, x):
        a, b, c, d = self.theta
        u = torch.asinh((x[..., 0] - d) * torch.exp(-c))
        z = torch.sinh(u * torch.exp(-b) - a)
        log_dx_dz = torch.log(torch.cosh(u)) + b + c - 0.5 * torch.log1p(z**2)
        return -0.5 * z**2 - 0.5 * math.log(2 * math.pi) - log_dx_dz

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        a, b, c, d = self.theta
        z = torch.randn(*sample_shape, 1, dtype=torch.float64)
        x = torch.sinh((torch.asinh(z) + a) * torch.exp(b)) * torch.exp(c) + d
        return x, self.log_prob(x)

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return self.rsample_and_log_prob(sample_shape)[0]


def double_energy(dim):
    """A fixed, smooth, wrong energy."""
    torch.manual_seed(5)
    return make_energy("mlp", event_shape=(dim,), widths=(8,), activation="tanh").double()


def truth(dim):
    locs = torch.tensor([[-1.0] * dim, [1.2] * dim], dtype=torch.float64)
    parts = Independent(Normal(locs, torch.tensor(0.6, dtype=torch.float64)), 1)
    return MixtureSameFamily(Categorical(torch.tensor([0.4, 0.6], dtype=torch.float64)), parts)


def grid(dim, half_width=12.0, points=1201):
    line = torch.linspace(-half_width, half_width, points if dim == 1 else 601, dtype=torch.float64)
    cell = (line[1] - line[0]) ** dim
    return torch.cartesian_prod(*[line] * dim).reshape(-1, dim), cell


def exact_value(estimator, p):
    """V by quadrature."""
    x, cell = grid(p.event_shape[0])
    log_q = estimator.noise.log_prob(x)
    r = estimator.energy(x) - estimator.log_normalizer - log_q - math.log(estimator.noise_ratio)
    data = (p.log_prob(x).exp() * nn.functional.logsigmoid(r)).sum() * cell
    noise = (log_q.exp() * nn.functional.logsigmoid(-r)).sum() * cell
    return data + estimator.noise_ratio * noise


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("flow", "dim"), [(SinhArcsinh, 1), (Banana, 2)])
@pytest.mark.parametrize("nu", [0.5, 1.0, 3.0])
def test_fce_gradient_is_pathwise(flow, dim, nu):
    """The noise's Monte Carlo gradient has the gradient of the quadrature of V as its mean."""
    noise, p = flow(), truth(dim)
    estimator = ContrastiveEstimator(double_energy(dim), noise, noise_ratio=nu, noise_per_data=1, adapt_noise=True)
    nn.init.constant_(estimator.log_normalizer, 0.7)
    (exact,) = torch.autograd.grad(exact_value(estimator, p), noise.theta)
    torch.manual_seed(1)
    gradients = torch.stack(
        [torch.autograd.grad(estimator.noise_loss(p.sample((2000,))).value, noise.theta)[0] for _ in range(100)]
    )
    error = gradients.std(0) / math.sqrt(len(gradients))
    assert ((gradients.mean(0) - exact).abs() < SIGMAS * error).all()
    assert (exact.abs() > 5 * error).any(), "the test could not tell the gradient from zero"


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("flow", "dim"), [(SinhArcsinh, 1), (Banana, 2)])
def test_the_path_alone_has_the_gradient_of_the_divergence_from_the_energy(flow, dim):
    """Its mean is that of 2 JSD(q, p), and V's gradient is that plus the integral of d q (p - p_data) / (p + q)."""
    noise, p_data = flow(), truth(dim)
    estimator = ContrastiveEstimator(double_energy(dim), noise, adapt_noise=True)
    x, cell = grid(dim)
    with torch.no_grad():
        f = estimator.unnormalized_log_prob(x)
        estimator.log_normalizer.fill_((f.logsumexp(0) + cell.log()).item())  # so that p is normalised on the grid
        log_p = f - estimator.log_normalizer
    log_q = noise.log_prob(x)
    log_middle = torch.logaddexp(log_p, log_q) - math.log(2)
    p, q = log_p.exp(), log_q.exp()
    twice_jsd = (p * (log_p - log_middle) + q * (log_q - log_middle)).sum() * cell
    (of_jsd,) = torch.autograd.grad(twice_jsd, noise.theta, retain_graph=True)
    bias = (q * (p - p_data.log_prob(x).exp()) / (p + q.detach())).sum() * cell
    (of_bias,) = torch.autograd.grad(bias, noise.theta)
    (of_value,) = torch.autograd.grad(exact_value(estimator, p_data), noise.theta)
    # The banana's arms leave the grid in the plane.
    tolerance = 1e-6 if dim == 1 else 1e-2
    torch.testing.assert_close(of_value, of_jsd + of_bias, rtol=tolerance, atol=1e-8)

    torch.manual_seed(2)
    gradients = torch.stack(
        [
            torch.autograd.grad(estimator.noise_loss(p_data.sample((2000,)), path_only=True).value, noise.theta)[0]
            for _ in range(100)
        ]
    )
    error = gradients.std(0) / math.sqrt(len(gradients))
    assert ((gradients.mean(0) - of_jsd).abs() < SIGMAS * error).all()
    assert ((of_value - of_jsd).abs() > 5 * error).any(), "the test could not tell the path from the full gradient"


class Shifted(nn.Module):
    """N(theta, 1)."""

    event_shape = torch.Size([1])

    def __init__(self, shift):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(shift))

    def log_prob(self, value):
        return Normal(self.theta, 1.0).log_prob(value)[..., 0]

    def rsample_and_log_prob(self, sample_shape=torch.Size()):
        x = self.theta + torch.randn(*sample_shape, 1)
        return x, self.log_prob(x)

    def sample(self, sample_shape=torch.Size()):
        return self.rsample_and_log_prob(sample_shape)[0].detach()


@pytest.mark.usefixtures("_float64")
def test_near_the_optimum_the_path_has_hardly_any_noise():
    """p = N(0, 1), q = N(0.05, 1): a sample's gradient has standard deviation 0.706 in full, 0.001 along the path."""
    noise, p = Shifted(0.05), Normal(torch.zeros(1), 1.0)
    estimator = ContrastiveEstimator(lambda x: p.log_prob(x)[:, 0], noise, adapt_noise=True)
    torch.manual_seed(3)
    spread = {}
    for path_only in (False, True):
        values = [estimator.noise_loss(p.sample((1,)), path_only=path_only).value for _ in range(2000)]
        spread[path_only] = torch.stack([torch.autograd.grad(v, noise.theta)[0] for v in values]).std()
    assert float(spread[False]) == pytest.approx(0.706, abs=0.05)
    assert float(spread[True]) < 0.002


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("flow", "dim"), [(SinhArcsinh, 1), (Banana, 2)])
def test_energy_gradient_agrees_with_quadrature(flow, dim):
    noise, p = flow(), truth(dim)
    estimator = ContrastiveEstimator(double_energy(dim), noise, noise_ratio=2.0)
    parameters = [estimator.log_normalizer, *estimator.energy.parameters()]
    exact = torch.cat([g.reshape(-1) for g in torch.autograd.grad(-exact_value(estimator, p), parameters)])
    torch.manual_seed(2)
    gradients = torch.stack(
        [
            torch.cat(
                [g.reshape(-1) for g in torch.autograd.grad(estimator.contrast(p.sample((2000,))).loss, parameters)]
            )
            for _ in range(100)
        ]
    )
    error = gradients.std(0) / math.sqrt(len(gradients))
    assert ((gradients.mean(0) - exact).abs() < SIGMAS * error + 1e-12).all()


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("flow", "dim"), [(SinhArcsinh, 1), (Banana, 2)])
def test_fce_gradient_is_that_of_finite_differences(flow, dim):
    """With the base noise frozen, V is a smooth function of the flow's parameters: central differences."""
    noise = flow()
    estimator = ContrastiveEstimator(double_energy(dim), noise, adapt_noise=True)
    data = truth(dim).sample((50,))

    def value(theta):
        with torch.no_grad():
            noise.theta.copy_(theta)
        torch.manual_seed(3)
        return estimator.noise_loss(data).value

    start = noise.theta.detach().clone()
    (gradient,) = torch.autograd.grad(value(start), noise.theta)
    for i, step in enumerate(1e-5 * torch.eye(len(start))):
        difference = (value(start + step) - value(start - step)) / 2e-5
        torch.testing.assert_close(gradient[i], difference.detach(), rtol=1e-6, atol=1e-8)


class Die(nn.Module):
    """A loaded die of three faces: discrete draws, which have no path. `script` says what is drawn."""

    event_shape = torch.Size([1])

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([0.4, -0.3, 0.1], dtype=torch.float64))
        self.script = None

    def log_prob(self, x):
        return self.theta.log_softmax(0)[x[..., 0].long()]

    def sample(self, sample_shape=torch.Size()):
        return torch.tensor(self.script, dtype=torch.float64).reshape(*sample_shape, 1)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("draws", [1, 2, 4])
@pytest.mark.parametrize("nu", [0.5, 1.0, 3.0])
def test_score_function_gradient_is_unbiased(draws, nu):
    """Its mean over every possible outcome of the draws is the exact gradient: no chance is left."""
    noise, energy = Die(), nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    data = torch.tensor([[0.0], [2.0], [2.0], [1.0]])
    estimator = ContrastiveEstimator(energy, noise, noise_ratio=nu, noise_per_data=draws / len(data), adapt_noise=True)
    nn.init.constant_(estimator.log_normalizer, 0.7)
    faces = torch.arange(3.0)[:, None]
    log_q = noise.log_prob(faces)
    r = estimator.model_log_ratio(faces)
    exact = nn.functional.logsigmoid(estimator.model_log_ratio(data)).mean()
    exact = exact + nu * (log_q.exp() * nn.functional.logsigmoid(-r)).sum()
    (expected,) = torch.autograd.grad(exact, noise.theta)
    value, mean = 0.0, torch.zeros(3)
    for outcome in product(range(3), repeat=draws):
        noise.script = outcome
        contrast = estimator.noise_loss(data)
        (gradient,) = torch.autograd.grad(contrast.value, noise.theta)
        weight = log_q[list(outcome)].sum().exp().detach()
        value, mean = value + weight * contrast.value.detach(), mean + weight * gradient
    torch.testing.assert_close(mean, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(value, exact.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("_float64")
def test_score_function_baseline_takes_all_noise_of_the_draws_away_at_the_optimum():
    """Where p = q and nu = 1 every draw has the same reward: what is left is the part of the data."""
    noise, p = Banana(), Banana()
    scored = ContrastiveEstimator(p.log_prob, Scored(noise), adapt_noise=True)
    data = p.sample((500,))
    contrast = scored.noise_loss(data)
    (gradient,) = torch.autograd.grad(contrast.value, noise.theta)
    (of_data,) = torch.autograd.grad(-scored.noise_loss(data).data_term, noise.theta)
    torch.testing.assert_close(gradient, of_data, rtol=1e-9, atol=1e-12)


class Scored(nn.Module):
    """A flow whose paths are hidden."""

    def __init__(self, flow):
        super().__init__()
        self.flow, self.event_shape = flow, flow.event_shape
        self.sample, self.log_prob = flow.sample, flow.log_prob


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("flow", "dim"), [(SinhArcsinh, 1), (Banana, 2)])
def test_score_function_gradient_agrees_with_quadrature(flow, dim):
    noise, p = flow(), truth(dim)
    estimator = ContrastiveEstimator(double_energy(dim), Scored(noise), noise_ratio=2.0, noise_per_data=1.0)
    nn.init.constant_(estimator.log_normalizer, 0.7)
    (exact,) = torch.autograd.grad(exact_value(estimator, p), noise.theta)
    torch.manual_seed(4)
    gradients = torch.stack(
        [torch.autograd.grad(estimator.noise_loss(p.sample((2000,))).value, noise.theta)[0] for _ in range(100)]
    )
    error = gradients.std(0) / math.sqrt(len(gradients))
    assert ((gradients.mean(0) - exact).abs() < SIGMAS * error).all()
    assert (exact.abs() > 5 * error).any(), "the test could not tell the gradient from zero"
