"""Noise auto: the noise by held-out likelihood, an energy that is kept only where it is ahead of it."""

import json
import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, ContrastiveEstimator, fit, load
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.errors import ContrastiveWarning
from contrastive.training import automatic, gain
from contrastive.training.gain import gains_at
from contrastive.training.likelihood_fit import fit_noise
from contrastive.training.run import go_on
from contrastive.training.run_directory import RunDirectory
from contrastive.training.selection import Selection, Trial

AHEAD = {"noise": "gaussian", "energy": "tilted", "game": {"energy": {"keep": "ahead"}}, "quiet": True}


def normal(n, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def ring(n, seed=0):
    angle = np.random.default_rng(seed).uniform(0, 2 * math.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], 1) + 0.1 * normal(n, 2, seed + 1)


@pytest.fixture(autouse=True, scope="module")
def _impatient():
    """Fewer updates without gain; two folds but where a test says five."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gain, "_PATIENCE", 2)
        patch.setattr(gain, "_FOLDS", 2)
        patch.setattr("contrastive.config.resolution._SMALL_PATIENCE", 4)
        yield


@pytest.fixture(scope="module")
def of_a_gaussian(tmp_path_factory):
    run = tmp_path_factory.mktemp("auto") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gain, "_FOLDS", 5)
        return fit(normal(80), noise="auto", out=str(run), quiet=True), run


def test_where_a_gaussian_is_all_there_is_the_model_is_its_noise(of_a_gaussian):
    estimator, _ = of_a_gaussian
    x = torch.randn(20, 2)
    assert estimator.summary["energy_kept"] is False
    assert estimator.summary["energy_gain"] <= 0
    assert (estimator.summary["energy_gain_rows"], estimator.summary["energy_gain_folds"]) == (72, 5)
    torch.testing.assert_close(estimator.log_prob(x), estimator.noise_log_prob(x), rtol=1e-5, atol=1e-5)
    assert estimator.summary["log_partition"] == pytest.approx(0, abs=1e-6)


def test_the_run_names_the_noise_and_every_candidate_and_is_loaded(of_a_gaussian):
    estimator, run = of_a_gaussian
    config, summary = RunDirectory(run).read_config(), json.loads((run / "summary.json").read_text())
    assert config.noise.name != "auto"
    best = summary["noise_candidates"][0]
    assert (config.noise.name, config.noise.options) == (best["name"], best["options"])
    assert {"gaussian", "gaussian-mixture", "kde", "student-t"} <= {row["name"] for row in summary["noise_candidates"]}
    x = torch.randn(20, 2)
    assert torch.equal(load(run).log_prob(x), estimator.log_prob(x))


def test_a_small_table_is_fitted_to_all_rows_but_the_test_rows(of_a_gaussian):
    estimator, _ = of_a_gaussian
    data = prepare(normal(80), configure())
    together = data.with_validation_rows()
    assert len(together.fitting) == len(data.fitting) + len(data.validation) == 72
    assert torch.equal(together.test, data.test)
    held_out = together.scaling(data.test)
    assert not any((together.fitting == row).all(1).any() for row in held_out)
    noise = type(estimator.noise)((2,), **estimator.config.noise.options)
    noise.fit(together.fitting)
    torch.testing.assert_close(noise.log_prob(held_out), estimator.noise.log_prob(held_out))


def test_an_energy_that_is_ahead_is_kept_by_cross_validation():
    estimator = fit(ring(150), **AHEAD)
    summary = estimator.summary
    assert summary["energy_kept"] is True
    assert summary["energy_gain"] > 3 * summary["energy_gain_standard_error"]
    assert summary["energy_gain_folds"] == 2
    assert estimator.config.data.refit is True
    assert summary["test_log_prob_energy_normalized"] > summary["test_log_prob_noise"] + 0.2


@pytest.mark.parametrize(("rows", "ahead"), [(ring(600), True), (normal(600, seed=2), False)])
def test_many_rows_hold_out_those_that_decide(rows, ahead, monkeypatch):
    monkeypatch.setattr("contrastive.config.resolution._CROSS_VALIDATED", 100)
    summary = fit(rows, **AHEAD).summary
    assert (summary["energy_kept"], summary["energy_gain_folds"]) == (ahead, 1)
    assert summary["energy_gain_rows"] == 30  # half of the validation rows
    assert summary["test_log_prob_energy_normalized"] >= summary["test_log_prob_noise"] - (0 if ahead else 1e-6)


def test_an_interrupted_run_goes_on_to_the_same_model(tmp_path):
    x, settings = ring(150), {**AHEAD, "checkpoint_every": 20}
    whole = fit(x, out=str(tmp_path / "whole"), **settings)

    class Cut:
        def on_update(self, trainer, mover):
            if trainer.position.updates == 30:
                raise KeyboardInterrupt

        def on_evaluation(self, trainer, metrics):
            pass

    with pytest.raises(KeyboardInterrupt):
        fit(x, out=str(tmp_path / "cut"), callbacks=[Cut()], **settings)
    again = go_on(tmp_path / "cut", x)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.estimator.state_dict()[name]), name
    assert again.summary["energy_gain"] == whole.summary["energy_gain"]


def test_the_gain_is_that_of_the_normalised_density():
    """p = N(0, 1) with f 5 nats too high, q = N(0, 2^2): E_p[log p - log q] = log 2 - 3 / 8."""
    noise = Independent(Normal(torch.zeros(1), 2.0), 1)
    estimator = ContrastiveEstimator(lambda x: 5.0 - x.square().sum(-1) / 2, noise)
    x = torch.randn(20_000, 1)
    gains = gains_at(estimator, x, seed=0)
    error = float(gains.std()) / math.sqrt(len(gains))
    # 5 standard errors of the rows, and the interval's half width on the safe side: false alarms below 1e-6.
    assert -5 * error - 0.03 < float(gains.mean()) - (math.log(2) - 3 / 8) < 5 * error


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (np.zeros((50, 1, 4, 4), np.uint8), {}, "for vectors: for images name one"),
        (normal(50), {"noise_options": {"components": 3}}, "chooses the options too"),
        (
            normal(50),
            {"noise": "gaussian", "energy": "mlp", "game": {"energy": {"keep": "ahead"}}},
            "built on the noise",
        ),
    ],
)
def test_what_auto_cannot_do_is_one_sentence(data, settings, message):
    with pytest.raises(ContrastiveError, match=message):
        fit(data, quiet=True, **{"noise": "auto", **settings})


def test_steps_that_are_given_are_made_and_the_energy_is_kept():
    estimator = fit(normal(60), noise="auto", steps=5, quiet=True)
    assert estimator.summary["steps"] == 5
    assert estimator.summary["energy_kept"] is True
    assert "energy_gain" not in estimator.summary
    assert type(estimator.energy).__name__ == "Tilted"


def test_candidates_are_scored_in_the_tables_own_units():
    x = normal(60)
    small, large = (fit(scale * x, noise="auto", steps=1, quiet=True).summary for scale in (1.0, 100.0))
    for one, other in zip(small["noise_candidates"], large["noise_candidates"]):
        assert one["label"] == other["label"]
        assert other["log_q"] == pytest.approx(one["log_q"] - 2 * math.log(100), abs=1e-4)


def test_a_run_that_is_stopped_while_it_chooses_leaves_nothing(tmp_path, monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("contrastive.training.run.cross_validated", interrupt)
    np.savetxt(tmp_path / "table.csv", normal(60), delimiter=",", header="a,b", comments="")
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--data", "table.csv", "--quiet", "--no-report"]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_where_no_candidate_can_be_fitted_the_plain_default_is_taken_and_said():
    """A column whose second value is in one row: it is constant in most folds."""
    x = normal(80)
    data = prepare(x, configure())
    of_training = data.scaling.inverse(data.fitting)[0].numpy()
    x[:, 1] = abs(x - of_training).sum(1) < 1e-4
    assert x[:, 1].sum() == 1
    with pytest.warns(ContrastiveWarning, match="no noise could be fitted.*a Gaussian"):
        estimator = fit(x, quiet=True, dequantize=False, **{"run.log_partition_draws": 0})
    assert type(estimator.energy).__name__ == "MLP"
    with pytest.raises(ContrastiveError, match="no noise could be fitted"):
        fit(x, noise="auto", quiet=True, dequantize=False)


def test_a_learned_noise_is_handed_over_and_the_callers_random_numbers_stay(monkeypatch):
    trial = Trial("made", {"components": 2, "width": 8}, torch.zeros(10), 0.0)
    monkeypatch.setattr(automatic, "select_noise", lambda *_, **__: Selection(trial, [trial], 10, 5))
    before = torch.get_rng_state()
    estimator = fit(normal(60), noise="auto", steps=1, quiet=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert estimator.config.likelihood.steps == 0
    data = prepare(normal(60), configure())
    fitted = fit_noise(trial.name, trial.options, data.fitting)
    torch.testing.assert_close(estimator.noise.log_prob(data.fitting), fitted.log_prob(data.fitting))
