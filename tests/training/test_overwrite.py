"""What `--overwrite` replaces: a run's own files, and nothing else."""

import json
import shutil

import pytest
import torch
from helpers import runs
from helpers.runs import QUICK
from safetensors.torch import save_file

from contrastive import ContrastiveError, fit, load
from contrastive.cli.main import main
from contrastive.training.run_directory import RunDirectory
from contrastive.training.run_files import MARKER

WORDS = ["--steps", "2", "--log-partition-draws", "0", "--no-report", "--quiet"]
OVERWRITE = ["fit", "--data", "moons", *WORDS, "--overwrite", "--out"]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A finished run."""
    path = tmp_path_factory.mktemp("template") / "run"
    fit("8gaussians", out=str(path), **QUICK)
    return path


@pytest.fixture
def run(template, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(template, tmp_path / "run")


def contents(path):
    """Every file and link below `path`, with its bytes."""
    entries = [entry for entry in sorted(path.rglob("*")) if entry.is_symlink() or entry.is_file()]
    return {
        str(entry.relative_to(path)): entry.readlink() if entry.is_symlink() else entry.read_bytes()
        for entry in entries
    }


def overwrite(path, *words):
    return main([*OVERWRITE, str(path), *map(str, words)])


def refused(capsys, path, *words, keeps=None):
    """The one line of an error with exit code 2, after which all is as it was."""
    before = contents(keeps or path)
    errors = runs.refused(capsys, *OVERWRITE, path, *words)
    assert contents(keeps or path) == before
    return errors


def without_marker(run):
    """As an earlier version left it."""
    (run / MARKER).unlink()
    return run


def data_of(run):
    return RunDirectory(run).read_config().data.source


def test_a_run_says_that_it_is_one(run):
    assert json.loads((run / MARKER).read_text()) == {"format": "contrastive-run-1", "version": "0.1.0"}


def test_overwrite_leaves_foreign_files(run):
    foreign = {
        "thesis.tex": "years of work",
        "notes/today.txt": "mine",
        "notes/config.yaml": "mine: true",
        "plots/figure1.png": "mine",
        "plots/samples/cat.png": "mine",
        "tensorboard/notes.txt": "mine",
        ".thesis.tex.4711.tmp": "half",
        ".hidden.tmp": "mine",
        "samples.npy": "draws",
    }
    for name, text in foreign.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    assert overwrite(run) == 0
    assert data_of(run) == "moons"
    assert {name: (run / name).read_text() for name in foreign} == foreign


def test_overwrite_takes_away_every_file_of_the_old_run(run):
    old = [
        "best.safetensors",
        "checkpoint.safetensors",
        "normalizer.json",
        "report.html",
        "plots/curves.png",
        "plots/samples/000050.png",
        "plots/.curves.png.4711.tmp",
        "tensorboard/events.out.tfevents.1.host",
        ".model.safetensors.4711.tmp",
    ]
    for name in old:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("old")
    assert overwrite(run) == 0
    assert not [name for name in old if (run / name).exists()]
    assert not (run / "plots").exists()
    assert not (run / "tensorboard").exists()
    load(run)


def test_a_run_of_an_earlier_version_is_replaced(run):
    assert overwrite(without_marker(run)) == 0
    assert data_of(run) == "moons"
    assert (run / MARKER).exists()


@pytest.mark.parametrize("kept", ["metrics.jsonl", "model.safetensors"])
def test_one_file_beside_its_config_tells_a_run_of_an_earlier_version(run, kept):
    for path in without_marker(run).iterdir():
        if path.is_file() and path.name not in ("config.yaml", kept):
            path.unlink()
    assert overwrite(run) == 0


@pytest.mark.parametrize(
    "config",
    [
        "services: {web: {image: nginx}}\n",
        "site_name: my documentation\n",
        "steps: 5\ndata: 8gaussians\n",
        "",
        "- a\n- list\n",
        "{not yaml",
        None,
    ],
)
@pytest.mark.parametrize("beside", ["thesis.tex", "metrics.jsonl", "summary.json", "model.safetensors"])
def test_a_config_that_no_run_wrote_is_not_replaced(config, beside, template, tmp_path, capsys):
    """Whatever else is there: even a file of a run beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    if config is not None:
        (folder / "config.yaml").write_text(config)
    if (template / beside).exists():
        shutil.copy(template / beside, folder)
    else:
        (folder / beside).write_text("mine")
    assert "is not a run" in refused(capsys, folder)


def test_a_config_of_init_config_is_no_run(tmp_path, capsys):
    assert main(["init-config", "--to", str(tmp_path / "config.yaml")]) == 0
    assert "is not a run" in refused(capsys, tmp_path)
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1.0}\n')
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    (tmp_path / "checkpoint.safetensors").write_text("somebody else's")
    assert "is not a run" in refused(capsys, tmp_path)


def test_a_config_that_took_the_place_of_the_runs_is_not_deleted(run, capsys):
    (run / "config.yaml").write_text("services: {web: {image: nginx}}")
    assert "its config.yaml is not one that a run wrote" in refused(capsys, run)
    (run / "config.yaml").unlink()
    assert overwrite(run) == 0


@pytest.mark.parametrize(
    "marker", ["", "[]", "{}", '{"format": "their-run"}', '{"format": "contrastive-run-2"}', "\x00\x01"]
)
def test_a_marker_of_another_kind_is_not_replaced(marker, run, capsys):
    (run / MARKER).write_text(marker)
    assert "is not of the format contrastive-run-1" in refused(capsys, run)


