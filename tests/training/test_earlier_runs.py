"""Runs that an earlier version wrote, with flat settings and no marker, are read, gone on with and replaced."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import contrastive
from contrastive.cli.main import main
from contrastive.training.run_directory import RunDirectory

WRITTEN = Path(__file__).parent / "runs_of_0_1_flat"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """They name their table by a relative path."""
    shutil.copytree(WRITTEN, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")
    return tmp_path / "runs"


def test_a_finished_run_is_evaluated_at_its_own_rows(runs, capsys):
    assert main(["evaluate", "finished", "--json"]) == 0
    found, kept = json.loads(capsys.readouterr().out), json.loads((runs / "finished" / "summary.json").read_text())
    for figure in ("test_log_prob_energy", "test_log_prob_noise", "test_error"):
        assert found[figure] == pytest.approx(kept[figure], abs=1e-5), figure
    assert contrastive.load("finished").columns == ("height", "weight")
    assert main(["plot", "finished"]) == 0


def test_an_interrupted_run_goes_on_to_the_figures_of_the_whole(runs):
    assert main(["fit", "--resume", "cut", "--quiet", "--no-report"]) == 0
    ours, theirs = contrastive.load("cut").state_dict(), contrastive.load("finished").state_dict()
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-4)


def test_it_is_known_for_a_run_where_it_is_to_be_replaced(runs):
    contrastive.fit("moons", steps=5, out="finished", overwrite=True, quiet=True, log_partition_draws=0)
    assert RunDirectory("finished").read_config().data.source == "moons"
