"""`contrastive ratio`."""

import json

import numpy as np
import pandas as pd
import pytest

from contrastive.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("ratio"), np.random.default_rng(0)
    a = pd.DataFrame({"age": rng.normal(40, 10, 200), "height": rng.normal(170, 8, 200), "id": range(200)})
    b = pd.DataFrame({"height": rng.normal(172, 8, 300), "age": rng.normal(50, 10, 300), "id": range(300)})
    a.to_csv(path / "a.csv", index=False)
    b.to_csv(path / "b.csv", index=False)
    return path


def test_two_tables_give_a_report_and_a_directory(folder, tmp_path, capsys):
    out = tmp_path / "ratio"
    command = ["ratio", f"{folder}/a.csv", f"{folder}/b.csv", "--columns", "age,height", "--quiet", "--out", str(out)]
    assert main([*command, "--steps", "100"]) == 0
    said = capsys.readouterr().out
    for words in (
        "log-ratio of A to B in 2 columns",
        "KL(A || B) at least",
        "different (level 0.05)",
        "effective size",
    ):
        assert words in said
    assert {path.name for path in out.iterdir()} == {"summary.json", "a.csv", "b.csv", "calibration.png"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["columns"] == ["age", "height"]
    assert summary["test_rejects"] is True
    b = pd.read_csv(out / "b.csv")
    assert list(b.columns) == ["age", "height", "log_ratio", "weight", "held_out"]
    np.testing.assert_allclose(b[["age", "height"]], pd.read_csv(folder / "b.csv")[["age", "height"]], rtol=1e-8)
    assert b["weight"].mean() == pytest.approx(1)
    assert (np.log(b["weight"]) - b["log_ratio"]).std() < 1e-5
    assert b["held_out"].sum() == 75
    assert (b["age"] * b["weight"]).mean() < b["age"].mean() - 5  # towards A
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    assert main([*command[:-1], str(tmp_path / "mine"), "--overwrite"]) == 2
    assert "holds no ratio" in capsys.readouterr().err


def test_one_table_gives_mutual_information_as_json(folder, capsys):
    command = ["ratio", f"{folder}/a.csv", "--independent", "age", "height,id", "--quiet", "--json"]
    assert main([*command, "--objective", "balanced", "--objective.weight", "10", "--steps", "30"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["sides"] == [["age"], ["height", "id"]]
    assert summary["kl_low"] <= summary["kl"] <= summary["kl_high"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.csv"], "give two tables, A.csv B.csv, or one and --independent X Y"),
        (["a.csv", "missing.csv"], "missing.csv"),
        (["a.csv", "--independent", "age", "age"], "named twice"),
        (["a.csv", "--independent", "age,height", ""], "all columns are on one side"),
        (["a.csv", "b.csv", "--noise.width", "3"], "a ratio has no noise"),
        (["a.csv", "b.csv", "--objective", "conditional"], "never looks at B"),
        (["a.csv", "b.csv", "--independant", "age", "id"], "did you mean '--independent'"),
        (["a.csv", "b.csv", "--out", "a.csv"], "is a file: give a directory"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_code_2(folder, capsys, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    assert main(["ratio", *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
