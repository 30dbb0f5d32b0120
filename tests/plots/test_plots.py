"""Figures and the report."""

import os
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from helpers.paths import ROOT

from contrastive import fit, make_density
from contrastive.plots import FinishedRun, curves_figure, density_figure, render_report

LINES = [
    {"stage": "pretrain", "step": 50, "updates": 50, "test_log_prob_noise": -3.0},
    {"stage": "contrast", "step": 50, "updates": 100, "value": -1.2, "accuracy": 0.7, "test_log_prob_energy": -2.0},
    {"stage": "contrast", "step": 99, "updates": 149, "value": None, "accuracy": 0.6, "test_log_prob_energy": -1.9},
]


def finished(d, columns=None):
    torch.manual_seed(0)
    x = torch.randn(200, d) @ torch.randn(d, d)
    summary = {
        "data": f"table{d}.csv", "method": "nce", "noise": "gaussian", "pretrain_steps": 50, "steps": 99,
        "noise_ratio": 1.0, "test_rows": 20, "test_log_prob_energy": -1.9, "test_log_prob_noise": -3.0,
        "log_normalizer": [0.5, 0.25], "steps_energy": 99, "steps_noise": 0, "value": None,
    }  # fmt: skip
    estimator = fit(x, steps=3, quiet=True)
    truth = make_density("moons") if d == 2 else None
    names = columns or [f"x{i}" for i in range(d)]
    return FinishedRun(Path("runs/a"), estimator, summary, LINES, {"steps": 99}, x.double(), truth, names)


@pytest.mark.parametrize(("d", "panels"), [(1, 1), (2, 4), (3, 3), (9, 12)])
def test_density_figure_has_its_panels(d, panels):
    assert len(density_figure(finished(d)).axes) == panels


def test_curves_leave_out_what_is_missing():
    figure = curves_figure([finished(2), finished(2)])
    shown = [panel.get_title() for panel in figure.axes if panel.get_visible()]
    assert "value V (nats)" in shown
    assert not any("error" in title for title in shown)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]


def test_report_is_self_contained_and_escapes_what_users_named():
    hostile = finished(3, columns=["<script>alert(1)</script>", "b", "c"])
    hostile.config["columns"] = "<script>alert(1)</script>"
    page = Page(render_report([hostile, finished(2)]))
    assert "script" not in page.tags
    assert len(page.sources) == 4, "two densities, two figures of curves"
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_names_with_dollars_are_no_formulas(d):
    """$x^$ is none that could be set."""
    run = finished(d, columns=["$x^$", "price in $", r"\$\frac{$"][:d])
    run.summary["data"], run.summary["noise"] = "$x^$.csv", "$_$"
    text = render_report([run, run])
    assert "$x^$: fixed-flow NCE with $_$" in text


def test_a_matplotlibrc_beside_the_run_is_not_read(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nlines.linewidth: 77\n")
    code = "import contrastive.plots, matplotlib as m; print(m.rcParams['text.usetex'], m.rcParams['lines.linewidth'])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.split()[0] == "False"
    assert "77" not in done.stdout


def test_pages_escape_every_name_of_a_run():
    hostile = '"><script>alert(1)</script>'
    run = finished(2, columns=[hostile, hostile])
    run.summary["data"], run.summary["noise"], run.summary["noise_warning"] = f"{hostile}.csv", hostile, hostile
    run.summary["log_partition_verdict"] = hostile
    page = Page(render_report([replace(run, config={hostile: hostile}, path=Path(hostile))]))
    assert "script" not in page.tags
