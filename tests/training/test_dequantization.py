"""Runs of rounded tables: what is said, kept, gone on with and evaluated again."""

import json
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Independent, Normal

from contrastive import ContrastiveError, Energy, fit, load
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.errors import ContrastiveWarning
from contrastive.plots.report_text import rows
from contrastive.training.held_out import read_held_out
from contrastive.training.progress import Progress
from contrastive.training.run import go_on, train
from contrastive.training.run_directory import RunDirectory

RNG = np.random.default_rng(0)
#: A rounded column, one of zeros and ones, and one that is neither.
X = np.column_stack([np.round(RNG.normal(5, 1, 200), 1), RNG.integers(0, 2, 200), RNG.normal(size=200)])
SHORT = {"noise": "gaussian", "steps": 20, "quiet": True, "dequantize": True}
FIGURES = ("test_log_prob_energy", "test_log_prob_noise", "test_gain")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounded")
    np.savetxt(folder / "table.csv", X, delimiter=",", header="size,sex,z", comments="")
    fit(folder / "table.csv", out=str(folder / "run"), **SHORT)
    return folder / "run"


def evaluated(capsys, *words):
    assert main(["evaluate", *map(str, words), "--json"]) == 0
    output = capsys.readouterr()
    return json.loads(output.out), output.err


def test_the_steps_are_kept_with_the_run(run):
    expected = {"size": 0.1, "sex": 1.0}
    summary = json.loads((run / "summary.json").read_text())
    assert summary["dequantized"] == json.loads((run / "found.json").read_text())["dequantized"] == expected
    assert summary["duplicated_test_rows"] == 0
    assert RunDirectory(run).read_config().data.dequantize is True
    assert rows(summary) == (
        "2 of 3 columns have ties and were spread over their rounding step before the fit (size: 0.1, sex: 1); "
        "log-densities are those of the spread values."
    )


def test_the_runs_own_rows_give_its_figures_again(run, capsys):
    found, _ = evaluated(capsys, run)
    kept = RunDirectory(run).read_summary()
    for figure in FIGURES:
        assert found[figure] == kept[figure], figure


def test_new_rows_are_spread_over_the_steps_of_the_fit_which_is_said(run, capsys, tmp_path):
    new = X[:40].copy()
    new[:, 0] = np.round(new[:, 0])  # another rounding would be found in these
    np.savetxt(tmp_path / "new.csv", new[:, [1, 2, 0]], delimiter=",", header="sex,z,size", comments="")
    first, said = evaluated(capsys, run, "--data", tmp_path / "new.csv")
    again, _ = evaluated(capsys, run, "--data", tmp_path / "new.csv")
    assert said.strip() == "spread over the rounding steps of the fit: size: 0.1, sex: 1"
    assert first == again
    as_they_are = load(run).log_prob(new).mean()
    assert first["test_log_prob_energy"] != pytest.approx(float(as_they_are), abs=1e-6)


def test_rows_are_scored_as_they_are(run):
    estimator = load(run)
    torch.testing.assert_close(torch.from_numpy(estimator.score_samples(X[:7])), estimator.log_prob(X[:7]).double())
    assert np.array_equal(estimator.score_samples(X[:7]), estimator.score_samples(X[:7]))


def test_a_saved_estimator_keeps_the_steps(run, capsys, tmp_path):
    load(run).save(tmp_path / "saved")
    assert RunDirectory(tmp_path / "saved").rounding_steps() == {"size": 0.1, "sex": 1.0}
    own, kept = read_held_out(RunDirectory(tmp_path / "saved"), None), read_held_out(RunDirectory(run), None)
    assert torch.equal(own.x, kept.x)


def test_an_interrupted_run_goes_on_with_the_same_rows(run, tmp_path):
    class Cut:
        def on_update(self, trainer, mover):
            if trainer.position.updates == 10:
                raise KeyboardInterrupt

        def on_evaluation(self, trainer, metrics):
            pass

    settings = {**SHORT, "checkpoint_every": 5, "data": run.parent / "table.csv"}
    whole = fit(out=str(tmp_path / "whole"), **settings)
    with pytest.raises(KeyboardInterrupt):
        fit(out=str(tmp_path / "cut"), callbacks=[Cut()], **settings)
    again = go_on(tmp_path / "cut")
    assert again.config.data.dequantize is True
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.estimator.state_dict()[name]), name
    for figure in (*FIGURES, "dequantized", "duplicated_test_rows"):
        assert again.summary[figure] == whole.summary[figure]


