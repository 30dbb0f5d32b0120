"""The tilted energy: its base, its bound, and the one that follows the noise."""

import copy
import json

import pytest
import torch
from helpers.energies import randomized

from contrastive import (
    ContrastiveError,
    ContrastiveEstimator,
    fit,
    load,
    make_density,
    make_energy,
    make_noise,
)
from contrastive.cli.main import main
from contrastive.energies import Tilted
from contrastive.training.trainer import Trainer


@pytest.mark.parametrize("bound", [None, 2.0])
def test_a_tilted_energy_starts_as_the_noise(bound):
    noise = make_noise("gaussian", event_shape=(2,), loc=[1.0, -1.0], covariance=[[2.0, 0.5], [0.5, 1.0]])
    estimator = ContrastiveEstimator(make_energy("tilted", event_shape=(2,), bound=bound), noise)
    x = 5 * torch.randn(50, 2)
    assert torch.equal(estimator.log_ratio(x), torch.zeros(50))
    with torch.no_grad():
        estimator.log_normalizer.fill_(0.75)
    torch.testing.assert_close(estimator.log_ratio(x), torch.full((50,), -0.75), rtol=0, atol=1e-5)
    assert torch.equal(estimator.energy(x), noise.log_prob(x))


def test_a_bound_holds_everywhere():
    energy = randomized("tilted", (2,), bound=1.5)
    with torch.no_grad():
        energy.strength.fill_(1e3)
    x = 1e3 * torch.randn(100, 2, dtype=torch.float64)
    correction = energy(x) - energy.base.log_prob(x)
    assert (correction.abs() < 1.5 + 1e-6).all()
    assert (correction.abs() > 1.4).all(), "the test did not reach the bound"


def test_a_tilted_energy_of_classes():
    energy = make_energy("tilted", event_shape=(2,), num_classes=3, widths=(8,))
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0)
    estimator = ContrastiveEstimator(energy, noise)
    x = torch.randn(6, 2)
    torch.testing.assert_close(estimator.class_log_prob(x), noise.log_prob(x)[:, None].expand(6, 3))


def test_the_base_is_the_pretrained_noise_and_stays_when_the_noise_moves_on():
    """Nothing but the noise's pre-training is the same in both runs: NCE holds it, FCE moves it."""
    settings = {
        "energy": "tilted",
        "energy_options": {"widths": [8]},
        "noise_options": {"loc": [3.0, -3.0]},
        "pretrain_steps": 100,
        "steps": 60,
        "quiet": True,
    }
    held, moved = fit("moons", **settings), fit("moons", method="fce", schedule="alternate", **settings)
    x = torch.randn(20, 2)
    given = make_noise("gaussian", event_shape=(2,), loc=[3.0, -3.0])
    torch.testing.assert_close(held.energy.base.log_prob(x), held.noise.log_prob(x))
    torch.testing.assert_close(moved.energy.base.log_prob(x), held.noise.log_prob(x))
    assert float((moved.noise.log_prob(x) - moved.energy.base.log_prob(x)).detach().abs().max()) > 1e-3
    assert float((given.log_prob(x) - held.energy.base.log_prob(x)).detach().abs().max()) > 1.0


def test_a_learned_correction_keeps_its_base():
    estimator = fit("moons", energy="tilted", energy_options={"widths": [8]}, steps=20, quiet=True)
    x = torch.randn(20, 2)
    before = estimator.energy(x)
    ContrastiveEstimator(estimator.energy, make_noise("student-t", event_shape=(2,)))
    assert torch.equal(estimator.energy(x), before)


def test_a_restarted_energy_is_the_noise_as_it_now_is():
    estimator = fit("moons", energy="tilted", energy_options={"widths": [8]}, steps=20, quiet=True)
    with torch.no_grad():
        estimator.noise.loc.add_(0.5)
    x = torch.randn(20, 2)
    assert not torch.allclose(estimator.log_prob(x), estimator.noise_log_prob(x), atol=0.05)
    estimator.restart_energy()
    assert torch.equal(estimator.log_prob(x), estimator.noise_log_prob(x))
    with pytest.raises(ContrastiveError, match="not built on the noise"):
        ContrastiveEstimator(make_energy("mlp", event_shape=(2,)), estimator.noise).restart_energy()


