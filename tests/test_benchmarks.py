"""Every benchmark in its quick form, so that it cannot rot."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
#: What benchmarks share; these are none.
SHARED = {
    "contrastive_divergence",
    "ebm_runs",
    "few_labels",
    "grid",
    "image_sets",
    "image_tables",
    "l2_svm",
    "mixtures",
}


@pytest.mark.parametrize("name", sorted(p.stem for p in BENCHMARKS.glob("*.py") if p.stem not in SHARED))
def test_quick_form_runs_and_leaves_its_output(name, tmp_path):
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--quick", "--out", tmp_path / name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {path.name for path in (tmp_path / name).iterdir()}
    assert kept & {"report.html", f"{name}.json", f"{name}-8gaussians.json"}
