"""`contrastive score`: a row in, a row out."""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.runs import refused

import contrastive
from contrastive.cli import score
from contrastive.cli.main import main
from contrastive.training.held_out import read_held_out
from contrastive.training.run_directory import RunDirectory

COLUMNS = ["log_p", "log_q", "hdr_level"]


def correlated(rows, seed):
    """Columns a and b have correlation 0.99, c is on its own and in other units."""
    z = np.random.default_rng(seed).normal(size=(rows, 3))
    return pd.DataFrame({"a": z[:, 0], "b": z[:, 0] + 0.14 * z[:, 1], "c": 50 + 10 * z[:, 2]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose energy begins as a Gaussian, which the table is; and another table to be scored."""
    folder = tmp_path_factory.mktemp("score")
    correlated(600, 0).to_csv(folder / "table.csv", index=False)
    correlated(45, 1).to_csv(folder / "new.csv", index=False)
    settings = {"noise": "gaussian", "energy": "tilted", "steps": 50, "log_partition_draws": 2000, "quiet": True}
    contrastive.fit(folder / "table.csv", out=str(folder / "run"), **settings)
    return folder


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(score, "_ROWS", 10)
    monkeypatch.setattr(score, "_WRITTEN_ROWS", 7)


def scored(run, data, out, *words):
    """The columns that the command writes."""
    assert main(["score", str(run), "--data", str(data), "--out", str(out), *map(str, words)]) == 0
    assert not out.with_name(f"{out.name}.partial").exists()
    if out.suffix == ".npy":
        return pd.DataFrame(np.load(out))
    return pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out)


@pytest.mark.parametrize("out", ["scores.csv", "scores.parquet", "scores.npy"])
def test_scores_are_those_of_the_estimator_in_the_order_of_the_rows(folder, tmp_path, out, capsys):
    found = scored(folder / "run", folder / "new.csv", tmp_path / out)
    estimator, directory = contrastive.load(folder / "run"), RunDirectory(folder / "run")
    high = directory.read_summary()["log_partition_high"]
    x = torch.from_numpy(correlated(45, 1).to_numpy(copy=True))
    held_out = read_held_out(directory, estimator.columns).x
    log_p, reference = (estimator.unnormalized_log_prob(rows).double() - high for rows in (x, held_out))
    assert list(found) == COLUMNS
    assert found.log_p.to_numpy() == pytest.approx(log_p.numpy(), abs=1e-4)
    assert found.log_q.to_numpy() == pytest.approx(estimator.noise_log_prob(x).numpy(), abs=1e-4)
    more_likely = (reference > log_p.unsqueeze(1)).double().mean(1)
    assert found.hdr_level.to_numpy() == pytest.approx(more_likely.numpy(), abs=1.5 / len(held_out))
    assert 0 <= found.hdr_level.min() < 0.3 < 0.7 < found.hdr_level.max() <= 1
    printed = capsys.readouterr().out
    assert f"f less {high:.4f}, the upper end of log Z's interval" in printed
    assert f"{len(held_out)} held-out rows that are more likely" in printed


def test_every_kind_of_file_gives_the_same_scores(folder, tmp_path):
    frame = correlated(45, 1)
    expected = scored(folder / "run", folder / "new.csv", tmp_path / "csv.csv")
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    frame.to_csv(tmp_path / "semicolons.csv", index=False, sep=";", decimal=",")
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=8)
    np.save(tmp_path / "t.npy", frame.to_numpy())
    np.savez(tmp_path / "t.npz", frame.to_numpy())
    for name in ("t.csv.gz", "semicolons.csv", "t.parquet", "t.npy", "t.npz"):
        pd.testing.assert_frame_equal(scored(folder / "run", tmp_path / name, tmp_path / f"{name}.out.csv"), expected)


def test_columns_are_found_by_name(folder, tmp_path, capsys):
    frame = correlated(45, 1)
    expected = scored(folder / "run", folder / "new.csv", tmp_path / "expected.csv")
    capsys.readouterr()
    frame.assign(kind="word")[["c", "kind", "b", "a"]].to_csv(tmp_path / "other.csv", index=False)
    pd.testing.assert_frame_equal(scored(folder / "run", tmp_path / "other.csv", tmp_path / "o.csv"), expected)
    assert "ignored the columns 'kind'" in capsys.readouterr().err
    frame[["c", "a"]].to_csv(tmp_path / "fewer.csv", index=False)
    words = ("score", folder / "run", "--data", tmp_path / "fewer.csv", "--out", tmp_path / "f.csv")
    assert "no column 'b'" in refused(capsys, *words)
    np.save(tmp_path / "two.npy", frame.to_numpy()[:, :2])
    words = ("score", folder / "run", "--data", tmp_path / "two.npy", "--out", tmp_path / "f.csv")
    assert "rows of shape (2,)" in refused(capsys, *words)


def test_rows_with_missing_entries_have_empty_cells(folder, tmp_path, capsys):
    frame = correlated(45, 1)
    expected = scored(folder / "run", folder / "new.csv", tmp_path / "expected.csv")
    frame.loc[12, "b"], frame.loc[30, "a"] = np.nan, np.inf
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    capsys.readouterr()
    found = scored(folder / "run", tmp_path / "gaps.csv", tmp_path / "s.csv", "--top", 3)
    said = capsys.readouterr().err
    assert "2 of 45 rows have missing or infinite entries, the first is row 13; their cells are empty" in said
    with (tmp_path / "s.csv").open() as handle:
        lines = list(csv.reader(handle))
    assert lines[13] == lines[31] == ["", "", ""]
    assert len(lines) == 46
    pd.testing.assert_frame_equal(found.drop([12, 30]), expected.drop([12, 30]))


def test_the_rarest_rows_are_shown_with_the_columns_that_make_them_so(folder, tmp_path, capsys):
    frame = correlated(45, 1)
    frame.loc[7, "c"] = 130.0
    frame.loc[33, ["a", "b"]] = [1.2, -1.2]  # each as others have it, but not both
    frame.to_csv(tmp_path / "planted.csv", index=False)
    scored(folder / "run", tmp_path / "planted.csv", tmp_path / "s.csv", "--top", 2)
    lines = capsys.readouterr().out.splitlines()[-2:]
    rows = {int(line.split()[0]): line.split()[3::2] for line in lines}
    gains = {int(line.split()[0]): [float(gain.strip(",")) for gain in line.split()[4::2]] for line in lines}
    assert set(rows) == {8, 34}
    assert rows[8][0] == "c"
    assert set(rows[34][:2]) == {"a", "b"}
    assert gains[8][0] > 10 > 3 > max(map(abs, gains[8][1:]))
    assert min(gains[34][:2]) > 10 > 3 > abs(gains[34][2])


def test_the_columns_of_an_array_are_called_as_those_of_the_run(folder, tmp_path, capsys):
    x = correlated(45, 1).to_numpy(copy=True)
    x[7, 2] = 130.0
    np.save(tmp_path / "t.npy", x)
    scored(folder / "run", tmp_path / "t.npy", tmp_path / "s.npy", "--top", 1)
    assert capsys.readouterr().out.splitlines()[-1].split()[::3][:2] == ["8", "c"]


def test_without_an_interval_log_p_is_by_the_learned_c(folder, tmp_path, capsys):
    run = tmp_path / "run"
    contrastive.fit(folder / "table.csv", noise="gaussian", steps=5, log_partition_draws=0, out=str(run), quiet=True)
    found = scored(run, folder / "new.csv", tmp_path / "s.csv")
    assert "log_p: by the learned c = " in capsys.readouterr().out
    estimator = contrastive.load(run)
    assert found.log_p.to_numpy() == pytest.approx(estimator.score_samples(folder / "new.csv"), abs=1e-4)


def test_a_run_of_classes_scores_their_mixture(folder, tmp_path, capsys):
    frame, run = correlated(300, 2), tmp_path / "run"
    frame.assign(kind=np.where(frame.c > 50, "high", "low")).to_csv(tmp_path / "labelled.csv", index=False)
    contrastive.fit(
        tmp_path / "labelled.csv", label_column="kind", steps=20, log_partition_draws=1000, out=str(run), quiet=True
    )
    with_labels = scored(run, tmp_path / "labelled.csv", tmp_path / "s.csv")
    assert "ignored" not in capsys.readouterr().err
    estimator = contrastive.load(run)
    high = torch.tensor(RunDirectory(run).read_summary()["log_partition_high"])
    f = estimator.unnormalized_log_prob(torch.from_numpy(frame.to_numpy()))
    expected = (f - high + estimator.log_class_prior).logsumexp(1)
    assert with_labels.log_p.to_numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_runs_of_arrays_score_arrays_and_tables_of_as_many_columns(folder, tmp_path):
    run, x = tmp_path / "run", correlated(200, 3).to_numpy()
    contrastive.fit(x, noise="gaussian", steps=5, log_partition_draws=0, out=str(run), quiet=True)
    np.save(tmp_path / "t.npy", x[:23])
    pd.DataFrame(x[:23], columns=["p", "q", "r"]).to_csv(tmp_path / "t.csv", index=False)
    by_array = scored(run, tmp_path / "t.npy", tmp_path / "a.npy")
    by_table = scored(run, tmp_path / "t.csv", tmp_path / "b.npy")
    np.testing.assert_allclose(by_array, by_table)
    assert by_array.log_p.to_numpy() == pytest.approx(contrastive.load(run).score_samples(x[:23]), abs=1e-4)


def stopped(monkeypatch, words, after):
    """The command, interrupted after so many blocks."""
    scores, calls = score._Scorer.scores, []

    def interrupted(self, x):
        calls.append(len(x))
        if len(calls) > after:
            raise KeyboardInterrupt
        return scores(self, x)

    with monkeypatch.context() as patched:
        patched.setattr(score._Scorer, "scores", interrupted)
        assert main(words) == 130


def counted(monkeypatch):
    """The rows that each block scores from now on."""
    scores, calls = score._Scorer.scores, []
    monkeypatch.setattr(score._Scorer, "scores", lambda self, x: calls.append(len(x)) or scores(self, x))
    return calls


def test_a_stopped_command_goes_on_where_it_was(folder, tmp_path, monkeypatch, capsys):
    expected = scored(folder / "run", folder / "new.csv", tmp_path / "expected.csv")
    out = tmp_path / "s.csv"
    words = ["score", str(folder / "run"), "--data", str(folder / "new.csv"), "--out", str(out)]
    stopped(monkeypatch, words, after=2)
    assert "20 of 45 rows are scored: go on with --resume" in capsys.readouterr().err
    assert not out.exists()
    with (tmp_path / "s.csv.partial").open("ab") as handle:
        handle.write(b"half a row")
    assert "go on with --resume, or begin again with --overwrite" in refused(capsys, *words)
    calls = counted(monkeypatch)
    pd.testing.assert_frame_equal(scored(folder / "run", folder / "new.csv", out, "--resume", "--top", 3), expected)
    assert calls == [10, 10, 5]
    least = expected.log_p.nsmallest(3).index + 1  # of rows scored before as well
    assert [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()[-3:]] == least.tolist()


def test_a_stopped_command_does_not_go_on_with_other_data_or_another_model(folder, tmp_path, monkeypatch, capsys):
    run, data, out = tmp_path / "run", tmp_path / "new.csv", tmp_path / "s.csv"
    shutil.copytree(folder / "run", run)
    shutil.copy(folder / "new.csv", data)
    words = ["score", str(run), "--data", str(data), "--out", str(out)]
    stopped(monkeypatch, words, after=2)
    capsys.readouterr()
    assert main(["normalizer", str(run), "--method", "importance", "--draws", "1000"]) == 0
    capsys.readouterr()
    assert "by another run, or these have changed" in refused(capsys, *words, "--resume")
    stopped(monkeypatch, [*words, "--overwrite"], after=1)
    correlated(45, 9).to_csv(data, index=False)
    capsys.readouterr()
    assert "computed from other data" in refused(capsys, *words, "--resume")
    calls = counted(monkeypatch)
    scored(run, data, out, "--overwrite")
    assert sum(calls) == 45


def test_a_command_that_was_stopped_at_once_leaves_nothing(folder, tmp_path, monkeypatch, capsys):
    words = ["score", str(folder / "run"), "--data", str(folder / "new.csv"), "--out", str(tmp_path / "s.csv")]
    stopped(monkeypatch, words, after=0)
    assert "--resume" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_resume_without_a_beginning_begins(folder, tmp_path):
    assert len(scored(folder / "run", folder / "new.csv", tmp_path / "s.csv", "--resume")) == 45


def test_no_file_is_replaced_that_should_not_be(folder, tmp_path, capsys):
    data = tmp_path / "new.csv"
    shutil.copy(folder / "new.csv", data)
    words = ["score", folder / "run", "--data", data, "--out"]
    assert "would replace the data" in refused(capsys, *words, data, "--overwrite")
    assert "would replace the data" in refused(capsys, *words, folder / "table.csv", "--overwrite")
    assert "expected a .csv, .parquet or .npy file" in refused(capsys, *words, tmp_path / "s.txt")
    (tmp_path / "s.csv").write_text("mine")
    assert "exists already" in refused(capsys, *words, tmp_path / "s.csv")
    assert "exists already" in refused(capsys, *words, tmp_path / "s.csv", "--resume")
    (tmp_path / "t.csv.partial").write_text("mine")
    assert "is in the way" in refused(capsys, *words, tmp_path / "t.csv", "--overwrite")
    assert (tmp_path / "t.csv.partial").read_text() == "mine"
    assert len(scored(folder / "run", data, tmp_path / "s.csv", "--overwrite")) == 45
    assert "--top must be at least 0" in refused(capsys, *words, tmp_path / "u.csv", "--top", "-1")
    assert "no file" in refused(capsys, "score", folder / "run", "--data", "none.csv", "--out", tmp_path / "u.csv")


def test_a_damaged_table_is_refused_before_a_row_is_scored(folder, tmp_path, capsys, monkeypatch):
    calls = counted(monkeypatch)
    (tmp_path / "bad.csv").write_text((folder / "new.csv").read_text() + "1,2\n")
    words = ["score", folder / "run", "--data", tmp_path / "bad.csv", "--out", tmp_path / "s.csv"]
    assert "line 47: 2 fields, but the header has 3" in refused(capsys, *words)
    assert not calls
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_without_the_runs_data_levels_are_empty_and_said_so(folder, tmp_path, capsys):
    run = tmp_path / "run"
    correlated(200, 0).to_csv(tmp_path / "gone.csv", index=False)
    contrastive.fit(tmp_path / "gone.csv", noise="gaussian", steps=5, out=str(run), quiet=True, log_partition_draws=0)
    (tmp_path / "gone.csv").unlink()
    capsys.readouterr()
    found = scored(run, folder / "new.csv", tmp_path / "s.csv", "--top", 2)
    said = capsys.readouterr()
    assert "hdr_level stays empty" in said.err
    assert found.hdr_level.isna().all()
    assert found.log_p.notna().all()
    assert len(said.out.splitlines()[-1].split()) == 2  # row and log p


def test_images_are_refused(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, size=(120, 8, 8), dtype=np.uint8)
    run = tmp_path / "run"
    contrastive.fit(images, noise="diag-gaussian", energy="tilted", steps=2, out=str(run), quiet=True)
    np.save(tmp_path / "t.npy", np.zeros((3, 16)))
    words = ("score", run, "--data", tmp_path / "t.npy", "--out", tmp_path / "s.csv")
    assert "run of images" in refused(capsys, *words)