@pytest.mark.parametrize(
    "name", ["", "plots", "plots/samples", "tensorboard", "config.yaml", "model.safetensors", MARKER]
)
def test_overwrite_follows_no_symbolic_link(name, run, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    path = run / name if name else run
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.rename(elsewhere)
    else:
        elsewhere.mkdir()
        (elsewhere / "000050.png").write_text("mine")
        (elsewhere / "curves.png").write_text("mine")
        (elsewhere / "events.out.tfevents.1").write_text("mine")
    path.symlink_to(elsewhere, target_is_directory=elsewhere.is_dir())
    before = contents(elsewhere)
    assert "symbolic link" in refused(capsys, run, keeps=tmp_path)
    assert contents(elsewhere) == before


def test_a_folder_with_the_name_of_a_file_is_refused(run, capsys):
    (run / "report.html").mkdir()
    (run / "report.html" / "mine.txt").write_text("mine")
    assert "not a plain file" in refused(capsys, run)


def test_overwrite_of_the_working_directory_leaves_what_is_there(run, monkeypatch):
    monkeypatch.chdir(run)
    (run / "mine.txt").write_text("mine")
    assert overwrite(".") == 0
    assert data_of(run) == "moons"
    assert (run / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("place", ["/", ".", "~"])
def test_a_directory_that_is_no_run_is_not_emptied(place, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    refused(capsys, tmp_path if place == "~" else place, keeps=tmp_path)


def test_data_inside_the_run_are_fitted_and_kept(run):
    rows = "\n".join(f"{i % 7},{i % 11}" for i in range(200))
    (run / "table.csv").write_text(f"a,b\n{rows}\n")
    assert overwrite(run, "--data", run / "table.csv") == 0
    assert (run / "table.csv").read_text() == f"a,b\n{rows}\n"


@pytest.mark.parametrize("folder", ["plots", "plots/samples", "."])
def test_pictures_of_the_old_run_that_are_the_data_are_kept(folder, run, capsys):
    (run / "plots" / "samples").mkdir(parents=True)
    (run / "plots" / "samples" / "000050.png").write_bytes(b"a picture")
    assert "the data" in refused(capsys, run, "--data", run / folder)


def test_what_only_a_marker_is_in_is_free(tmp_path):
    """A run that was killed as it began."""
    (tmp_path / MARKER).write_text('{"format": "contrastive-run-1", "version": "0.1.0"}')
    fit("8gaussians", out=str(tmp_path), **QUICK)
    load(tmp_path)


@pytest.mark.parametrize("name", [".notes.tmp", ".thesis.tex.4711.tmp", ".config.yaml.tmp", ".config.yaml.mine.tmp"])
def test_a_hidden_file_of_somebody_else_is_no_half_written_one(name, run, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / name).write_text("mine")
    with pytest.raises(ContrastiveError, match="exists already"):
        fit("8gaussians", out=str(tmp_path / "other"), **QUICK)
    (run / name).write_text("mine")
    (run / ".metrics.jsonl.4711.tmp").write_text("half")
    RunDirectory(run).rewind(1)
    assert (run / name).read_text() == "mine"
    assert not (run / ".metrics.jsonl.4711.tmp").exists()


# Files that other commands write --------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    """A run with classes, fitted to the table that is returned."""
    rows = torch.randn(120, 2, generator=torch.Generator().manual_seed(0)).tolist()
    path = tmp_path / "table.csv"
    path.write_text("a,b,kind\n" + "".join(f"{a},{b},{'xy'[a > 0]}\n" for a, b in rows))
    fit(path, label_column="kind", noise="diag-gaussian", out=str(tmp_path / "classes"), **QUICK)
    return path


def test_no_command_writes_over_its_data(table, tmp_path, capsys):
    before, run = table.read_bytes(), tmp_path / "classes"
    (tmp_path / "link.csv").symlink_to(table)
    for out in (table, tmp_path / "link.csv"):
        for command in (["predict", run, "--data", table], ["sample", run, "--from", "noise"]):
            assert "would replace the data" in runs.refused(capsys, *command, "--out", out, "--overwrite")
    assert main(["predict", str(run), "--data", str(table), "--out", str(tmp_path / "p.csv")]) == 0
    assert table.read_bytes() == before


def test_a_file_replaces_a_link_and_not_what_it_leads_to(run, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text("mine")
    for target in ("mine.csv", "absent.csv"):
        link = tmp_path / f"link-to-{target}"
        link.symlink_to(tmp_path / target)
        command = ["sample", str(run), "--from", "noise", "--out", str(link)]
        assert "exists already" in runs.refused(capsys, *command)
        assert main([*command, "--overwrite"]) == 0
        assert not link.is_symlink()
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert not (tmp_path / "absent.csv").exists()
    (tmp_path / "folder.csv").mkdir()
    assert "is a directory" in runs.refused(capsys, "sample", run, "--out", tmp_path / "folder.csv", "--overwrite")


def test_a_report_replaces_a_report_and_nothing_else(run, tmp_path, capsys):
    for path in (tmp_path / "thesis.html", run / "report.html"):
        path.write_text("<html>years of work</html>")
        out = [] if path.parent == run else ["--out", path]
        assert "no report of ours" in runs.refused(capsys, "plot", run, *out)
        assert path.read_text() == "<html>years of work</html>"
        path.unlink()
        for _ in range(2):
            assert main(["plot", *map(str, [run, *out])]) == 0
