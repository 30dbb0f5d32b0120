"""Every benchmark in its quick form, so that it cannot rot."""

import json
import os
import subprocess
import sys

import pytest
from helpers.paths import ROOT

NAMES = sorted(
    f"{room}.{path.stem}"
    for room in ("paper", "library")
    for path in ROOT.glob(f"benchmarks/{room}/*.py")
    if path.stem != "__init__"
)


@pytest.mark.parametrize("name", NAMES)
def test_quick_form_runs_and_leaves_its_output(name, tmp_path):
    stem = name.rpartition(".")[2]
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--out", tmp_path / stem]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    kept = {path.name for path in (tmp_path / stem).iterdir()}
    assert kept & {"report.html", f"{stem}.json", f"{stem}-8gaussians.json"}
    for path in (tmp_path / stem).glob(f"{stem}*.json"):
        command = json.loads(path.read_text(encoding="utf-8"))["command"]
        assert command.startswith(f"python -m benchmarks.{name} --quick")


def test_quick_form_for_a_device_runs_and_goes_on_where_it_was(tmp_path):
    command = ["bash", ROOT / "benchmarks" / "device" / "paper.sh", "--quick", "--device", "cpu", "--out", tmp_path]
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
