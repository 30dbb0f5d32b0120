"""Every benchmark in its quick form, so that it cannot rot."""

import json
import os
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


def test_quick_form_for_a_device_runs_and_goes_on_where_it_was(tmp_path):
    command = ["bash", BENCHMARKS / "device" / "paper.sh", "--quick", "--device", "cpu", "--out", tmp_path]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "device-paper.json").read_text(encoding="utf-8"))
    assert not found["failures"]
    rows = ("likelihood", "fce", "longer")
    assert all(found["phases"][f"shapes: {row}"]["result"]["frechet_distance"] > 0 for row in rows)
    assert {"shapes-samples.png", "shapes-fce-weights-0.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "device-paper.json").read_text(encoding="utf-8"))["phases"] == found["phases"]
