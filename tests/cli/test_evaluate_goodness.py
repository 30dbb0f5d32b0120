"""`contrastive evaluate --goodness`."""

import json
import sys

import numpy as np
import pytest
from helpers.runs import refused

from contrastive.api import fit
from contrastive.cli.main import main
from contrastive.errors import MissingExtraError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on a Gaussian table, whose energy is a Gaussian: the model is right."""
    folder = tmp_path_factory.mktemp("runs")
    rows = np.random.default_rng(0).normal(size=(2_000, 2)) * [1.0, 10.0] + [0.0, 50.0]
    np.savetxt(folder / "table.csv", rows, delimiter=",", header="height,weight", comments="")
    settings = {"noise": "student-t", "energy": "gaussian", "steps": 300, "learning_rate": 1e-2, "quiet": True}
    fit(folder / "table.csv", out=str(folder / "run"), **settings)
    return folder


def test_a_right_model_passes_on_its_own_rows_and_the_run_keeps_the_figures(finished, capsys):
    run = finished / "run"
    assert main(["evaluate", str(run), "--goodness"]) == 0
    shown = capsys.readouterr().out
    assert "No difference was found between 200 held-out rows" in shown
    assert "weight" in shown
    kept = json.loads((run / "goodness.json").read_text())
    assert kept["level"] == 0.05
    assert kept["verdict"] in shown
    assert [column["name"] for column in kept["columns"]] == ["height", "weight"]
    assert (run / "plots" / "goodness.png").stat().st_size > 1_000


def test_other_rows_are_told_apart_and_leave_the_run_as_it_was(finished, tmp_path, capsys):
    run = finished / "run"
    rows = np.random.default_rng(1).normal(size=(400, 2)) * [2.0, 10.0] + [0.0, 50.0]
    np.savetxt(tmp_path / "new.csv", rows, delimiter=",", header="height,weight", comments="")
    kept = (run / "goodness.json").read_bytes() if (run / "goodness.json").exists() else None
    words = ["evaluate", str(run), "--data", str(tmp_path / "new.csv"), "--goodness", "--json"]
    assert main([*words, "--goodness-level", "0.01", "--goodness-plot", str(tmp_path / "corner.png")]) == 0
    found = json.loads(capsys.readouterr().out)["goodness"]
    assert found["level"] == 0.01
    assert "the distribution of height is off" in found["verdict"]
    assert (tmp_path / "corner.png").stat().st_size > 1_000
    assert kept == ((run / "goodness.json").read_bytes() if (run / "goodness.json").exists() else None)


def test_options_of_the_test_are_refused_without_it(finished, capsys):
    assert "are for --goodness" in refused(capsys, "evaluate", finished / "run", "--goodness-level", "0.1")
    assert "between 0 and 1" in refused(capsys, "evaluate", finished / "run", "--goodness", "--goodness-level", "5")


def test_without_matplotlib_the_numbers_are_still_given(finished, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "contrastive.plots", _Missing())
    assert main(["evaluate", str(finished / "run"), "--goodness"]) == 0
    said = capsys.readouterr()
    assert "No difference was found" in said.out
    assert "the corner plot was left out; plots need matplotlib" in said.err
    assert "plots need matplotlib" in refused(
        capsys, "evaluate", finished / "run", "--goodness", "--goodness-plot", "x.png"
    )


class _Missing:
    """Stands in for the plots where matplotlib is not installed."""

    def __getattr__(self, name):
        raise MissingExtraError("plots need matplotlib")