def test_a_game_restarts_its_energy_in_the_first_half_only(monkeypatch):
    restarts = []
    restart = Tilted.restart_from

    def counted(energy, noise):
        restarts.append(bool(energy.strength != 0))
        restart(energy, noise)

    monkeypatch.setattr(Tilted, "restart_from", counted)
    settings = {"method": "fce", "schedule": "alternate", "steps": 60, "restart_energy_every": 20, "quiet": True}
    estimator = fit("moons", energy="tilted", energy_options={"widths": [8]}, **settings)
    assert restarts.count(True) == 2  # after update 20, the estimator's energy and its moving average's
    torch.testing.assert_close(estimator.energy.strength.abs() > 0, torch.tensor(True))
    with pytest.raises(ContrastiveError, match="built on the noise"):
        fit("moons", **settings)


def test_a_tilted_run_resumes_and_loads(tmp_path, monkeypatch):
    """Stopped in the middle of the game it ends at the figures of the run that was not."""
    settings = {
        "energy": "tilted",
        "energy_options": {"bound": 4.0, "widths": [16]},
        "noise_options": {"loc": [1.0, 0.0]},
        "method": "fce",
        "schedule": "alternate",
        "pretrain_steps": 40,
        "steps": 100,
        "evaluate_every": 50,
        "checkpoint_every": 30,
        "quiet": True,
    }
    whole = fit("moons", out=str(tmp_path / "whole"), **settings)
    save = Trainer.save

    def save_and_stop(trainer):
        save(trainer)
        if trainer.position.updates == 100:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fit("moons", out=str(tmp_path / "stopped"), **settings)
    assert not main(["fit", "--resume", str(tmp_path / "stopped"), "--no-report", "--quiet"])
    x = torch.randn(20, 2)
    for run in ("whole", "stopped"):
        loaded = load(tmp_path / run)
        assert loaded.energy.bound == 4.0
        torch.testing.assert_close(loaded.log_prob(x), whole.log_prob(x))
    keys = {"test_log_prob_energy", "log_normalizer", "value"}
    whole_summary, summary = (json.loads((tmp_path / run / "summary.json").read_text()) for run in ("whole", "stopped"))
    assert {key: summary[key] for key in keys} == {key: whole_summary[key] for key in keys}


def test_a_tilted_energy_takes_noises_that_are_no_modules():
    estimator = ContrastiveEstimator(make_energy("tilted", event_shape=(2,)), make_density("banana"))
    estimator.fit("banana", steps=5, quiet=True)
    assert estimator.log_prob(torch.zeros(3, 2)).isfinite().all()


def following(num_classes=None):
    """An adapting estimator whose energy follows, and one that has the same numbers in a frozen copy."""
    torch.manual_seed(0)
    noise = make_noise("glow", event_shape=(2,), depth=2, width=8)
    noise.initialize(torch.randn(50, 2))
    noise = noise.double()
    options = {"widths": (8,), "num_classes": num_classes}
    follows = make_energy("tilted", event_shape=(2,), follow=True, **options).double()
    copied = make_energy("tilted", event_shape=(2,), **options).double()
    copied.load_state_dict(follows.state_dict())
    copied.start_from(noise)
    copied.restart_from(noise)
    with torch.no_grad():
        for energy in (follows, copied):
            energy.strength.fill_(0.7)
    estimators = [ContrastiveEstimator(energy, noise, adapt_noise=True).double() for energy in (follows, copied)]
    with torch.no_grad():
        for estimator in estimators:
            estimator.log_normalizer.fill_(0.3)
    return estimators


