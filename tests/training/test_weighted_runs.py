"""Runs on weighted rows: what they learn, keep, report and refuse."""

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from helpers.runs import figures, refused

import contrastive
from contrastive.cli import evaluate
from contrastive.cli.main import main
from contrastive.config import configure
from contrastive.core.estimator import Estimator
from contrastive.data.preparation import prepare
from contrastive.errors import ContrastiveError, ContrastiveWarning
from contrastive.noises.stack import stacking_weights
from contrastive.training import gain, selection
from contrastive.training.callbacks import Callback
from contrastive.training.held_out import read_held_out
from contrastive.training.likelihood_fit import fit_noise, log_prob_in_parts
from contrastive.training.run_directory import RunDirectory
from contrastive.training.selection import Trial, select_noise

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 2)) * [1.0, 5.0] + [0.0, 30.0]
#: Larger to the right: the weighted density is another one.
W = 1.0 + RNG.integers(0, 3, 240) + 4 * (X[:, 0] > 0.5)
QUICK = {"noise": "gaussian", "energy": "tilted", "steps": 30, "quiet": True, "log_partition_draws": 0}


class Stop(Callback):
    def on_update(self, trainer, mover):
        if trainer.position.updates == 15:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a table with a column of weights."""
    folder = tmp_path_factory.mktemp("weights")
    pd.DataFrame({"a": X[:, 0], "w": W, "b": X[:, 1]}).to_csv(folder / "table.csv", index=False)
    table, run = str(folder / "table.csv"), str(folder / "run")
    common = ["--noise", "gaussian", "--energy", "tilted", "--steps", "30", "--run.log-partition-draws", "1000"]
    common += ["--no-report", "--quiet"]
    assert main(["fit", "--data", table, "--weight-column", "w", "--out", run, *common]) == 0
    return folder


def test_equal_weights_leave_the_run_as_it_is_to_the_bit():
    plain, equal = contrastive.fit(X, **QUICK), contrastive.fit(X, sample_weight=np.full(240, 7), **QUICK)
    assert torch.equal(plain.log_prob(X), equal.log_prob(X))
    assert "effective_train_rows" not in equal.summary


def test_the_scale_of_the_weights_changes_nothing():
    first, second = (contrastive.fit(X, sample_weight=scale * W, **QUICK) for scale in (1, 1000))
    torch.testing.assert_close(first.log_prob(X), second.log_prob(X))
    assert first.summary["test_gain_error"] == pytest.approx(second.summary["test_gain_error"], rel=1e-4)


def test_a_fit_in_place_takes_weights_and_fits_the_weighted_density():
    estimator = contrastive.ContrastiveEstimator(
        contrastive.make_energy("tilted", event_shape=(2,)), contrastive.make_noise("gaussian", event_shape=(2,))
    )
    estimator.fit(X, sample_weight=W, steps=5, quiet=True)
    rows = estimator.sample_noise(20_000)[:, 0]
    right, everyone = np.average(X[:, 0], weights=W), X[:, 0].mean()
    assert abs(float(rows.mean()) - right) < 0.2 * abs(right - everyone)


def test_a_run_on_weights_and_on_repeated_rows_learn_the_same_parameters():
    """A parametric energy, 600 rows, 4 seeds each: Welch's t-test of the learned mean, false-alarm rate 1e-4."""
    x = np.random.default_rng(1).normal(size=(600, 1))
    weights = np.where(x[:, 0] > 0, 3, 1)
    how = {"noise": "gaussian", "energy": "gaussian", "steps": 150, "batch_size": 100, "early_stopping": 0}
    how |= {"log_partition_draws": 0, "quiet": True, "standardize": False, "test": 0.02, "validation": 0.02}
    how |= {"run": {"evaluate_every": 150}, "game": {"energy": {"learning_rate": 0.03}}}

    def means(rows, sample_weight=None):
        found = []
        for seed in range(4):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ContrastiveWarning)  # of copies among the repeated rows
                estimator = contrastive.fit(rows, sample_weight=sample_weight, seed=seed, **how)
            grid = torch.linspace(-6, 6, 601)[:, None]
            p = estimator.log_prob(grid).softmax(0)
            found.append(float(p @ grid[:, 0]))
        return found

    weighted = means(x, weights)
    assert scipy.stats.ttest_ind(weighted, means(np.repeat(x, weights, 0)), equal_var=False).pvalue > 1e-4
    assert np.mean(weighted) == pytest.approx(np.average(x[:, 0], weights=weights), abs=0.05)
    assert abs(np.mean(weighted) - x.mean()) > 0.3


