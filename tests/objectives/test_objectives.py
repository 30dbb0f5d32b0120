"""Objectives against their definitions, in places where the definition itself is safe."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, fit, make_energy
from contrastive.config import configure
from contrastive.objectives import OBJECTIVES, Bregman, make_objective
from contrastive.training.players import Player

BREGMAN = [name for name in OBJECTIVES if isinstance(make_objective(name), Bregman)]
WITHOUT_C = ["ranking", "mc-mle"]
CHAINED = ["telescoping", "multinomial"]  # tested in test_telescoping.py
logistic = make_objective("nce")

ratios = st.lists(st.floats(-20, 20), min_size=1, max_size=8).map(lambda r: torch.tensor(r, dtype=torch.float64))

#: f of each name, as a plain function of rho.
CONVEX = {
    "nce": lambda rho: rho * rho.log() - (1 + rho) * (1 + rho).log(),
    "is-mle": lambda rho: rho * rho.log(),
    "exponential": lambda rho: -2 * rho.sqrt(),
    "least-squares": lambda rho: rho.square() / 2,
}


@given(ratios, ratios, st.floats(0.05, 50))
def test_logistic_is_minus_the_log_likelihood_of_the_classifier(r_data, r_noise, nu):
    data, noise = logistic(r_data, r_noise, nu)
    torch.testing.assert_close(data, -torch.log(1 / (1 + torch.exp(-r_data))))
    torch.testing.assert_close(noise, -nu * torch.log(1 / (1 + torch.exp(r_noise))))


@pytest.mark.parametrize("extreme", [1e4, 1e30, math.inf])
def test_logistic_is_finite_with_bounded_gradient_where_the_ratio_is_extreme_but_right(extreme):
    r_data = torch.tensor([extreme, -30.0], requires_grad=True)
    r_noise = torch.tensor([-extreme, 30.0], requires_grad=True)
    loss = sum(losses.mean() for losses in logistic(r_data, r_noise, 2.0))
    loss.backward()
    assert loss.isfinite()
    assert r_data.grad.abs().max() <= 1
    assert r_noise.grad.abs().max() <= 2


@pytest.mark.parametrize("name", CONVEX)
@given(ratios.map(lambda r: r / 4), st.floats(0.05, 50))
def test_named_objectives_are_the_bregman_losses_of_their_convex_functions(name, r, nu):
    """Up to a constant, which the derivative in r does not see."""
    f = CONVEX[name]
    for side in (0, 1):
        gradients = []
        for objective in (make_objective(name), Bregman.of(f)):
            x = r.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(objective(x, x, nu)[side].sum(), x)
            gradients.append(gradient)
        torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", CONVEX)
@given(ratios.map(lambda r: r / 4))
def test_weight_is_rho_times_the_second_derivative(name, r):
    rho = r.exp().requires_grad_()
    (slope,) = torch.autograd.grad(CONVEX[name](rho).sum(), rho, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), rho)
    torch.testing.assert_close(make_objective(name).weight(r), (rho * bend).detach(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", BREGMAN)
@given(nu=st.floats(0.2, 5), seed=st.integers(0, 1000))
def test_minimum_over_all_functions_is_the_normalised_density(name, nu, seed):
    """On a finite space the exact loss is stationary at f - c = log p: the loss normalises by itself."""
    generator = torch.Generator().manual_seed(seed)
    p, q = (torch.rand(5, generator=generator, dtype=torch.float64).softmax(0) for _ in range(2))
    log_p = p.log().clone().requires_grad_()
    r = log_p - q.log() - math.log(nu)
    data, noise = make_objective(name)(r, r, nu)
    (gradient,) = torch.autograd.grad((p * data).sum() + (q * noise).sum(), log_p)
    assert gradient.abs().max() < 1e-12


@pytest.mark.parametrize("name", WITHOUT_C)
@given(shift=st.floats(-30, 30), nu=st.floats(0.2, 5))
def test_c_cancels_where_it_is_said_to(name, shift, nu):
    torch.manual_seed(0)
    r_data, r_noise = torch.randn(6, dtype=torch.float64), torch.randn(18, dtype=torch.float64)
    plain = sum(losses.mean() for losses in make_objective(name)(r_data, r_noise, nu))
    shifted = sum(losses.mean() for losses in make_objective(name)(r_data - shift, r_noise - shift, nu))
    assert float(plain) == pytest.approx(float(shifted), abs=1e-10)


def test_ranking_is_the_cross_entropy_of_picking_the_data_point():
    torch.manual_seed(1)
    r_data, r_noise = torch.randn(4), torch.randn(12)
    logits = torch.cat([r_data[:, None], r_noise.reshape(4, 3)], 1)
    expected = torch.nn.functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long), reduction="none")
    data, noise = make_objective("ranking")(r_data, r_noise, 3.0)
    torch.testing.assert_close(data, expected)
    assert not noise.any()
    with pytest.raises(ContrastiveError, match="whole number of noise draws"):
        make_objective("ranking")(r_data, r_noise[:10], 1.0)


def test_monte_carlo_likelihood_is_importance_at_its_best_c():
    torch.manual_seed(2)
    r_data, r_noise = torch.randn(50).double(), torch.randn(80).double()
    c = torch.linspace(-3, 3, 100_001).double()
    losses = (-(r_data.mean() - c)) + (r_noise[:, None] - c).exp().mean(0)
    data, noise = make_objective("mc-mle")(r_data, r_noise, 1.0)
    assert float(losses.min()) == pytest.approx(float(data.mean() + noise.mean()) + 1, abs=1e-8)


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - set(CHAINED)))
def test_every_objective_finds_a_gaussian(name):
    """Mean 1 and standard deviation 0.7, with c: 0.05 nats of log p, some five standard errors of 20,000 rows."""
    torch.manual_seed(3)
    x = 1 + 0.7 * torch.randn(20_000, 1)
    estimator = fit(
        x,
        energy="gaussian",
        noise="student-t",
        objective=name,
        standardize=False,
        steps=1_500,
        learning_rate=1e-2,
        early_stopping=0,  # to the objective's own optimum, not to where NCE's value is best on held-out rows
        quiet=True,
    )
    points = torch.linspace(-1, 3, 41)[:, None]
    truth = Normal(1.0, 0.7).log_prob(points)[:, 0]
    with torch.no_grad():
        gap = (estimator.log_prob(points) - truth).abs()
    assert float(gap[10:31].max()) < 0.05


def test_conditional_contrast_is_stationary_at_the_truth():
    """On pairs of a data point and its perturbed self: the mean gradient in (mean, log sd) is 0 within 5 errors."""
    torch.manual_seed(4)
    theta = torch.tensor([1.0, -0.3], dtype=torch.float64, requires_grad=True)
    x = 1 + math.exp(-0.3) * torch.randn(200, 2000, 1, dtype=torch.float64)

    def loss(mean, sd, batch):
        losses = make_objective("conditional").contrast(lambda z: Normal(mean, sd).log_prob(z)[:, 0], batch, batch)
        return losses.data_term

    gradients = [torch.autograd.grad(loss(theta[0], theta[1].exp(), batch), theta)[0] for batch in x]
    stacked = torch.stack(gradients)
    assert bool((stacked.mean(0).abs() < 5 * stacked.std(0) / math.sqrt(len(stacked))).all())
    assert float(loss(1.0, math.exp(-0.3), x[0])) < float(loss(1.5, math.exp(-0.3), x[0]))


@pytest.mark.parametrize("name", [*WITHOUT_C, "conditional"])
def test_objectives_that_are_no_divergence_refuse_to_adapt_the_noise(name):
    with pytest.raises(ContrastiveError, match="cannot adapt the noise"):
        fit("8gaussians", noise="gaussian", method="fce", objective=name, steps=5, quiet=True)


def test_an_objective_of_ones_own_is_a_function():
    def squared(r_data, r_noise, nu):
        return -r_data.exp(), nu * (2 * r_noise).exp() / 2

    noise = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), noise, objective=squared)
    torch.manual_seed(0)
    own = estimator.contrast(torch.zeros(4, 2)).loss
    torch.manual_seed(0)
    named = ContrastiveEstimator(estimator.energy, noise, objective="least-squares").contrast(torch.zeros(4, 2)).loss
    assert torch.equal(own, named)


def test_unknown_objective_names_the_known():
    with pytest.raises(ContrastiveError, match="nce"):
        make_objective("nse")


def test_options_of_an_objective_come_from_the_settings():
    estimator = fit("8gaussians", objective="conditional", objective_options={"scale": 0.1}, steps=2, quiet=True)
    assert estimator.objective.scale == 0.1
    assert configure({"objective.scale": 0.1}).objective.options == {"scale": 0.1}
    for options, message in (({"width": 1}, "no option 'width'"), ({"scale": -1.0}, "positive scale")):
        with pytest.raises(ContrastiveError, match=message):
            make_objective("conditional", **options)
    with pytest.raises(ContrastiveError, match="no option 'scale'"):
        make_objective("nce", scale=1.0)


def test_normalised_gradients_cross_the_plain_between_far_densities_on_the_exponential_loss():
    """p = N(7, 1) from q = N(0, 1), natural parameter and c by 1,000 steps down the loss of quadrature.

    Liu et al. (2021), arXiv 2110.11271, theorems 3.2 and 4.2: only this pair takes polynomially many.
    """
    x = torch.linspace(-12, 19, 3001, dtype=torch.float64)
    log_q, log_p = (-0.5 * (x - loc).square() - 0.5 * math.log(2 * math.pi) for loc in (0.0, 7.0))

    def descended(name, *, normalizes):
        theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        player = Player([theta], [theta.detach().clone()], learning_rate=0.3, optimizer="ngd", clip_norm=1e9)
        player.normalizes = normalizes
        for i in range(1000):
            r = theta[0] * x - theta[1]
            data, noise = make_objective(name)(r, r, 1.0)
            player.step(torch.trapezoid(log_p.exp() * data + log_q.exp() * noise, x), i / 1000)
        return theta.tolist()

    assert descended("exponential", normalizes=True) == pytest.approx([7.0, 24.5], abs=1e-3)
    assert descended("exponential", normalizes=False)[0] < 3
    assert descended("nce", normalizes=True)[0] < 6.6
    assert descended("nce", normalizes=False)[0] < 2
