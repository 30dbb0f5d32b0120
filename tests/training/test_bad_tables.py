"""The default on tables that are no pleasure: one clear line, or the right answer."""

import json
import math
import warnings

import numpy as np
import pytest
import torch

from contrastive import ContrastiveError, fit
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.data.preparation import dependent_columns, prepare
from contrastive.errors import ContrastiveWarning
from contrastive.training import gain
from contrastive.training.selection import select_noise

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=(200, 3))
QUICK = {"quiet": True, "run.log_partition_draws": 1000}


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_a_handful_of_rows_is_refused_in_one_line(rows):
    with pytest.raises(ContrastiveError, match=f"^{rows} rows leave none for validation or test; give more rows"):
        fit(NORMAL[:rows], quiet=True)


@pytest.mark.parametrize("rows", [6, 12, 19, 33])
def test_few_rows_give_a_gaussian_and_say_so(rows):
    with pytest.warns(ContrastiveWarning, match="too few to choose a noise by and to train an energy on") as caught:
        estimator = fit(NORMAL[:rows], **QUICK)
    assert len(caught) == 1
    assert estimator.summary["energy_kept"] is False
    assert estimator.summary["train_rows"] == rows - estimator.summary["test_rows"]  # the validation rows among them
    assert "too few" in estimator.summary["rows_warning"]
    torch.testing.assert_close(estimator.log_prob(NORMAL), estimator.noise_log_prob(NORMAL), rtol=1e-5, atol=1e-5)
    assert np.isfinite(estimator.score_samples(NORMAL)).all()


def test_few_rows_of_more_columns_give_independent_gaussians():
    with pytest.warns(ContrastiveWarning, match="the model is a Gaussian with independent columns"):
        estimator = fit(RNG.normal(size=(30, 50)), **QUICK)
    assert estimator.summary["noise"] == "diag-gaussian"
    assert math.isfinite(estimator.summary["test_log_prob_energy"])


def test_of_more_columns_than_rows_a_noise_is_chosen_that_can_be_fitted():
    x = torch.randn(60, 90)
    chosen = select_noise(x, names=["diag-gaussian", "gaussian", "student-t"]).chosen
    assert chosen.name == "diag-gaussian"
    # The truth has 90 (log 2 pi + 1) / 2 = 127.7 nats; means and variances of 48 rows cost a few more.
    assert -140 < chosen.mean < -125


def test_cauchy_columns_end_finite_and_not_below_the_best_candidate(monkeypatch):
    monkeypatch.setattr(gain, "_FOLDS", 2)
    monkeypatch.setattr(gain, "_FEWER_FOLDS", 2)
    monkeypatch.setattr("contrastive.config.resolution._STEPS", 100)
    monkeypatch.setattr(
        "contrastive.training.automatic.select_noise",
        lambda z, names=None, **how: select_noise(z, names=["gaussian", "student-t"], **how),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        summary = fit(RNG.standard_cauchy((500, 3)), **QUICK).summary
    assert not any("dropped modes" in str(warning.message) for warning in caught)
    assert summary["noise_candidates"][0]["label"] == "student-t df=1.0"
    assert all(math.isfinite(summary[figure]) for figure in ("test_log_prob_energy", "test_log_prob_noise"))
    error = summary["test_gain_error"]
    assert summary["test_log_prob_energy_normalized"] >= summary["test_log_prob_noise"] - 5 * error - 1e-6


def test_scales_of_any_size_change_the_log_density_by_the_log_determinant(monkeypatch):
    monkeypatch.setattr(
        "contrastive.training.automatic.select_noise",
        lambda z, names=None, **how: select_noise(z, names=["gaussian"], **how),
    )
    x, scale = RNG.normal(size=(60, 4)), np.array([1e-9, 1e-3, 1.0, 1e9])
    unit, scaled = (fit(rows, noise="auto", steps=20, **QUICK) for rows in (x, x * scale))
    log_det = -np.log(scale).sum()
    for one, other in zip(unit.score_samples(x), scaled.score_samples(x * scale)):
        assert other == pytest.approx(one + log_det, abs=1e-3)
    for figure in ("test_log_prob_energy", "test_log_prob_noise", "test_log_prob_energy_normalized"):
        assert scaled.summary[figure] == pytest.approx(unit.summary[figure] + log_det, abs=1e-3)


def test_nearly_collinear_columns_have_the_right_density():
    x1, e = RNG.normal(size=(2, 400))
    x = np.column_stack([x1, x1 + 1e-5 * e])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = fit(x, noise="gaussian", method="mle", steps=1, quiet=True).summary
    # log p = -log(2 pi e) - log 1e-5 on average; its standard deviation is 1: 40 rows, 5 standard errors.
    assert summary["test_log_prob_noise"] == pytest.approx(-math.log(2 * math.pi * math.e) - math.log(1e-5), abs=0.8)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ([NORMAL[:, 0], 2 * NORMAL[:, 0] + 1], "'x0', 'x1'"),
        ([NORMAL[:, 0], NORMAL[:, 1], NORMAL[:, 2], 1e6 * (NORMAL[:, 0] - NORMAL[:, 2])], "'x0', 'x2', 'x3'"),
    ],
)
def test_linearly_dependent_columns_are_named(columns, named):
    with pytest.warns(ContrastiveWarning, match=f"the columns {named} are linearly dependent.*leave one of them out"):
        summary = fit(np.column_stack(columns), noise="diag-gaussian", steps=3, quiet=True).summary
    assert named in summary["columns_warning"]


def test_only_exact_dependence_counts():
    assert dependent_columns(torch.from_numpy(NORMAL)) == []
    assert dependent_columns(torch.randn(5, 9)) == []  # fewer rows than columns
    one_hot = np.eye(3)[RNG.integers(0, 3, 200)]
    assert dependent_columns(torch.from_numpy(one_hot)) == [0, 1, 2]
    assert dependent_columns(prepare(one_hot, configure()).fitting) == []  # spread values have a density
    heavy = RNG.standard_cauchy((500, 2))
    assert dependent_columns(prepare(np.c_[heavy, heavy.sum(1)], configure()).fitting) == [0, 1, 2]


def test_a_constant_column_and_rows_that_are_all_the_same_are_refused(tmp_path, capsys):
    x = NORMAL.copy()
    x[:, 1] = 7
    with pytest.raises(ContrastiveError, match="constant columns have no density: 'x1'; leave them out"):
        fit(x, quiet=True)
    np.savetxt(tmp_path / "same.csv", np.tile([1.5, 2.5], (50, 1)), delimiter=",", header="a,b", comments="")
    assert main(["fit", "--data", str(tmp_path / "same.csv"), "--out", str(tmp_path / "run")]) == 2
    assert "all 50 rows are the same, there is no density to fit" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_few_rows_through_the_command_line(tmp_path, capsys):
    np.savetxt(tmp_path / "few.csv", NORMAL[:15], delimiter=",", header="a,b,c", comments="")
    assert main(["fit", "--data", str(tmp_path / "few.csv"), "--out", str(tmp_path / "run"), "--no-report"]) == 0
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert math.isfinite(json.loads((tmp_path / "run" / "summary.json").read_text())["test_log_prob_energy"])