def test_gradient_steps_on_the_likelihood_find_the_weighted_maximum():
    """`made` with one component is a Gaussian, whose maximum is known: within 0.02 nats on the weighted rows."""
    z, weights = torch.tensor(X).float() / torch.tensor([1.0, 5.0]) - torch.tensor([0.0, 6.0]), torch.tensor(W)
    noise = fit_noise("made", {"components": 1, "width": 8}, z, sample_weight=weights)
    exact = fit_noise("gaussian", {}, z, sample_weight=weights)
    unweighted = fit_noise("gaussian", {}, z)
    found, best, without = (
        float((weights / weights.sum()) @ log_prob_in_parts(each, z).double()) for each in (noise, exact, unweighted)
    )
    assert found > best - 0.03
    assert without < best - 0.05


def test_candidates_are_compared_by_weight():
    log_q, weights = torch.randn(20, 2).double(), torch.randint(1, 4, (20,)).double()
    first, second = (Trial("gaussian", {}, column, 0.0, None, weights) for column in log_q.T)
    repeated = log_q.repeat_interleave(weights.long(), 0)
    assert first.mean == pytest.approx(float(repeated[:, 0].mean()))
    assert first.difference(second)[0] == pytest.approx(float((repeated[:, 0] - repeated[:, 1]).mean()))
    assert gain.Gain.of(log_q[:, 0], sample_weight=weights).mean == pytest.approx(first.mean)


def test_the_weights_of_a_stack_are_those_of_repeated_rows():
    log_q, weights = torch.randn(40, 2).double(), torch.randint(1, 4, (40,)).double()
    tops = [Trial(name, {}, column, 0.0, None, weights) for name, column in zip(("gaussian", "kde"), log_q.T)]
    stack = selection._stack(tops, 0)
    expected = stacking_weights(log_q.repeat_interleave(weights.long(), 0))
    assert stack.options["weights"] == pytest.approx(expected.tolist(), abs=1e-4)
    assert stack.mean == pytest.approx(np.average(stack.log_q, weights=weights))


def test_where_the_objective_leaves_c_open_it_ends_by_the_weighted_rows(monkeypatch):
    seen, solve = [], Estimator.solve_log_normalizer
    monkeypatch.setattr(Estimator, "solve_log_normalizer", lambda self, *rows: seen.append(rows) or solve(self, *rows))
    contrastive.fit(X, sample_weight=W, objective="mc-mle", **{**QUICK, "steps": 1})
    z, weights = seen[-1]
    prepared = prepare(X, configure(), sample_weight=W)
    assert torch.equal(z, prepared.fitting)
    assert torch.equal(weights, prepared.fitting_weight)


def test_the_noise_is_chosen_for_the_weighted_density():
    """Two clusters in the rows, one in the weights: a Gaussian is right by weight, and wrong by rows."""
    z = torch.cat([torch.randn(200, 1), torch.randn(200, 1) + 12])
    weights = torch.cat([torch.ones(200), torch.full((200,), 1e-9)]).double()
    names = ["gaussian", "kde"]
    by_weight, by_rows = select_noise(z, sample_weight=weights, names=names), select_noise(z, names=names)
    assert by_rows.chosen.name == "kde"
    row = next(row for row in by_weight.table() if row["name"] == "gaussian")
    assert row["difference"] > -0.1
    assert by_weight.chosen.mean > by_rows.chosen.mean + 0.3  # one cluster has less entropy than two
    again = select_noise(z, sample_weight=1000 * weights, names=names)
    assert [trial.mean for trial in again.trials] == pytest.approx([trial.mean for trial in by_weight.trials])


def test_the_default_runs_on_weights_and_says_what_they_are_worth(capsys):
    estimator = contrastive.fit(X, sample_weight=np.where(np.arange(240) % 4, W, 0), quiet=False, budget=4)
    summary, said = estimator.summary, capsys.readouterr().err
    assert summary["zero_weight_rows"] == 60
    assert summary["train_rows"] + summary["test_rows"] == 180
    assert summary["effective_train_rows"] < summary["train_rows"]
    assert "60 rows of weight 0 were left out" in said
    assert "rows of equal" in said


