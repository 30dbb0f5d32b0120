"""The command line as a user meets it."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from helpers.runs import refused, table_run

from contrastive.api import fit
from contrastive.cli.main import build_parser, main
from contrastive.config import read_config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small finished run on a table."""
    return table_run(tmp_path_factory.mktemp("runs"), "diag-gaussian")


def test_help_imports_no_torch():
    code = (
        "import sys; sys.argv = ['contrastive', 'fit', '--help']\n"
        "from contrastive.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")


@pytest.mark.parametrize("command", ["fit", "evaluate", "score", "sample", "features", "plot", "list", "init-config"])
def test_every_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as leaving:
        build_parser().parse_args([command, "--help"])
    assert leaving.value.code == 0
    assert f"contrastive {command}" in capsys.readouterr().out.split("examples:")[1]


def test_fit_evaluate_sample_plot(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = "--data moons --noise gaussian-mixture --noise.components 3 --energy.widths 16,16 --steps 30 --out"
    assert main(["fit", *arguments.split(), str(out)]) == 0
    assert "report:" in capsys.readouterr().out
    html = (out / "report.html").read_text()
    assert html.count("data:image/png;base64,") in (4, 8), (
        "densities and curves, and where it is quick the test of the fit"
    )
    assert 'src="http' not in html
    assert (out / "plots" / "densities.png").stat().st_size > 1000
    config = yaml.safe_load((out / "config.yaml").read_text())
    assert config["noise"] == {"name": "gaussian-mixture", "components": 3}
    assert main(["evaluate", str(out), "--data", "moons", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    summary = json.loads((out / "summary.json").read_text())
    assert metrics["mse_log_prob_energy"] == pytest.approx(summary["mse_log_prob_energy"], rel=1e-4)
    for model, name in [("noise", "a.npy"), ("energy", "b.npy")]:
        assert main(["sample", str(out), "--from", model, "-n", "50", "--out", str(tmp_path / name)]) == 0
        assert np.load(tmp_path / name).shape == (50, 2)
    assert main(["plot", str(out), str(out), "--out", str(tmp_path / "both.html")]) == 0
    assert (tmp_path / "both.html").exists()


def test_a_table_is_reported_in_its_own_units(finished, tmp_path, capsys):
    assert main(["evaluate", str(finished / "run"), "--data", str(finished / "table.csv"), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    # The entropy of N(0, 1) x N(50, 10^2) is 1 + log(2 pi) + log(10) = 5.14 nats.
    assert metrics["test_log_prob_noise"] == pytest.approx(-5.14, abs=0.15)
    assert main(["sample", str(finished / "run"), "-n", "200", "--out", str(tmp_path / "s.csv")]) == 0
    rows = list(csv.reader((tmp_path / "s.csv").open()))
    assert rows[0] == ["height", "weight"]
    assert np.mean([float(row[1]) for row in rows[1:]]) == pytest.approx(50, abs=5)


def test_standard_errors_are_those_of_the_rows_that_were_fitted(finished, tmp_path, capsys):
    """230 of 300 rows of a Gaussian in standardised coordinates: the mean's error is near sqrt(1 / 230)."""
    table, run = str(finished / "table.csv"), str(tmp_path / "run")
    fit(table, noise="student-t", energy="gaussian", steps=300, learning_rate=1e-2, out=run, quiet=True)
    assert main(["evaluate", run, "--standard-errors", "--json"]) == 0
    parameters = json.loads(capsys.readouterr().out)["parameters"]
    assert 0.9 < parameters["loc[0]"]["standard_error"] / math.sqrt(1 / 230) < 1.3
    assert main(["evaluate", run, "--standard-errors"]) == 0
    shown = capsys.readouterr().out
    assert "efficiency" in shown
    assert "230 rows" in shown
    errors = refused(capsys, "evaluate", finished / "run", "--standard-errors")
    assert "standard errors are for parametric energies" in errors


@pytest.mark.parametrize("words", [["--noise.loc", "-1.5"], ["--noise.loc=-1.5"]])
def test_a_negative_value_of_a_dotted_option_is_no_option(tmp_path, words):
    path = tmp_path / "c.yaml"
    assert main(["init-config", *words, "--to", str(path)]) == 0
    assert read_config(path).noise.options == {"loc": -1.5}


def test_init_config_is_a_config(tmp_path, capsys):
    path = tmp_path / "c.yaml"
    assert main(["init-config", "--noise", "glow", "--noise.width", "8", "--to", str(path)]) == 0
    assert "# schedule of the players in fce" in path.read_text()
    assert (
        main(
            [
                "fit",
                "--config",
                str(path),
                "--steps",
                "1",
                "--pretrain-steps",
                "1",
                "--quiet",
                "--no-report",
                "--out",
                str(tmp_path / "r"),
            ]
        )
        == 0
    )
    assert main(["init-config"]) == 0
    assert "learning_rate: 0.004" in capsys.readouterr().out


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for word in ("gaussian-mixture", "contrastive-glow", "mlp", "two-spirals", "nce", "paper"):
        assert word in shown
    assert main(["list", "densities"]) == 0
    assert "mlp" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--data", "8gausians"], "did you mean '8gaussians'"),
        (["fit", "--noise", "gausian"], "did you mean"),
        (["fit", "--noise.componets", "3", "--noise", "gaussian-mixture"], "did you mean 'components'"),
        (["fit", "--stepz", "3"], "unknown argument '--stepz'; did you mean '--steps'"),
        (["fit", "--qqqqq", "3"], "unknown argument '--qqqqq' (see contrastive fit --help)"),
        (["fit", "extra"], "unknown argument 'extra'"),
        (["sample", "absent", "--form", "noise", "--out", "x.npy"], "unknown argument '--form'; did you mean '--from'"),
        (["fit", "--steps", "many"], "steps must be a whole number, got 'many'"),
        (["fit", "--steps", "-3"], "steps must be at least 1"),
        (["fit", "--steps", "1.5"], "whole number"),
        (["fit", "--noise-ratio", "nan"], "noise_ratio must be positive"),
        (["fit", "--method", "em"], "invalid choice"),
        (["fit", "--method", "fce", "--noise", "uniform"], "gaussian, glow"),
        (["fit", "--data", "absent.csv"], "there is no file absent.csv"),
        (["fit", "--config", "absent.yaml"], "cannot read the config"),
        (["fit", "--resume", "absent"], "not a run"),
        (["fit", "--noise.width"], "needs a value"),
        (["fit", "--device", "nonsense"], "device"),
        (["fit", "--energy.activation", "sine"], "unknown activation"),
        (["evaluate", "absent"], "not a run"),
        (["plot", "absent"], "absent"),
        (["sample", "absent", "--out", "x.txt"], "expected a .npy or .csv"),
        (["nonsense"], "invalid choice"),
        ([], "required"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert not (tmp_path / "runs").exists(), "something was left behind"


def test_an_existing_run_is_not_overwritten_unasked(finished, capsys, tmp_path):
    before = (finished / "run" / "summary.json").read_text()
    message = refused(capsys, "fit", "--data", "moons", "--steps", "5", "--out", finished / "run")
    assert "replace it with --overwrite" in message
    assert "--resume" not in message, "there is nothing to go on with"
    assert (finished / "run" / "summary.json").read_text() == before
    assert "is finished already" in refused(capsys, "fit", "--resume", finished / "run")
    assert "leave out --steps" in refused(capsys, "fit", "--resume", finished / "run", "--steps", "9")
    (tmp_path / "precious.txt").write_text("mine")
    message = refused(capsys, "fit", "--data", "moons", "--overwrite", "--out", tmp_path)
    assert "will not empty it" in message
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_failed_overwrite_keeps_the_old_run(finished, capsys):
    before = sorted(path.name for path in (finished / "run").iterdir())
    refused(capsys, "fit", "--data", "absent.csv", "--overwrite", "--out", finished / "run")
    refused(capsys, "fit", "--data", "moons", "--noise", "nope", "--overwrite", "--out", finished / "run")
    assert sorted(path.name for path in (finished / "run").iterdir()) == before


def test_wrong_width_and_damaged_models_are_refused(finished, capsys, tmp_path):
    np.save(tmp_path / "three.npy", np.random.default_rng(0).normal(size=(10, 3)))
    message = refused(capsys, "evaluate", finished / "run", "--data", tmp_path / "three.npy", "--columns", "x0,x1,x2")
    assert "fitted to (2,)" in message
    model = finished / "run" / "model.safetensors"
    content = model.read_bytes()
    try:
        model.write_bytes(content[: len(content) // 2])
        assert "damaged" in refused(capsys, "evaluate", finished / "run", "--data", "moons")
    finally:
        model.write_bytes(content)


def test_samples_are_not_overwritten_unasked(finished, capsys, tmp_path):
    np.save(tmp_path / "s.npy", np.zeros(3))
    assert "--overwrite" in refused(capsys, "sample", finished / "run", "--out", tmp_path / "s.npy")
    assert np.load(tmp_path / "s.npy").shape == (3,)
    assert torch.get_default_dtype() == torch.float32
