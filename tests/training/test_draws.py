"""Draws of a frozen noise that are used several times."""

import torch

from contrastive import ContrastiveEstimator, make_energy, make_noise
from contrastive.noises import Gaussian
from contrastive.training.draws import Draws

SIZE = 60


def make_estimator(energy="mlp", **options):
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0)
    return ContrastiveEstimator(make_energy(energy, event_shape=(2,), **options), noise)


def pooled(monkeypatch, uses, seed=0):
    monkeypatch.setattr("contrastive.training.draws._POOL", SIZE)
    return Draws(make_estimator(), uses, seed)


def test_every_draw_of_a_pool_is_used_as_often_as_asked_and_then_never_again(monkeypatch):
    draws = pooled(monkeypatch, uses=3)
    points = torch.cat([draws.take(25)[0] for _ in range(3 * SIZE * 2 // 25 + 1)])[: 6 * SIZE]
    _, counts = points.unique(dim=0, return_counts=True)
    assert counts.tolist() == [3] * (2 * SIZE)
    assert len(points[: 3 * SIZE].unique(dim=0)) == SIZE  # the first pool is used up before the second
    assert not torch.equal(points[:SIZE], points[SIZE : 2 * SIZE])  # in another order each time


def test_draws_come_with_their_scores(monkeypatch):
    draws = pooled(monkeypatch, uses=2)
    z, fixed = draws.take(50)
    torch.testing.assert_close(fixed, -draws.estimator.noise.log_prob(z).detach())


def test_a_resumed_stream_goes_on_as_the_other_would_have_and_leaves_the_global_generator_alone(monkeypatch):
    whole = pooled(monkeypatch, uses=2, seed=5)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    parts = [whole.take(70)[0] for _ in range(5)]
    assert torch.equal(before, torch.get_rng_state())
    resumed = pooled(monkeypatch, uses=2, seed=5)
    resumed.load_state_dict({"taken": 3 * 70})
    torch.manual_seed(2)
    assert torch.equal(resumed.take(70)[0], parts[3])
    assert not torch.equal(pooled(monkeypatch, uses=2, seed=6).take(70)[0], parts[0])


def test_draws_that_are_used_once_are_fresh_ones_of_the_global_generator():
    draws = Draws(make_estimator())
    torch.manual_seed(3)
    z, _ = draws.take(10)
    torch.manual_seed(3)
    assert torch.equal(z, draws.estimator.noise.rsample_and_log_prob(torch.Size([10]))[0])


def test_the_contrast_of_scored_points_is_that_of_the_energy_loss():
    """For a plain energy and one on a copy of the noise, with a defensive component and without."""
    z = torch.randn(40, 2)
    for energy, options in (("mlp", {}), ("tilted", {"bound": 2.0}), ("tilted", {"follow": True})):
        for component in (None, Gaussian((2,), loc=0.0, covariance=4 * torch.eye(2))):
            estimator = make_estimator(energy, **options)
            estimator.defensive_component = component
            if energy == "tilted":
                torch.nn.init.ones_(estimator.energy.strength)
            torch.manual_seed(7)
            expected = estimator.energy_loss(z)
            torch.manual_seed(7)
            drawn = estimator.scored_draws(len(z))
            found = estimator.scored_contrast(z, estimator.fixed_log_ratio(z), *drawn)
            torch.testing.assert_close(found.r_data, expected.r_data, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(found.r_noise, expected.r_noise, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(found.loss, expected.loss)


def test_a_pool_whose_scores_are_forgotten_has_the_same_draws_with_the_present_ones(monkeypatch):
    draws = pooled(monkeypatch, uses=3)
    estimator = draws.estimator = make_estimator("tilted")
    z, fixed = draws.take(20)
    torch.testing.assert_close(fixed, torch.zeros(20))  # q0 is a copy of the noise
    estimator.restart_energy(Gaussian((2,), loc=1.0))
    draws.taken = 0
    draws.forget_scores()
    again, fixed = draws.take(20)
    assert torch.equal(again, z)
    torch.testing.assert_close(fixed, estimator.fixed_log_ratio(z))
    assert fixed.abs().max() > 0.1
