"""What one update of the game does."""

import copy
import math

import pytest
import torch

from contrastive import ContrastiveEstimator, make_energy, make_noise
from contrastive.data.sources import ArraySource, Batch
from contrastive.training.players import Player
from contrastive.training.schedules import Alternate
from contrastive.training.stages import Game


class Recorder:
    """A player that keeps its gradient and moves nothing."""

    skipped_in_a_row = 0

    def __init__(self, parameters):
        self.parameters = list(parameters)

    def step(self, loss, progress):
        self.gradient = torch.autograd.grad(loss, self.parameters)


def noise_gradient(estimator, z, weight):
    """Of one move of the noise."""
    schedule, recorder = Alternate(1, 1), Recorder(estimator.noise.parameters())
    schedule.mover = "noise"
    torch.manual_seed(1)
    Game(estimator, {"noise": recorder}, schedule, 10, likelihood_weight=weight).update(Batch(z), 0.0)
    return recorder.gradient


def estimator_around(loc, energy=None):
    noise = make_noise("diag-gaussian", event_shape=(2,), loc=loc)
    return ContrastiveEstimator(energy or make_energy("gaussian", event_shape=(2,)), noise, adapt_noise=True)


def test_the_likelihood_weight_adds_the_gradient_of_maximum_likelihood():
    estimator, z = estimator_around(0.3), torch.randn(64, 2)
    plain, weighted = noise_gradient(estimator, z, 0.0), noise_gradient(estimator, z, 0.7)
    likelihood = torch.autograd.grad(-estimator.noise.log_prob(z).mean(), list(estimator.noise.parameters()))
    for with_weight, without, of_likelihood in zip(weighted, plain, likelihood):
        torch.testing.assert_close(with_weight, without + 0.7 * of_likelihood)


def test_the_value_alone_forgets_data_that_the_noise_has_left():
    """A tenth of the data at 9, the noise at 0: V barely pulls the noise's mean up, the likelihood does."""

    def energy(x):  # log of 2 pi (0.9 N(0, 1) + 0.1 N(9, 0.1^2))
        return torch.logaddexp(-0.5 * x.square().sum(1) + math.log(0.9), -50 * (x - 9).square().sum(1) + math.log(10))

    estimator = estimator_around(0.0, energy)
    with torch.no_grad():
        estimator.log_normalizer.fill_(math.log(2 * math.pi))
    z = torch.cat([torch.randn(900, 2), 9 + 0.1 * torch.randn(100, 2)])
    plain, weighted = noise_gradient(estimator, z, 0.0)[0], noise_gradient(estimator, z, 0.1)[0]
    assert float(plain.abs().max()) < 0.05
    assert float((weighted - plain).max()) == pytest.approx(-0.09, abs=0.02)  # 0.1 of the mean distance, 0.9


def test_the_noise_follows_the_likelihood_alone_while_the_energy_is_below_chance_level():
    """f = log N(0, 1) + 30, q = N(0.3, 1): every draw passes for data, V = -30. Then the 30 are gone."""
    offset = torch.nn.Parameter(torch.tensor(30.0))
    estimator = estimator_around(0.3, lambda x: offset - 0.5 * x.square().sum(1) - math.log(2 * math.pi))
    player, z = Recorder(estimator.noise.parameters()), torch.randn(200, 2)
    players = {"energy": Recorder([offset]), "noise": player}
    game = Game(estimator, players, Alternate(1, 1), 10, likelihood_weight=0.7)

    def gradient_of_the_noise():
        assert [game.update(Batch(z), 0.0) for _ in range(2)] == ["energy", "noise"]
        return player.gradient

    likelihood = torch.autograd.grad(-0.7 * estimator.noise.log_prob(z).mean(), player.parameters)
    for found, expected in zip(gradient_of_the_noise(), likelihood):
        torch.testing.assert_close(found, expected)
    kept = game.state_dict()
    assert kept["energy_is_lost"]
    with torch.no_grad():
        offset.fill_(0.0)
    assert any(float((a - b).abs().max()) > 0.01 for a, b in zip(gradient_of_the_noise(), likelihood))
    assert not game.energy_is_lost
    game.load_state_dict(kept)
    assert game.energy_is_lost


def test_the_loss_that_does_not_saturate_still_moves_a_noise_that_is_told_apart():
    """p = N(0, 1), q = N(9, 1), r = (81 - 18 x) / 2: V's gradient is below 1e-4, the other's is 9."""

    def energy(x):
        return -0.5 * x.square().sum(1)

    noise = make_noise("diag-gaussian", event_shape=(1,), loc=9.0)
    estimator = ContrastiveEstimator(energy, noise, adapt_noise=True)
    with torch.no_grad():
        estimator.log_normalizer.fill_(0.5 * math.log(2 * math.pi))
    found = {}
    for non_saturating in (False, True):
        schedule, recorder = Alternate(1, 1), Recorder([noise.loc])
        schedule.mover = "noise"
        torch.manual_seed(1)
        options = {"path_only": True, "non_saturating": non_saturating}
        Game(estimator, {"noise": recorder}, schedule, 10, **options).update(Batch(torch.randn(200, 1)), 0.0)
        found[non_saturating] = float(recorder.gradient[0])
    assert abs(found[False]) < 1e-4
    # -log sigmoid(r) is -r there, and d r / dx = -9: exact for every draw, up to sigmoid's tail
    assert found[True] == pytest.approx(9.0, abs=1e-3)


@pytest.mark.parametrize(("share", "moves"), [(0.5, 10), (1.0, 20)])
def test_the_noise_is_frozen_after_its_share_of_the_updates(share, moves):
    estimator = ContrastiveEstimator(
        make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,)), adapt_noise=True
    )
    turns = {"schedule": "alternate", "energy_updates": 1, "noise_updates": 1, "hold_noise_after": share}
    summary = estimator.fit(torch.randn(500, 2), steps=40, batch_size=100, quiet=True, **turns).summary
    assert (summary["steps_energy"], summary["steps_noise"]) == (40 - moves, moves)


def test_a_frozen_noise_is_its_moving_average_and_is_trained_no_more():
    estimator = ContrastiveEstimator(
        make_energy("mlp", event_shape=(2,)), make_noise("gaussian", event_shape=(2,), loc=0.0), adapt_noise=True
    )
    twin = copy.deepcopy(estimator).requires_grad_(False)
    players = {
        "energy": Player(estimator.energy.parameters(), twin.energy.parameters()),
        "noise": Player(estimator.noise.parameters(), twin.noise.parameters(), ema=0.9),
    }
    game = Game(estimator, players, Alternate(1, 1), 20, freeze_after=0.5)
    source = ArraySource(3 + torch.randn(400, 2))
    stream = source.batches(100, 0, 0)
    game.begin(next(stream), source)
    for step in range(20):
        if step == 10:
            average = [parameter.clone() for parameter in twin.noise.parameters()]
        game.update(next(stream), step / 20)
    assert players["noise"].updates == 5
    assert all(torch.equal(a, b) for a, b in zip(average, estimator.noise.parameters()))
    torch.testing.assert_close(source.fixed, -estimator.noise.log_prob(source.z).detach())
