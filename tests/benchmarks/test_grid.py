"""Many fits at once: finished runs are read, begun ones go on, and nothing stands under the wrong settings."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.paths import ROOT

from benchmarks.lib.grid import benchmark_parser, provenance, run_grid

SETTINGS = {"data": "8gaussians", "noise": "gaussian", "steps": 4, "batch_size": 20, "log_partition_draws": 0}


def test_a_finished_run_is_read_where_its_settings_are_the_same(tmp_path, monkeypatch):
    (first,) = run_grid([("NCE", SETTINGS)], tmp_path / "out", 1)
    written = (first.path / "summary.json").stat().st_mtime_ns
    monkeypatch.chdir(tmp_path)
    (again,) = run_grid([("NCE", SETTINGS)], Path("out"), 1)  # the same place, written in another way
    assert again.summary == first.summary
    assert (again.path / "summary.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 5}, "(steps)"),
        ({"energy_options": {"width": 7}}, "(energy.width)"),
        ({"recipe": "paper"}, "learning_rate"),
    ],
)
def test_a_run_with_other_settings_is_refused(tmp_path, capsys, changed, named):
    run_grid([("NCE", SETTINGS)], tmp_path, 1)
    with pytest.raises(SystemExit) as stopped:
        run_grid([("NCE", {**SETTINGS, **changed})], tmp_path, 1)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert named in next(line for line in lines if line.startswith("error:"))


def test_results_name_the_commit_of_the_benchmark_wherever_it_is_called_from(tmp_path, monkeypatch):
    here = provenance()["commit"]
    monkeypatch.chdir(tmp_path)
    assert provenance()["commit"] == here


def test_results_lie_beside_the_rooms():
    results = benchmark_parser(None, "table1", quick="").parse_args([]).results
    assert results == ROOT / "benchmarks" / "results"
    assert (results / "table1.json").exists()


def test_results_name_the_command_that_was_typed(monkeypatch):
    main = SimpleNamespace(__spec__=SimpleNamespace(name="benchmarks.paper.table1"))
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/paper/table1.py", "--quick"])
    assert provenance()["command"] == "python -m benchmarks.paper.table1 --quick"
    main.__spec__ = None
    assert provenance()["command"] == "python /somewhere/benchmarks/paper/table1.py --quick"
