"""The recipe of images: what it sets, for which energies, and what goes before it."""

import pytest
import torch
from helpers.images import blobs
from helpers.settings import resolved

from contrastive.config import choose_models, configure, resolve, with_recipe
from contrastive.data.preparation import prepare
from contrastive.training.models import facts_of


@pytest.mark.parametrize(
    ("energy", "penalty", "noise_rate", "options"),
    [("tilted", 0.25, 2e-3, {}), ("conv", 0.0, 5e-4, {"detail": 16.0}), ("conv-small", 0.0, 5e-4, {})],
)
def test_the_recipe_of_images_minds_whether_f_has_log_q_in_it(energy, penalty, noise_rate, options):
    found = resolved(blobs(40, side=16), energy=energy, noise="glow", method="fce")
    assert (found.game.energy.gradient_penalty, found.game.noise.learning_rate) == (penalty, noise_rate)
    assert found.energy.options == options


def test_other_recipes_treat_energies_alike():
    found = resolved(blobs(40, side=16), recipe="paper", energy="conv", noise="glow", method="fce")
    assert (found.game.energy.gradient_penalty, found.game.noise.learning_rate) == (0.0, 1e-5)
    assert found.energy.options == {}
    assert choose_models(configure(recipe="paper"), images=False).energy.options == {"activation": "leaky-relu"}


def test_what_is_told_goes_before_the_recipe():
    options = {"detail": 0.0, "widths": [8]}
    found = resolved(blobs(40, side=16), energy="conv", energy_options=options, gradient_penalty=0.1)
    assert (found.game.energy.gradient_penalty, found.energy.options) == (0.1, options)


@pytest.mark.parametrize("setting", [{"gate_accuracy": 0.7}, {"gate_memory": 0.9}, {"max_noise_run": 3}])
def test_a_setting_of_the_gate_asks_for_the_gate(setting):
    assert with_recipe(configure(), images=True).game.schedule.name == "alternate"
    assert with_recipe(configure(**setting), images=True).game.schedule.name == "gate"
    asked = configure(**setting, schedule="alternate")
    assert with_recipe(asked, images=True).game.schedule.name == "alternate"


class FollowsTheNoise(torch.nn.Module):
    """A stranger's energy that is built on log q, by the protocol and not by our base class."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def start_from(self, noise):
        object.__setattr__(self, "base", noise)

    restart_from = start_from

    def forward(self, x):
        return self.base.log_prob(x) + self.weight


def test_the_recipe_of_images_asks_the_protocol():
    from contrastive import ContrastiveEstimator, make_noise

    config = configure(noise="gaussian", energy="conv")
    data = prepare(blobs(40, side=8), config)
    estimator = ContrastiveEstimator(FollowsTheNoise(), make_noise("gaussian", event_shape=data.event_shape))
    assert resolve(config, data.facts, facts_of(estimator)).game.energy.gradient_penalty == 0.25
