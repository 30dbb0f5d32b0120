"""log Z in a run: on the command line, in its summary and in its report."""

import json
import math

import numpy as np
import pytest
import torch
from helpers.runs import refused

from contrastive import ContrastiveError, load
from contrastive.api import fit
from contrastive.cli.main import build_parser, main
from contrastive.cli.reports import write_run_report
from contrastive.metrics import mean_log_prob
from contrastive.training.run_directory import RunDirectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small finished run on a table, in standardised coordinates."""
    folder = tmp_path_factory.mktemp("runs")
    rows = np.random.default_rng(0).normal(size=(600, 2)) * [1.0, 10.0] + [0.0, 50.0]
    np.save(folder / "table.npy", rows)
    settings = {"noise": "student-t", "steps": 200, "energy_options": {"widths": [16]}, "quiet": True}
    fit(folder / "table.npy", out=str(folder / "run"), **settings)
    return folder / "run"


def said(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_command_prints_the_learned_c_beside_the_estimate_and_keeps_both(run, capsys):
    printed = said(capsys, "normalizer", run, "--draws", 2000)
    kept = json.loads((run / "normalizer.json").read_text())
    assert printed.startswith(f"log Z = {kept['log_partition']:.4f} +- ")
    assert f"learned c = {kept['log_normalizer']:.4f}" in printed
    assert f"log Z {kept['log_normalizer'] - kept['log_partition']:+.4f}" in printed
    assert f"upper end: {kept['test_log_prob_energy_normalized']:.4f}" in printed
    assert kept["log_normalizer"] == pytest.approx(float(load(run).log_normalizer))
    assert kept["log_partition_verdict"] in printed
    assert kept["log_partition_method"] in ("bridge", "annealing")
    assert {"pareto_k", "relative_ess", "overlap", "data_beyond_the_draws"} <= set(kept["estimates"][0]["diagnostics"])
    assert not list(run.glob(".*.tmp"))


def test_command_in_json_with_a_level_and_a_method(run, capsys):
    printed = json.loads(said(capsys, "normalizer", run, "--method", "importance", "--level", 0.5, "--json"))
    (estimate,) = printed["estimates"]
    assert estimate["method"] == "importance"
    assert printed["asked"] == {"method": "importance", "draws": 100_000, "max_temperatures": 512, "seed": 0}
    assert estimate["high"] - estimate["low"] == pytest.approx(2 * 0.6745 * estimate["standard_error"], rel=1e-3)


def test_same_seed_same_figures(run, capsys):
    first, second, third = (
        json.loads(said(capsys, "normalizer", run, "--draws", 1000, "--method", "importance", "--json", "--seed", seed))
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first["log_partition"] != third["log_partition"]


def test_the_option_of_before_is_taken():
    assert build_parser().parse_args(["normalizer", "run", "--longest", "8"]).max_temperatures == 8
    assert build_parser().parse_args(["normalizer", "run"]).max_temperatures == 512


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["normalizer", "--help"])
    assert "contrastive normalizer runs/" in capsys.readouterr().out.split("examples:")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "annealed"], "invalid choice"),
        (["--draws", "5"], "at least 1,000"),
        (["--level", "95"], "between 0 and 1"),
        (["--method", "certified"], "energy with a bound"),
    ],
)
def test_bad_input_is_one_sentence(run, capsys, arguments, message):
    assert message in refused(capsys, "normalizer", run, *arguments)


def test_a_directory_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["normalizer", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err


def test_lost_data_are_said_and_the_estimate_is_made(tmp_path, capsys):
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(300, 2)))
    fit(tmp_path / "table.npy", out=str(tmp_path / "run"), steps=20, quiet=True, log_partition_draws=0)
    (tmp_path / "table.npy").unlink()
    assert main(["normalizer", str(tmp_path / "run"), "--method", "importance", "--draws", "1000"]) == 0
    captured = capsys.readouterr()
    assert "a missing mode would go unnoticed" in captured.err
    assert "log Z = " in captured.out


def test_summary_has_log_z_its_interval_and_the_conservative_likelihood(run):
    summary = json.loads((run / "summary.json").read_text())
    low, high = summary["log_partition_low"], summary["log_partition_high"]
    assert low < summary["log_partition"] < high
    assert summary["log_partition_method"] == "importance"
    assert summary["log_partition_verdict"].startswith(("reliable", "doubtful because"))
    # mean f = mean log p + c, with either normaliser.
    shift = summary["log_normalizer"] - high
    assert summary["test_log_prob_energy_normalized"] == pytest.approx(
        summary["test_log_prob_energy"] + shift, abs=1e-4
    )


def test_evaluate_takes_the_upper_end_of_the_newest_interval(run, capsys):
    said(capsys, "normalizer", run, "--method", "importance", "--draws", 1000, "--level", 0.999)
    upper = json.loads((run / "normalizer.json").read_text())["log_partition_high"]
    figures = json.loads(said(capsys, "evaluate", run, "--json"))
    assert figures["log_partition_high"] == upper
    shift = figures["log_normalizer"] - upper
    assert figures["test_log_prob_energy_normalized"] == pytest.approx(
        figures["test_log_prob_energy"] + shift, abs=1e-4
    )


def test_report_shows_the_newest_interval_and_its_verdict(run, capsys):
    (run / "normalizer.json").unlink(missing_ok=True)
    for make in (lambda: None, lambda: said(capsys, "normalizer", run, "--method", "bridge", "--draws", 1000)):
        make()
        write_run_report(RunDirectory(run))
        text, newest = (run / "report.html").read_text(), RunDirectory(run).read_newest_summary()
        for end in ("_low", "", "_high"):
            assert f"{newest[f'log_partition{end}']:.4f}" in text
        assert f">{newest['log_partition_method']}<" in text
    assert newest["log_partition_method"] == "bridge"


def test_classes_have_an_interval_each(tmp_path):
    settings = {"energy_options": {"num_classes": 2, "widths": [8]}, "steps": 60, "quiet": True}
    out = tmp_path / "run"
    fit("8gaussians", out=str(out), **settings)
    summary = json.loads((out / "summary.json").read_text())
    assert len(summary["log_partition"]) == len(summary["log_partition_verdict"]) == 2
    assert all(a < b < c for a, b, c in zip(*(summary[f"log_partition{end}"] for end in ("_low", "", "_high"))))
    estimator, x = load(out), torch.randn(50, 2)
    high = torch.tensor(summary["log_partition_high"])
    by_hand = (estimator.unnormalized_log_prob(x) - high).exp().mean(1).log()
    assert mean_log_prob(estimator, x, high.double()) == pytest.approx(float(by_hand.mean()), abs=1e-5)
    write_run_report(RunDirectory(out))
    text = (out / "report.html").read_text()
    assert all(f"{end:.4f}" in text for end in [*summary["log_partition_low"], *summary["log_partition_high"]])


def test_log_z_of_the_summary_leaves_the_random_state_and_can_be_left_out(tmp_path):
    figures = {}
    for draws in (0, 1000, 1000):
        out = tmp_path / str(draws)
        torch.manual_seed(5)
        fit("8gaussians", out=str(out), overwrite=True, steps=10, quiet=True, log_partition_draws=draws)
        summary = json.loads((out / "summary.json").read_text())
        state = torch.rand(1)
        if draws in figures:
            assert (figures[draws][0], figures[draws][1]) == (summary["log_partition"], state)
        figures[draws] = (summary.get("log_partition"), state)
    assert figures[0][0] is None
    assert figures[0][1] == figures[1000][1]


def test_an_energy_without_an_estimate_still_gets_its_summary(tmp_path, monkeypatch):
    def refuse(*arguments, **settings):
        raise ContrastiveError("no log-ratio is finite")

    monkeypatch.setattr("contrastive.training.judging.log_partitions", refuse)
    fit("8gaussians", out=str(tmp_path / "run"), steps=5, quiet=True)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["log_partition_verdict"] == "doubtful because no log-ratio is finite"
    assert math.isfinite(summary["test_log_prob_energy"])


def test_draws_of_the_summary_are_checked():
    with pytest.raises(ContrastiveError, match="0, or at least 1000"):
        fit("8gaussians", log_partition_draws=50)
