"""Runs, configs and data of somebody else: reading them runs no code."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers import runs
from helpers.paths import ROOT
from helpers.runs import QUICK

from contrastive import ContrastiveError, fit, load, make_noise
from contrastive.cli.main import main
from contrastive.config import ALIASES, configure, flattened, read_yaml
from contrastive.io.imports import without_working_directory

LIBRARY = """from torch.distributions import Laplace

class Noise(Laplace):
    pass
"""
HELPER = f'open("EXECUTED", "w").close()\n{LIBRARY}'


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A finished run with a noise by its import path."""
    path = tmp_path_factory.mktemp("template") / "run"
    options = {"path": "torch.distributions.Laplace", "loc": 0.0, "scale": 2.0}
    fit("moons", noise="distribution", noise_options=options, out=str(path), **QUICK)
    return path


@pytest.fixture
def foreign(template, tmp_path, monkeypatch):
    """The working directory: a run that names a class in a module beside it, and Python looks for modules there."""
    run = shutil.copytree(template, tmp_path / "foreign")
    set_config(run, **{"noise.path": "helper.Noise"})
    (run / "helper.py").write_text(HELPER)
    monkeypatch.chdir(run)
    monkeypatch.setattr(sys, "path", ["", str(run), *sys.path, "."])
    yield run
    sys.modules.pop("helper", None)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """An installed module `other_library` with the class of a noise."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "other_library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("other_library", None)


def set_config(run, **values):
    config = flattened(read_yaml(run / "config.yaml"))
    (run / "config.yaml").write_text(
        yaml.safe_dump(config | {ALIASES.get(name, name): v for name, v in values.items()})
    )


def refused(capsys, *arguments):
    """The one line of an error with exit code 2, and nothing beside the run was executed."""
    errors = runs.refused(capsys, *arguments)
    assert not Path("EXECUTED").exists()
    return errors


COMMANDS = [
    ["evaluate", "."],
    ["evaluate", ".", "--data", "moons", "--json"],
    ["predict", ".", "--data", "moons", "--out", "x.csv"],
    ["sample", ".", "--out", "x.npy"],
    ["sample", ".", "--from", "noise", "--out", "x.npy"],
    ["features", ".", "--list-layers"],
    ["features", ".", "--data", "moons", "--out", "x.npz"],
    ["normalizer", "."],
    ["plot", "."],
    ["fit", "--config", "config.yaml", "--out", "new"],
    ["fit", "--data", "moons", "--init-noise", ".", "--out", "new"],
    ["fit", "--data", "moons", "--noise", "distribution", "--noise.path", "helper.Noise", "--out", "new"],
    ["fit", "--data", "moons", "--noise", "distribution", "--noise.path", "helper:Noise", "--out", "new"],
    ["check", "distribution", "--noise.path", "helper.Noise"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_imports_what_a_run_names(command, foreign, capsys):
    message = refused(capsys, *command)
    assert "helper" in message
    assert "--allow-import" in message
    assert "helper" not in sys.modules


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_imports_from_the_working_directory(command, foreign, capsys):
    """Whatever is allowed."""
    assert "modules in the working directory do not count" in refused(capsys, *command, "--allow-import")
    assert "helper" not in sys.modules


def test_a_run_goes_on_without_what_it_names(foreign, capsys):
    (foreign / "summary.json").unlink()
    assert "--allow-import" in refused(capsys, "fit", "--resume", ".")


@pytest.mark.parametrize("allowed", [[], ["--allow-import"]])
def test_python_m_contrastive_imports_nothing_beside_the_run(allowed, foreign):
    """Python itself puts the working directory first, before torch and yaml."""
    for name in ("yaml", "torch", "numpy"):
        (foreign / f"{name}.py").write_text('open("EXECUTED", "w").close()')
    command = [sys.executable, "-m", "contrastive", "evaluate", ".", *allowed]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("contrastive: error: cannot import helper.Noise")
    assert not Path("EXECUTED").exists()


@pytest.mark.parametrize(
    "path",
    [
        "this.s",
        "this:s",
        "antigravity.fly",
        "os.system",
        "builtins.exec",
        "subprocess.Popen",
        "torch.nn.Linear",
        "torch.distributions",
        "torch.distributions.Transform",
        "torch.distributions.kl.torch",
        "torch.distributions.constraints.torch.os.system",
        "torch.distributions.this.s",
        "torch.distributions:constraints.torch",
        "torch.distributionsx.Noise",
        ".this.s",
        "",
        ".",
        ":",
    ],
)
def test_a_path_out_of_torch_distributions_is_refused_unseen(path):
    before = set(sys.modules)
    with pytest.raises(ContrastiveError, match="--allow-import"):
        make_noise("distribution", event_shape=(2,), path=path, loc=0.0, scale=1.0)
    assert set(sys.modules) == before


def test_a_class_that_somebody_put_into_torch_distributions_is_not_torchs(monkeypatch):
    class Mine(torch.distributions.Laplace):
        pass

    monkeypatch.setattr(torch.distributions, "Mine", Mine, raising=False)
    with pytest.raises(ContrastiveError, match="--allow-import"):
        make_noise("distribution", event_shape=(2,), path="torch.distributions.Mine", loc=0.0, scale=1.0)


@pytest.mark.parametrize("path", ["torch.distributions.Laplace", "torch.distributions.laplace:Laplace"])
def test_a_distribution_of_torch_needs_no_word(path):
    noise = make_noise("distribution", event_shape=(2,), path=path, loc=0.0, scale=1.0)
    assert noise.sample().shape == (2,)


def test_an_installed_class_is_imported_where_that_is_allowed(library, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = [
        "--noise",
        "distribution",
        "--noise.path",
        "other_library.Noise",
        "--noise.loc",
        "0",
        "--noise.scale",
        "2",
    ]
    words = ["fit", "--data", "moons", *options, "--steps", "2", "--log-partition-draws", "0", "--out", "run"]
    assert "--allow-import" in refused(capsys, *words)
    assert not Path("run").exists()
    assert main([*words, "--quiet", "--allow-import"]) == 0
    for command in (["evaluate", "run"], ["sample", "run", "--from", "noise", "--out", "x.npy"], ["plot", "run"]):
        assert "--allow-import" in refused(capsys, *command)
        assert main([*command, "--allow-import"]) == 0
    with pytest.raises(ContrastiveError, match="allow_import=True"):
        load("run")
    assert type(load("run", allow_import=True).noise.distribution().base_dist).__name__ == "Noise"
    settings = {"noise": "distribution", "noise_options": {"path": "other_library.Noise", "loc": 0.0, "scale": 2.0}}
    with pytest.raises(ContrastiveError, match="allow_import=True"):
        fit("moons", **settings, **QUICK)
    fit("moons", **settings, **QUICK, allow_import=True)


@pytest.mark.parametrize("body", ["import sys; sys.exit(0)", "raise SystemExit", "raise BaseException('no')", "1 / 0"])
def test_a_module_that_leaves_python_is_one_line(body, library, tmp_path, monkeypatch, capsys):
    (library / "other_library.py").write_text(body)
    monkeypatch.chdir(tmp_path)
    words = ["--data", "moons", "--noise", "distribution", "--noise.path", "other_library.Noise", "--allow-import"]
    assert "cannot import other_library.Noise: " in refused(capsys, "fit", *words)


def test_a_class_that_leaves_python_is_one_line(library):
    (library / "other_library.py").write_text(f"{LIBRARY}    def __init__(self, **kwargs): raise SystemExit(0)")
    with pytest.raises(ContrastiveError, match=r"cannot be made of .*SystemExit"):
        make_noise("distribution", event_shape=(2,), path="other_library.Noise", allow_import=True)


def test_ctrl_c_in_an_import_is_ctrl_c(library):
    (library / "other_library.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        make_noise("distribution", event_shape=(2,), path="other_library.Noise", allow_import=True)


@pytest.mark.parametrize("key", ["allow_import", "allow-import", "noise.allow_import", "noise.allow-import"])
@pytest.mark.parametrize("part", ["energy", "noise", "objective"])
def test_no_config_allows_an_import(key, part, foreign, capsys):
    set_config(foreign, **{key.replace("noise", part): True})
    for command in (
        ["evaluate", "."],
        ["fit", "--config", "config.yaml", "--out", "new"],
        ["sample", ".", "--out", "x.npy"],
    ):
        assert "no config can allow an import" in refused(capsys, *command)


def test_no_option_allows_an_import(foreign, capsys):
    words = ["distribution", "--noise.path", "helper.Noise", "--noise.allow-import", "true"]
    for command in (["fit", "--data", "moons", "--noise"], ["init-config", "--noise"], ["check"]):
        assert "no config can allow an import" in refused(capsys, *command, *words)
    with pytest.raises(ContrastiveError, match="no config can allow an import"):
        configure(noise_options={"allow_import": True})


@pytest.mark.parametrize("name", ["event_shape", "event-shape", "self"])
def test_an_argument_that_is_no_setting_is_refused_in_a_line(name, foreign, capsys):
    set_config(foreign, **{f"noise.{name}": 3})
    assert "is no setting" in refused(capsys, "evaluate", ".")


def test_the_path_of_modules_is_as_it_was_after_an_import(foreign):
    before = list(sys.path)
    with without_working_directory():
        assert not {"", ".", str(foreign)} & set(sys.path)
        sys.path.append("added")
    assert sys.path == [*before, "added"]


def test_check_imports_what_the_user_types_from_the_working_directory(foreign, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".", str(foreign))])
    (foreign / "mine.py").write_text("from contrastive.noises.gaussian import Gaussian as Noise")
    (foreign / "leaves.py").write_text("import sys; sys.exit(0)")
    (foreign / "leaves_later.py").write_text("import sys\ndef make(event_shape): sys.exit(0)\nnumber = 3")
    assert main(["check", "mine:Noise", "--only", "shapes"]) == 0
    assert "SystemExit" in refused(capsys, "check", "leaves:make")
    assert "SystemExit" in refused(capsys, "check", "leaves_later:make")
    assert "cannot be called" in refused(capsys, "check", "leaves_later:number")
    for name in ("mine", "leaves_later"):
        del sys.modules[name]
