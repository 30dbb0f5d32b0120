"""The recipe of images: what it sets, for which energies, and what goes before it."""

import pytest
import torch
from helpers.images import blobs

from contrastive.config import FitConfig
from contrastive.training.build import decided, make_estimator
from contrastive.training.preparation import prepare


@pytest.mark.parametrize(
    ("energy", "penalty", "noise_rate", "options"),
    [("tilted", 0.25, 2e-3, {}), ("conv", 0.0, 5e-4, {"detail": 16.0}), ("conv-small", 0.0, 5e-4, {})],
)
def test_the_recipe_of_images_minds_whether_f_has_log_q_in_it(energy, penalty, noise_rate, options):
    config = FitConfig(energy=energy, noise="glow", method="fce").resolved(images=True)
    data = prepare(blobs(40, side=16), config)
    found = decided(config, make_estimator(config, data), data)
    assert (found.gradient_penalty, found.noise_learning_rate) == (penalty, noise_rate)
    assert found.energy_options == options


def test_other_recipes_treat_energies_alike():
    config = FitConfig(recipe="paper", energy="conv", noise="glow", method="fce").resolved(images=True)
    data = prepare(blobs(40, side=16), config)
    found = decided(config, make_estimator(config, data), data)
    assert (found.gradient_penalty, found.noise_learning_rate) == (0.0, 1e-5)
    assert found.energy_options == {}
    assert FitConfig(recipe="paper").resolved().energy_options == {"activation": "leaky-relu"}


def test_what_is_told_goes_before_the_recipe():
    told = FitConfig(energy="conv", energy_options={"detail": 0.0, "widths": [8]}, gradient_penalty=0.1)
    config = told.resolved(images=True)
    data = prepare(blobs(40, side=16), config)
    found = decided(config, make_estimator(config, data), data)
    assert (found.gradient_penalty, found.energy_options) == (0.1, told.energy_options)


@pytest.mark.parametrize("setting", [{"gate_accuracy": 0.7}, {"gate_memory": 0.9}, {"max_noise_run": 3}])
def test_a_setting_of_the_gate_asks_for_the_gate(setting):
    assert FitConfig().resolved(images=True).schedule == "alternate"
    assert FitConfig(**setting).resolved(images=True).schedule == "gate"
    assert FitConfig(**setting, schedule="alternate").resolved(images=True).schedule == "alternate"


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

    config = FitConfig(noise="gaussian", energy="conv").resolved(images=True)
    data = prepare(blobs(40, side=8), config)
    estimator = ContrastiveEstimator(FollowsTheNoise(), make_noise("gaussian", event_shape=data.event_shape))
    assert decided(config, estimator, data).gradient_penalty == 0.25
