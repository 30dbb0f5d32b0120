"""Dropout is on where the energy learns, and nowhere else."""

import copy

import torch
from torch import nn

from contrastive import ContrastiveEstimator, make_noise
from contrastive.data.sources import Batch
from contrastive.training.players import Player
from contrastive.training.schedules import Alternate
from contrastive.training.stages import Game


def test_noises_move_sees_the_energy_without_dropout_and_the_energys_with():
    modes = []

    class Watched(nn.Module):
        def forward(self, x):
            modes.append(self.training)
            return -x.square().sum(1)

    noise = make_noise("diag-gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(Watched(), noise, adapt_noise=True)
    player = Player(noise.parameters(), copy.deepcopy(noise).parameters())

    class Silent:
        def step(self, losses, progress):
            list(losses)

    for mover in ("energy", "noise"):
        schedule = Alternate(1, 1)
        schedule.mover = mover
        Game(estimator, {"energy": Silent(), "noise": player}, schedule, 10).update(Batch(torch.randn(9, 2)), 0.0)
    assert modes == [True, False]
    assert estimator.energy.training


def test_what_is_reported_has_no_dropout(tmp_path):
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1), nn.Flatten(0))

        def forward(self, x):
            return self.layers(x)

    estimator = ContrastiveEstimator(Dropping(), make_noise("gaussian", event_shape=(2,)))
    estimator.fit(torch.randn(300, 2), steps=5, quiet=True)
    x = torch.randn(50, 2)
    assert torch.equal(estimator.log_prob(x), estimator.log_prob(x))
