"""Figures and the report."""

import os
import subprocess
import sys

import pytest
from helpers.finished import finished
from helpers.paths import ROOT

from contrastive.plots import curves_figure, density_figure, render_report


@pytest.mark.parametrize(("d", "panels"), [(1, 1), (2, 5), (3, 3), (9, 12)])
def test_density_figure_has_its_panels(d, panels):
    assert len(density_figure(finished(d)).axes) == panels, "of the plane, a colour bar among them"


def test_curves_leave_out_what_is_missing():
    figure = curves_figure([finished(2), finished(2)])
    shown = [panel.get_title() for panel in figure.axes if panel.get_visible()]
    assert "value V (nats)" in shown
    assert not any("error" in title for title in shown)


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