@pytest.mark.parametrize("num_classes", [None, 3])
@pytest.mark.parametrize("way", ["energy", "path", "full"])
def test_an_energy_that_follows_has_the_log_ratios_and_gradients_of_one_on_a_copy(way, num_classes):
    z, found = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), []
    for estimator in following(num_classes):
        torch.manual_seed(2)
        if way == "energy":
            contrast = estimator.contrast(z)
            own = [estimator.log_normalizer, *(p for p in estimator.energy.parameters() if p.requires_grad)]
            gradient = torch.autograd.grad(contrast.loss, own)
        else:
            contrast = estimator.noise_loss(z, path_only=way == "path")
            loss = contrast.value + 0.1 * contrast.r_data.mean()
            gradient = torch.autograd.grad(loss, list(estimator.noise.parameters()))
        found.append([contrast.r_data, contrast.r_noise, *gradient])
    assert any(float(g.detach().abs().max()) > 1e-3 for g in found[0][2:])
    for followed, copied in zip(*found):
        torch.testing.assert_close(followed, copied, atol=1e-9, rtol=1e-7)


def test_an_energy_that_follows_is_log_q_plus_the_tilt_wherever_the_noise_goes():
    estimator = following()[0]
    twin, x = copy.deepcopy(estimator), torch.randn(20, 2, dtype=torch.float64)
    before = twin.log_prob(x)
    with torch.no_grad():
        for parameter in estimator.noise.parameters():
            parameter.add_(0.2)
    torch.testing.assert_close(estimator.energy(x), estimator.noise.log_prob(x) + estimator.energy.tilt(x))
    assert not torch.allclose(estimator.log_prob(x), before)
    torch.testing.assert_close(twin.log_prob(x), before)  # a copy of the estimator follows the copy's noise
    assert not [name for name in estimator.energy.state_dict() if name.startswith("base")]


def test_a_run_whose_energy_follows_plays_loads_and_resumes(tmp_path):
    settings = {"energy": "tilted", "energy_options": {"follow": True, "widths": [8]}, "noise": "glow", "quiet": True}
    settings |= {"noise_options": {"depth": 2, "width": 8}, "method": "fce", "schedule": "alternate", "steps": 60}
    fitted = fit("moons", noise_gradient="path", defensive_share=0.0, out=str(tmp_path / "run"), **settings)
    loaded, x = load(tmp_path / "run"), torch.randn(20, 2)
    torch.testing.assert_close(loaded.log_prob(x), fitted.log_prob(x))
    assert loaded.energy.follows(loaded.noise)
    torch.testing.assert_close(loaded.log_ratio(x), loaded.energy.tilt(x) - loaded.log_normalizer, atol=1e-4, rtol=0)
    assert float(loaded.energy.tilt(x).abs().max()) > 1e-3


def test_a_tilted_energy_without_a_noise_says_so():
    with pytest.raises(ContrastiveError, match="has no noise yet"):
        make_energy("tilted", event_shape=(2,))(torch.zeros(3, 2))


def test_the_correction_sees_vectors_whitened_by_the_noise_it_begins_as():
    covariance = torch.tensor([[1.0, 1.0], [1.0, 1.0001]])
    noise = make_noise("gaussian", event_shape=(2,), loc=0.0, covariance=covariance)
    energy = make_energy("tilted", event_shape=(2,))
    state = torch.get_rng_state()
    ContrastiveEstimator(energy, noise)
    assert torch.equal(state, torch.get_rng_state()), "whitening drew from the global generator"
    w = energy.whitening(noise.sample(torch.Size([5000])))
    torch.testing.assert_close(torch.cov(w.mT), torch.eye(2), atol=0.4, rtol=0)  # the farthest rows set no unit
    assert make_energy("tilted", event_shape=(2,), correction="mlp").whitening is None
    assert make_energy("tilted", event_shape=(3, 8, 8)).whitening is None


def test_a_model_that_was_saved_before_there_was_whitening_is_read_as_it_was():
    noise = make_noise("gaussian", event_shape=(2,), loc=1.0)
    old, new = make_energy("tilted", event_shape=(2,), whiten=False), make_energy("tilted", event_shape=(2,))
    for energy in (old, new):
        ContrastiveEstimator(energy, noise)
    torch.nn.init.ones_(old.strength)
    new.load_state_dict(old.state_dict())
    x = torch.randn(10, 2)
    torch.testing.assert_close(new(x), old(x))
