"""The template plugin, installed as a stranger's package would be, through every command."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from helpers.paths import ROOT

TEMPLATE = ROOT / "plugins" / "template"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment in which the copied template is installed."""
    root = tmp_path_factory.mktemp("stranger")
    shutil.copytree(TEMPLATE, root / "source", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    site = root / "site"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([*install, root / "source"], check=True)
    return {**os.environ, "PYTHONPATH": str(site)}, root


def command(installed, *arguments):
    environment, root = installed
    process = subprocess.run(
        [sys.executable, "-m", "contrastive.cli.main", *arguments],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_it_is_listed_with_the_package_that_brings_it(installed):
    line = next(line for line in command(installed, "list", "noises").splitlines() if "laplace" in line)
    assert "contrastive-template" in line


def test_it_passes_the_kit(installed):
    outcomes = json.loads(command(installed, "check", "laplace", "--json", "--noise.scale", "2"))
    assert {outcome["verdict"] for outcome in outcomes} == {"passed", "not applicable"}
    assert sum(outcome["verdict"] == "passed" for outcome in outcomes) > 15


def test_its_own_test_runs(installed):
    environment, root = installed
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", root / "source" / "tests"]
    assert " passed" in subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_is_fitted_resumed_evaluated_and_sampled(installed):
    _, root = installed
    small = ["--steps", "20", "--batch-size", "100", "--no-report", "--quiet"]
    command(installed, "fit", "--data", "moons", "--noise", "laplace", "--method", "fce", *small, "--out", "run")
    (root / "run" / "summary.json").unlink()  # as if it had been killed before the end
    command(installed, "fit", "--resume", "run", "--no-report", "--quiet")
    assert json.loads((root / "run" / "summary.json").read_text())["noise"] == "laplace"
    assert "log_prob" in command(installed, "evaluate", "run", "--json")
    command(installed, "sample", "run", "--from", "noise", "-n", "10", "--out", "draws.npy")
    assert (root / "draws.npy").exists()


def test_the_tutorial_shows_the_template_as_it_is():
    tutorial = (TEMPLATE.parents[1] / "docs" / "tutorials" / "writing-a-noise.md").read_text(encoding="utf-8")
    template = "".join(path.read_text(encoding="utf-8") for path in sorted(TEMPLATE.rglob("*.*")) if path.is_file())
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", tutorial, re.DOTALL)
    blocks = [block for block in blocks if "class LaplaceRegression" not in block]  # tests/testing/test_conditional.py
    assert len(blocks) == 4
    known = {line.partition("  #")[0] for line in template.splitlines()}
    assert [line for block in blocks for line in block.splitlines() if line not in known] == []
