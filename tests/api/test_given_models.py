"""`contrastive.fit` with an energy or a noise that is there already."""

import math

import pytest
import torch
from helpers.runs import QUICK
from torch import nn
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, fit, make_energy, make_noise


class Quadratic(nn.Module):
    """f(x) = -|x - m|^2 / 2 + b, for a class each where there are some."""

    def __init__(self, num_classes=None):
        super().__init__()
        self.num_classes = num_classes
        self.mean = nn.Parameter(torch.zeros(num_classes or 1, 2))

    def forward(self, x):
        f = -(x[:, None] - self.mean).square().sum(-1) / 2
        return f if self.num_classes else f.squeeze(-1)


def normal(scale=2.0):
    return Independent(Normal(torch.zeros(2), scale * torch.ones(2)), 1)


def test_an_energy_learns_in_place():
    energy = Quadratic()
    x = torch.randn(400, 2) + 1
    settings = {"standardize": False, "steps": 400, "learning_rate": 0.03, "quiet": True}
    estimator = fit(x, energy=energy, noise=normal(), **settings)
    assert estimator.energy is energy
    torch.testing.assert_close(energy.mean.detach(), torch.ones(1, 2), atol=0.25, rtol=0)
    assert float(estimator.log_normalizer) == pytest.approx(math.log(2 * math.pi), abs=0.3)
    assert estimator.summary["energy"] == "Quadratic"
    assert estimator.summary["noise"] == "Independent"


def test_an_object_with_the_other_part_by_name_and_the_other_way_round():
    noise = make_noise("glow", event_shape=(2,), depth=1, width=4)
    estimator = fit("moons", noise=noise, energy="tilted", method="fce", **QUICK)
    assert estimator.noise is noise
    assert noise.is_initialized
    assert type(fit("moons", energy=Quadratic(), noise="student-t", **QUICK).noise).__name__ == "StudentT"


def test_objects_fit_as_names_do():
    x = torch.randn(100, 2)
    given = {"energy": make_energy("gaussian", event_shape=(2,)), "noise": make_noise("gaussian", event_shape=(2,))}
    names = {"energy": "gaussian", "noise": "gaussian"}
    ours, theirs = fit(x, **given, **QUICK), fit(x, **names, **QUICK)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=0, atol=0)


def test_an_energy_has_the_classes_of_the_labels():
    x = torch.randn(100, 2)
    y = (x[:, 0] > 0).long()
    estimator = fit(x, y, energy=Quadratic(2), class_prior="labelled", **QUICK)
    assert estimator.predict_proba(x).shape == (100, 2)
    torch.testing.assert_close(estimator.log_class_prior.exp().sum(), torch.tensor(1.0))
    with pytest.raises(ContrastiveError, match="2 classes, but num_classes of the energy is 3"):
        fit(x, y, energy=Quadratic(3), **QUICK)


def test_images_take_an_energy_that_is_given():
    x = torch.randint(0, 256, (60, 1, 4, 4), dtype=torch.uint8)
    energy = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0))
    assert fit(x, energy=energy, noise="diag-gaussian", **QUICK).log_prob(x).shape == (60,)


REFUSED = {
    "an energy that is kept": ({"energy": Quadratic(), "out": "run"}, "this energy is an object: leave it out"),
    "a noise that is kept": ({"noise": normal(), "out": "run"}, "this noise is an object: leave it out"),
    "options of an energy": ({"energy": Quadratic(), "energy_options": {"widths": [4]}}, "energy_options go with"),
    "options of a noise": ({"noise": normal(), "noise_options": {"loc": 0}}, "noise_options go with"),
    "a class": ({"energy": Quadratic}, "got the class Quadratic"),
    "no energy": ({"energy": 3}, "energy must be a name or a module that gives f\\(x\\), got 3"),
    "None": ({"noise": None}, "noise must be a name or a NoiseModel or a torch distribution, got None"),
    "no noise": ({"noise": Quadratic()}, "noise must be a name or"),
    "a batch of distributions": ({"noise": Normal(torch.zeros(2), 1.0)}, "wrap it"),
    "another shape": ({"noise": make_noise("gaussian", event_shape=(3,))}, "the noise is over \\(3,\\)"),
    "a noise that cannot adapt": ({"noise": normal(), "method": "fce"}, "needs a noise that can adapt"),
    "an energy in mle": ({"energy": Quadratic(), "noise": "glow", "method": "mle"}, "method mle fits the noise alone"),
}


@pytest.mark.parametrize(("settings", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_one_line(settings, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ContrastiveError, match=reason) as refusal:
        fit(torch.randn(50, 2), **settings, **QUICK)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
