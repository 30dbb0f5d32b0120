"""A defended noise: the mixture against the kit and by hand, and what a run makes of it."""

import pytest
import torch
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, fit, load
from contrastive.config import choose_models, configure, resolve
from contrastive.data.preparation import prepare
from contrastive.noises import DefensiveMixture, Gaussian, Uniform
from contrastive.testing import check_noise_model
from contrastive.training.models import facts_of


def normal(loc, scale, d=2):
    return Independent(Normal(torch.full((d,), loc, dtype=torch.float64), torch.full((d,), scale).double()), 1)


def mixture(share=0.3):
    return DefensiveMixture(normal(1.0, 0.2), normal(0.0, 2.0), share)


def test_it_is_a_noise():
    check_noise_model(mixture, event_shape=(2,))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_shares_of_few_draws_are_right_on_average(n):
    """Hoeffding: the mean of 4,000 counts in [0, n] is off by 0.1 n with probability below 1e-34."""
    torch.manual_seed(0)
    narrow = DefensiveMixture(normal(50.0, 0.1), normal(0.0, 1.0), 0.3)
    of_component = [int((narrow.sample_and_log_prob((n,))[0][:, 0] < 25).sum()) for _ in range(4_000)]
    assert abs(sum(of_component) / len(of_component) - 0.3 * n) < 0.1 * n
    assert max(of_component) - min(of_component) <= 1


def test_bad_mixtures_are_refused():
    with pytest.raises(ContrastiveError, match="share must be in"):
        mixture(1.0)
    with pytest.raises(ContrastiveError, match=r"shape \(3,\), the noise over \(2,\)"):
        DefensiveMixture(normal(0.0, 1.0), normal(0.0, 1.0, d=3), 0.1)


def test_the_energy_is_told_from_the_mixture_and_the_noise_plays_alone():
    noise, component = normal(1.0, 0.2), normal(0.0, 2.0)
    estimator = ContrastiveEstimator(
        lambda z: -z.square().sum(-1), noise, defensive_component=component, defensive_share=0.25
    )
    z = torch.randn(50, 2, dtype=torch.float64)
    q, h = noise.log_prob(z).exp(), component.log_prob(z).exp()
    f = -z.square().sum(-1)
    assert torch.allclose(estimator.contrast(z).r_data, f - q.log())
    assert torch.allclose(estimator.energy_loss(z).r_data, f - (0.75 * q + 0.25 * h).log())
    assert torch.allclose(estimator.noise_loss(z).r_data, f - q.log())


def test_the_optimum_is_the_same_density():
    """At f = log p and c = 0 the gradient of the exact loss in c is 0, whatever the noise: here by quadrature."""
    p = normal(0.5, 1.0, d=1)
    x = torch.linspace(-12, 12, 20_001, dtype=torch.float64)[:, None]
    opponent = DefensiveMixture(normal(1.0, 0.3, d=1), normal(0.0, 2.0, d=1), 0.2)
    c = torch.zeros((), dtype=torch.float64, requires_grad=True)
    r = p.log_prob(x) - c - opponent.log_prob(x)
    weight_p, weight_q = p.log_prob(x).exp(), opponent.log_prob(x).exp()
    softplus = torch.nn.functional.softplus
    loss = torch.trapezoid(weight_p * softplus(-r) + weight_q * softplus(r), x[:, 0])
    (gradient,) = torch.autograd.grad(loss, c)
    assert abs(float(gradient)) < 1e-9


@pytest.mark.parametrize(
    ("noise", "settings", "share"),
    [
        (lambda: Gaussian((2,)), {}, 0.0),  # held, and fitted in closed form
        (lambda: Gaussian((2,)), {"method": "fce"}, 0.1),
        (lambda: Gaussian((2,)), {"method": "fce", "recipe": "paper"}, 0.0),
        (lambda: Gaussian((2, 3)), {"method": "fce"}, 0.0),
        (lambda: Uniform((2,)), {}, 0.0),
        (lambda: Uniform((2,)), {"defensive_share": 0.3}, 0.3),
    ],
)
def test_which_noises_are_defended(noise, settings, share):
    estimator = ContrastiveEstimator(lambda z: z, noise(), adapt_noise=settings.get("method") == "fce")
    data = prepare(torch.randn(50, *noise().event_shape), configure())
    config = choose_models(configure(**settings), images=False)
    assert resolve(config, data.facts, facts_of(estimator)).game.defensive_share == share


def test_a_defended_run_is_saved_with_its_defensive_component(tmp_path):
    settings = {"noise": "uniform", "defensive_share": 0.3, "steps": 40, "batch_size": 100, "log_partition_draws": 0}
    estimator = fit("8gaussians", out=str(tmp_path / "run"), quiet=True, **settings)
    again = load(tmp_path / "run")
    assert again.defensive_share == estimator.defensive_share == 0.3
    x = torch.randn(10, 2)
    assert torch.equal(again.defended_noise.log_prob(x), estimator.defended_noise.log_prob(x))
    assert not torch.allclose(again.defended_noise.log_prob(x), again.noise.log_prob(x))
    # The Gaussian of the data: 8 Gaussians of radius 2 sqrt(2) and variance 1/8 have covariance (4 + 1/8) I.
    assert torch.allclose(
        estimator.defensive_component.distribution().covariance_matrix, (4 + 1 / 8) * torch.eye(2), atol=0.15
    )


def test_data_that_no_gaussian_defends_are_refused_with_the_way_out():
    x = torch.randn(200, 1).repeat(1, 2)
    with pytest.raises(ContrastiveError, match=r"--game\.defensive-share 0"):
        fit(x, noise="uniform", defensive_share=0.1, steps=5, quiet=True)