def test_weights_that_leave_few_effective_rows_are_warned_of():
    weights = np.ones(240)
    weights[::24] = 1e6
    with pytest.warns(ContrastiveWarning, match="are worth"):
        contrastive.fit(X, sample_weight=weights, **QUICK)


def test_labels_and_weights_go_together():
    y = (X[:, 0] > 0).astype(int)
    estimator = contrastive.fit(X, y, sample_weight=W, labels={"prior": "labelled"}, **QUICK)
    assert estimator.summary["test_error"] < 0.5
    share = W[y == 1].sum() / W.sum()
    assert float(estimator.log_class_prior.exp()[1]) == pytest.approx(share, abs=0.1)


# Runs on disk --------------------------------------------------------------------------------------------------------


def test_evaluate_gives_the_figures_of_the_summary_by_the_same_weights(folder, capsys):
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert main(["evaluate", str(folder / "run"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("test_log_prob_energy", "test_log_prob_noise", "test_gain", "test_gain_error"):
        assert found[name] == pytest.approx(summary[name], abs=1e-6), name
    assert found["effective_rows"] == pytest.approx(summary["effective_test_rows"])
    assert summary["columns"] == ["a", "b"]


def test_a_new_table_is_weighted_by_the_column_of_the_run_or_not_and_that_is_said(folder, capsys):
    x, weights = RNG.normal(size=(30, 2)) + np.array([0, 30]), np.arange(30)
    frame = pd.DataFrame({"b": x[:, 1], "w": weights, "a": x[:, 0]})
    frame.to_csv(folder / "new.csv", index=False)
    frame.drop(columns="w").to_csv(folder / "plain.csv", index=False)
    estimator = contrastive.load(folder / "run")
    log_p = estimator.score_samples(x)
    assert main(["evaluate", str(folder / "run"), "--data", str(folder / "new.csv"), "--json"]) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert output.err == ""
    assert found["rows"] == 29  # the first has weight 0
    assert found["test_log_prob_energy"] == pytest.approx(np.average(log_p, weights=weights), abs=1e-5)
    assert main(["evaluate", str(folder / "run"), "--data", str(folder / "plain.csv"), "--json"]) == 0
    output = capsys.readouterr()
    assert "has no column 'w': every row counts the same" in output.err
    assert json.loads(output.out)["test_log_prob_energy"] == pytest.approx(log_p.mean(), abs=1e-5)


def test_score_normalizer_and_plot_work_on_a_weighted_run(folder, capsys):
    run, out = str(folder / "run"), str(folder / "scores.csv")
    assert main(["score", run, "--data", str(folder / "table.csv"), "--out", out, "--top", "2"]) == 0
    output = capsys.readouterr()
    assert "share, by weight, of the run's 24 held-out rows" in output.out
    assert "ignored the columns" not in output.err
    assert len(pd.read_csv(out)) == 240
    assert main(["normalizer", run, "--method", "importance", "--draws", "1000"]) == 0
    assert main(["plot", run]) == 0
    assert "24 held-out rows" in " ".join((folder / "run" / "report.html").read_text().split())


def test_the_test_of_a_fit_sees_rows_thinned_by_weight_none_of_them_twice(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(evaluate, "goodness_of_run", lambda directory, estimator, x, **how: seen.append(x))
    assert main(["evaluate", str(folder / "run"), "--goodness"]) == 0
    held_out = read_held_out(RunDirectory(folder / "run"), ("a", "b"))
    (x,) = seen
    assert 0 < len(x) < len(held_out.x) == 24
    assert len(x.unique(dim=0)) == len(x)


def test_a_run_with_a_column_of_weights_goes_on_to_the_same_figures(folder, tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    how = {"weight_column": "w", "checkpoint_every": 10, **QUICK}
    contrastive.fit(folder / "table.csv", out=str(whole), **how)
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(folder / "table.csv", out=str(cut), callbacks=[Stop()], **how)
    assert main(["fit", "--resume", str(cut), "--quiet", "--no-report"]) == 0
    assert figures(cut) == figures(whole)


def test_weights_in_memory_are_needed_again_to_go_on_and_are_kept_for_what_comes_after(folder, tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    data = folder / "table.csv"
    how = {"columns": ["a", "b"], "checkpoint_every": 10, **QUICK}
    contrastive.fit(data, sample_weight=W, out=str(whole), **how)
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(data, sample_weight=W, out=str(cut), callbacks=[Stop()], **how)
    assert main(["fit", "--resume", str(cut)]) == 2
    assert "in memory: go on in Python" in capsys.readouterr().err
    with pytest.raises(ContrastiveError, match="with weights in memory: give them again"):
        contrastive.fit(data, resume=cut, quiet=True)
    with pytest.raises(ContrastiveError, match="with other weights"):
        contrastive.fit(data, sample_weight=W[::-1].copy(), resume=cut, quiet=True)
    contrastive.fit(data, sample_weight=5 * W, resume=cut, quiet=True)
    assert figures(cut) == figures(whole)
    assert main(["evaluate", str(whole), "--json"]) == 0
    summary = json.loads((whole / "summary.json").read_text())
    found = json.loads(capsys.readouterr().out)
    assert found["test_log_prob_energy"] == pytest.approx(summary["test_log_prob_energy"], abs=1e-6)


def test_a_run_without_weights_does_not_go_on_with_some(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        contrastive.fit(X, out=str(tmp_path / "cut"), callbacks=[Stop()], checkpoint_every=10, **QUICK)
    with pytest.raises(ContrastiveError, match="was fitted without weights"):
        contrastive.fit(X, sample_weight=W, resume=tmp_path / "cut", quiet=True)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([-1.0], "column 'w': 1 of 240 weights are negative, NaN or infinite; the first is -1, of row 1"),
        ([math.nan], "weights are negative, NaN"),
        ([0.0] * 240, "column 'w': all 240 weights are 0"),
        (["much"], "not numeric"),
    ],
)
def test_a_bad_column_is_one_line_on_the_command_line(column, said, folder, capsys):
    w = pd.Series([*column, *W[len(column) :]])
    pd.DataFrame({"a": X[:, 0], "w": w, "b": X[:, 1]}).to_csv(folder / "bad.csv", index=False)
    out = folder / "bad"
    assert said in refused(capsys, "fit", "--data", folder / "bad.csv", "--weight-column", "w", "--out", out)
    assert not out.exists()


def test_standard_errors_of_a_weighted_run_are_refused(folder, capsys):
    assert "know no weights" in refused(capsys, "evaluate", folder / "run", "--standard-errors")


def test_a_run_with_weighted_kernels_is_loaded_as_it_was(tmp_path):
    estimator = contrastive.fit(X, sample_weight=W, out=str(tmp_path / "run"), **{**QUICK, "noise": "kde"})
    assert estimator.noise.log_weights is not None
    loaded = contrastive.load(tmp_path / "run")
    torch.testing.assert_close(loaded.log_prob(X), estimator.log_prob(X))
    torch.testing.assert_close(loaded.noise_log_prob(X), estimator.noise_log_prob(X))


def test_early_stopping_goes_by_the_weighted_score_of_held_out_rows():
    class Look(Callback):
        def on_evaluation(self, trainer, line):
            self.found = line["score"]
            self.scores, self.weights = trainer.score(trainer.averaged, line["stage"]), trainer.score_weight
            self.source = trainer.source

    look = Look()
    contrastive.fit(X, sample_weight=W, callbacks=[look], **{**QUICK, "steps": 1})
    assert look.found == pytest.approx(float(np.average(look.scores, weights=look.weights)), abs=1e-6)
    prepared = prepare(X, configure(), sample_weight=W)
    assert torch.equal(look.weights, prepared.validation_weight)
    assert torch.equal(look.source.sample_weight, prepared.fitting_weight)


def test_the_gain_by_cross_validation_is_the_weighted_mean_over_all_rows(monkeypatch):
    monkeypatch.setattr(gain, "gains_at", lambda estimator, x, seed: x[:, 0].double())
    how = {**QUICK, "steps": 2, "game": {"energy": {"keep": "ahead"}}, "data.refit": True}
    summary = contrastive.fit(X, sample_weight=W, **how).summary
    rows = prepare(X, configure(), sample_weight=W).with_validation_rows()
    assert summary["energy_gain_rows"] == len(rows.fitting)
    expected = np.average(rows.fitting[:, 0], weights=rows.fitting_weight)
    assert summary["energy_gain"] == pytest.approx(expected, abs=1e-6)


def test_rows_that_judge_the_energy_keep_their_weights():
    prepared = prepare(X, configure(), sample_weight=W)
    stopping, judging = gain.split_validation(prepared)
    assert torch.equal(stopping.validation_weight, prepared.validation_weight[::2])
    assert torch.equal(judging.x, prepared.validation[1::2])
    assert torch.equal(judging.sample_weight, prepared.validation_weight[1::2])