def test_rows_in_memory_are_kept_spread(tmp_path, capsys):
    fit(X, out=str(tmp_path / "run"), **SHORT)
    found, _ = evaluated(capsys, tmp_path / "run")
    assert found["test_log_prob_energy"] == RunDirectory(tmp_path / "run").read_summary()["test_log_prob_energy"]


def test_a_gaussian_of_spread_values_has_sheppards_variance():
    """Uniform noise of width s adds s^2 / 12 to the variance of a rounded column."""
    estimator = fit(X, **SHORT)
    draws = estimator.sample_noise(40_000)
    # 5 standard errors of a variance of 40,000 draws and 160 rows' uniform noise: false alarms below 1e-6.
    assert float(draws[:, 1].var()) == pytest.approx(0.25 + 1 / 12, rel=0.15)
    assert len(draws[:, 1].unique()) > 1000  # samples stay on the continuous scale


def test_ties_that_are_left_are_warned_of_once_unless_asked_for():
    with pytest.warns(ContrastiveWarning, match="columns x0 and x1 have ties.*dequantize true") as caught:
        fit(X, noise="gaussian", steps=3, quiet=True)
    assert sum("ties" in str(warning.message) for warning in caught) == 1
    for settings in ({"dequantize": False}, {"dequantize": True}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(X, noise="gaussian", steps=3, quiet=True, **settings)
        assert not any("ties" in str(warning.message) for warning in caught)


class Half(Energy):
    """An energy of the caller's own."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return -self.scale * x.square().sum(-1) / 2


@pytest.mark.parametrize(
    "given",
    [{"energy": Half()}, {"noise": Independent(Normal(torch.zeros(3), 1.5), 1)}, {"y": RNG.integers(0, 2, 200)}],
)
def test_where_models_or_labels_are_given_no_value_is_changed(given, monkeypatch):
    monkeypatch.setattr("contrastive.config.resolution._STEPS", 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = fit(X, quiet=True, **given)
    assert "dequantized" not in estimator.summary


def test_discrete_noises_refuse_it_and_bring_no_warning():
    spins = RNG.choice([-1.0, 1.0], (200, 3))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(spins, noise="bernoulli-spins", steps=3, quiet=True, standardize=False)
    assert not any(word in str(warning.message) for warning in caught for word in ("ties", "flatter"))
    with pytest.raises(ContrastiveError, match="is discrete, and dequantised values are not"):
        fit(spins, noise="bernoulli-spins", steps=3, quiet=True, dequantize=True)


class Said(Progress):
    """Keeps what is said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, message):
        self.lines.append(message)


def test_a_table_that_names_nothing_is_spread_and_said(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("contrastive.training.run.choose_noise", stop)
    said = Said()
    with pytest.raises(KeyboardInterrupt):
        train(configure(), X, progress=said)
    assert said.lines[0].startswith("2 of 3 columns have ties and were spread over their rounding step before the fit")


def test_many_copies_of_training_rows_are_warned_of():
    x = np.repeat(RNG.normal(size=(100, 3)), 2, 0)
    with pytest.warns(ContrastiveWarning, match="of 20 held-out rows occur among the training rows too: held-out fig"):
        summary = fit(x, noise="gaussian", steps=3, quiet=True).summary
    assert summary["duplicated_test_rows"] > 10
    assert "flatter the model" in rows(summary)


def test_the_mean_log_density_is_that_of_the_spread_rows_in_closed_form():
    """Against scipy's Gaussian with the mean and covariance of the spread training rows, in the table's own units."""
    summary = fit(X, **SHORT).summary
    data = prepare(X, configure(dequantize=True))
    train, test = data.scaling.inverse(data.fitting).numpy(), data.test.numpy()
    expected = multivariate_normal(train.mean(0), np.cov(train.T, bias=True)).logpdf(test).mean()
    assert summary["test_log_prob_noise"] == pytest.approx(expected, abs=1e-4)
    assert {tuple(row) for row in np.c_[test[:, 0].round(1), test[:, 1:].round(0)]} <= {
        tuple(row) for row in np.c_[X[:, 0], X[:, 1:].round(0)]
    }
