"""Runs on disk, and the command line called in this process."""

import csv
import json

import numpy as np

from contrastive import fit
from contrastive.cli.main import main

#: Settings of `fit` for a run of which only the files matter.
QUICK = {"steps": 2, "log_partition_draws": 0, "quiet": True}


def figures(path):
    """The summary and every line of the metrics, without the clock."""
    summary = json.loads((path / "summary.json").read_text())
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    clock = {"seconds", "seconds_evaluation"}
    return [{k: v for k, v in entry.items() if k not in clock} for entry in [summary, *lines]]


def table_run(folder, noise):
    """A small finished run at `folder`/run, of the table `folder`/table.csv; the folder."""
    rows = np.random.default_rng(0).normal(size=(300, 2)) * [1.0, 10.0] + [0.0, 50.0]
    with (folder / "table.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([["height", "weight"], *rows.tolist()])
    fit(folder / "table.csv", noise=noise, steps=60, out=str(folder / "run"), quiet=True)
    return folder


def refused(capsys, *arguments):
    """The one line of an error, with exit code 2."""
    code = main([str(argument) for argument in arguments])
    errors = capsys.readouterr().err.strip()
    assert code == 2, errors
    assert len(errors.splitlines()) == 1, errors
    assert "Traceback" not in errors
    return errors
