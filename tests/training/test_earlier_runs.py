"""Runs that an earlier version wrote, with flat settings and no marker, are read, gone on with and replaced."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import contrastive
from contrastive.cli.main import main
from contrastive.io.checkpoints import read_checkpoint, write_checkpoint
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


@pytest.fixture
def defended(tmp_path):
    """A short FCE run with a defensive Gaussian, and its tensors and states under the names of version 0.1."""
    settings = {
        "noise": "gaussian",
        "method": "fce",
        "defensive_share": 0.2,
        "checkpoint_every": 10,
        "evaluate_every": 10,
    }
    estimator = contrastive.fit(
        "moons", steps=30, out=str(tmp_path / "run"), quiet=True, log_partition_draws=0, early_stopping=0, **settings
    )
    for name in ("model", "checkpoint"):
        path = tmp_path / "run" / f"{name}.safetensors"
        tensors, state = read_checkpoint(path)
        before = {key.replace("defensive_component.", "defence."): tensor for key, tensor in tensors.items()}
        assert before.keys() != tensors.keys()
        if name == "checkpoint":
            state["stage"]["noise_is_held"] = state["stage"].pop("noise_is_frozen")
        write_checkpoint(path, before, state)
    return tmp_path / "run", estimator


def test_a_model_with_a_defence_is_loaded(defended):
    run, estimator = defended
    ours = contrastive.load(run).state_dict()
    assert any(name.startswith("defensive_component.") for name in ours)
    assert all(torch.equal(ours[name], tensor) for name, tensor in estimator.state_dict().items())


def test_a_checkpoint_with_a_defence_goes_on_to_the_figures_of_the_whole(defended):
    run, estimator = defended
    (run / "summary.json").unlink()
    ours = contrastive.fit("moons", resume=run, quiet=True).state_dict()
    for name, tensor in estimator.state_dict().items():
        torch.testing.assert_close(ours[name], tensor)


def test_figures_of_before_are_read_by_their_present_names(runs):
    assert "data_share" in (runs / "finished" / "summary.json").read_text()
    summary = RunDirectory("finished").read_summary()
    assert summary["relative_ess"] == pytest.approx(0.9597, abs=1e-4)
    assert "data_share" not in summary
    assert contrastive.load("finished").summary["relative_ess"] == summary["relative_ess"]
