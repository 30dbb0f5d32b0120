"""The slope of the log-ratio at the data: against a closed form, differences, and what it does to a game."""

import pytest
import torch

from contrastive import ContrastiveError, ContrastiveEstimator, make_energy, make_noise
from contrastive.config import configure, with_recipe
from contrastive.data.sources import Batch
from contrastive.objectives.gradient_penalty import gradient_penalty
from contrastive.training.terms import GradientPenaltyTerm, make_terms


def test_two_gaussians_have_the_slope_of_their_difference():
    """log N(z; m, 1) - log N(z; 0, s^2) has the slope m - z + z / s^2."""
    z, mean, scale = torch.randn(50, 3, dtype=torch.float64), torch.tensor([1.0, -2.0, 0.5]), 1.7
    p = torch.distributions.Independent(torch.distributions.Normal(mean.double(), 1.0), 1)
    q = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(3).double(), scale), 1)
    found = gradient_penalty(lambda z: p.log_prob(z) - q.log_prob(z), z, create_graph=False)
    slope = mean - z + z / scale**2
    assert float(found) == pytest.approx(float(slope.square().sum(1).mean()) / 2, rel=1e-10)


@pytest.mark.parametrize("follow", [True, False])
def test_the_terms_gradient_in_the_parameters_is_that_of_differences(follow):
    """Central differences in each of some parameters, float64; what follows the noise and what holds a copy of it."""
    energy = make_energy("tilted", event_shape=(2,), follow=follow, widths=(8,), activation="tanh").double()
    estimator = ContrastiveEstimator(energy, make_noise("gaussian", event_shape=(2,), loc=0.0).double()).double()
    with torch.no_grad():
        energy.strength.fill_(1.3)
    term, batch = GradientPenaltyTerm(0.7), Batch(torch.randn(20, 2, dtype=torch.float64))
    parameters = [p for p in energy.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(term(estimator, batch), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients):
        entry, step = parameter.data.view(-1), 1e-6
        kept = float(entry[0])
        values = []
        for moved in (kept + step, kept - step):
            entry[0] = moved
            values.append(float(term(estimator, batch).detach()))
        entry[0] = kept
        expected = (values[0] - values[1]) / (2 * step)
        assert expected == pytest.approx(0.0 if gradient is None else float(gradient.view(-1)[0]), rel=1e-6, abs=1e-8)


def test_the_log_ratio_does_not_depend_on_who_asks():
    """In model coordinates and in the data's, for energies that follow the noise and those that hold a copy of it."""
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0)
    for follow in (True, False):
        energy = make_energy("tilted", event_shape=(2,), follow=follow)
        estimator = ContrastiveEstimator(energy, noise)
        with torch.no_grad():
            energy.strength.fill_(1.0)
            estimator.log_normalizer.fill_(0.4)
        x = torch.randn(7, 2)
        expected = estimator.log_prob(x) - estimator.noise_log_prob(x)
        torch.testing.assert_close(estimator.log_ratio(x), expected)
        torch.testing.assert_close(estimator.model_log_ratio(estimator.model_coordinates(x)), expected)


def test_it_keeps_the_circling_game_from_circling():
    """The Dirac-GAN of Mescheder et al. (2018), section 2: data at 0, noise at t, r(z) = a z.

    By turns at rate 0.2 the players circle for ever; with gamma = 1 they come to rest at (0, 0).
    """

    def distance(gamma):
        a, t = torch.tensor(1.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
        r, data = lambda z: a * z, torch.zeros(1)
        for _ in range(300):
            loss = torch.nn.functional.softplus(-r(data)).mean() + torch.nn.functional.softplus(r(t.detach()))
            (slope,) = torch.autograd.grad(loss + gamma * gradient_penalty(r, data), a)
            a.data -= 0.2 * slope
            (slope,) = torch.autograd.grad(-torch.nn.functional.softplus(a.detach() * t), t)
            t.data -= 0.2 * slope
        return float(a.detach().hypot(t.detach()))

    assert distance(0.0) > 0.5
    assert distance(1.0) < 1e-3


def test_the_config_makes_the_term_and_refuses_a_negative_weight():
    estimator = ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)))
    (term,) = make_terms(with_recipe(configure(gradient_penalty=0.5), images=False), estimator, labelled=False)
    assert isinstance(term, GradientPenaltyTerm)
    assert term.weight == 0.5
    assert make_terms(with_recipe(configure(gradient_penalty=0.0), images=False), estimator, labelled=False) == []
    with pytest.raises(ContrastiveError, match="gradient_penalty must be at least 0"):
        configure(gradient_penalty=-1.0)
