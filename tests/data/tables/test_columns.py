"""Columns are found by name, in files and in data frames."""

import numpy as np
import pandas as pd
import pytest
import torch

import contrastive
from contrastive.cli.main import main
from contrastive.errors import ContrastiveError, ContrastiveWarning

QUICK = ["--steps", "30", "--no-report", "--quiet"]


def frame(rows=80):
    rng = np.random.default_rng(0)
    height = rng.normal(170, 10, rows).round(2)
    species = np.where(height > 170, "tall", "short")
    table = pd.DataFrame({"height": height, "income": (300 * height + rng.normal(0, 900, rows)).round(1)})
    return table, species


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    table, species = frame()
    table.assign(species=species).to_csv(folder / "table.csv", index=False)
    command = ["fit", "--data", str(folder / "table.csv"), "--label-column", "species", "--noise", "gaussian"]
    assert main([*command, "--out", str(folder / "run"), *QUICK]) == 0
    return folder, table


def evaluated(folder, path, capsys, *options):
    code = main(["evaluate", str(folder / "run"), "--data", str(path), "--json", *options])
    output = capsys.readouterr()
    return code, output.out, output.err


def test_swapped_columns_are_put_in_order(fitted, capsys):
    folder, table = fitted
    table.to_csv(folder / "same.csv", index=False)
    table[["income", "height"]].to_csv(folder / "swapped.csv", index=False)
    (code, same, _), (other, swapped, _) = (evaluated(folder, folder / f"{n}.csv", capsys) for n in ("same", "swapped"))
    assert code == other == 0
    assert same == swapped


def test_predictions_and_features_do_not_depend_on_the_order_of_columns(fitted, capsys):
    folder, table = fitted
    found = []
    for name, columns in (("a", ["height", "income"]), ("b", ["income", "height"])):
        table[columns].to_parquet(folder / f"{name}.parquet")
        data = ["--data", str(folder / f"{name}.parquet"), "--overwrite", "--out"]
        assert main(["predict", str(folder / "run"), *data, str(folder / f"{name}.csv")]) == 0
        assert main(["features", str(folder / "run"), *data, str(folder / f"{name}.npz")]) == 0
        with np.load(folder / f"{name}.npz") as arrays:
            found.append(((folder / f"{name}.csv").read_text(), arrays["features"].tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("command", ["evaluate", "predict", "features"])
def test_a_missing_column_is_named(fitted, capsys, command):
    folder, table = fitted
    table.rename(columns={"height": "hight"}).to_csv(folder / "other.csv", index=False)
    out = [] if command == "evaluate" else ["--out", str(folder / f"never-{command}.npz")]
    assert main([command, str(folder / "run"), "--data", str(folder / "other.csv"), *out]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "has no column 'height'; did you mean 'hight'?" in error
    assert not (folder / f"never-{command}.npz").exists()


def test_all_missing_columns_are_named(fitted, capsys):
    folder, table = fitted
    table.rename(columns={"height": "a", "income": "b"}).to_csv(folder / "none.csv", index=False)
    code, _, error = evaluated(folder, folder / "none.csv", capsys)
    assert code == 2
    assert "no columns 'height', 'income'; it has 'a', 'b'" in error


def test_ignored_columns_are_said(fitted, capsys):
    folder, table = fitted
    table.assign(note="words", extra=1.0).to_csv(folder / "more.csv", index=False)
    code, _, error = evaluated(folder, folder / "more.csv", capsys)
    assert code == 0
    assert error.startswith("contrastive: warning: ")
    assert "ignored the columns 'note', 'extra'" in error


def test_other_columns_cannot_be_named_in_the_place_of_the_runs(fitted, capsys):
    folder, table = fitted
    table.assign(extra=1.0).to_csv(folder / "named.csv", index=False)
    code, _, error = evaluated(folder, folder / "named.csv", capsys, "--columns", "height,extra")
    assert code == 2
    assert "the run was fitted to 'height', 'income'" in error
    code, _, error = evaluated(folder, folder / "named.csv", capsys, "--columns", "income,height")
    assert code == 0
    assert "'extra'" in error


def test_arrays_are_matched_by_number_of_columns(fitted, capsys):
    folder, table = fitted
    np.save(folder / "two.npy", table.to_numpy())
    np.save(folder / "three.npy", np.ones((5, 3)))
    table.to_csv(folder / "same.csv", index=False)
    (code, array, _), (_, named, _) = (evaluated(folder, folder / n, capsys) for n in ("two.npy", "same.csv"))
    assert code == 0
    assert array == named
    code, _, error = evaluated(folder, folder / "three.npy", capsys)
    assert code == 2
    assert "shape (3,)" in error


def test_a_file_whose_columns_changed_places_is_evaluated_as_before(tmp_path, capsys):
    table, _ = frame()
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    assert main(["fit", "--data", str(path), "--out", str(tmp_path / "run"), *QUICK]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    before = capsys.readouterr().out
    table[["income", "height"]].to_csv(path, index=False)
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert capsys.readouterr().out == before


def test_data_frames_are_matched_by_name(tmp_path):
    table, _ = frame()
    estimator = contrastive.fit(table, steps=30, quiet=True, out=str(tmp_path / "run"))
    expected = estimator.log_prob(table.to_numpy())
    for model in (estimator, contrastive.load(tmp_path / "run")):
        assert torch.equal(model.log_prob(table[["income", "height"]]), expected)
        with pytest.raises(ContrastiveError, match="no column 'income'"):
            model.log_prob(table.rename(columns={"income": "wealth"}))
        with pytest.warns(ContrastiveWarning, match="ignored the columns 'word'"):
            assert torch.equal(model.log_prob(table.assign(word="a")), expected)


def test_a_data_frame_may_hold_the_labels():
    table, species = frame()
    labelled = table.assign(species=species)
    estimator = contrastive.fit(labelled, label_column="species", steps=30, quiet=True)
    assert estimator.columns == ("height", "income")
    assert estimator.predict_proba(table).shape == (80, 2)


def test_a_run_of_an_earlier_version_knows_its_columns(fitted):
    """Their summaries do not say whether columns have names: those of files had."""
    from contrastive.api import _named_columns
    from contrastive.config import configure

    summary = {"columns": ["a", "b"]}
    assert _named_columns(configure(data="table.csv"), summary) == ("a", "b")
    assert _named_columns(configure(data="ndarray"), summary) is None
    assert _named_columns(configure(data="moons"), summary) is None
