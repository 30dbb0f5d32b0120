"""Tables of every format, and files that are damaged or none."""

import gzip
import os
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers.tables import refused
from hypothesis import given
from hypothesis import strategies as st

from contrastive.data.tables import check, column_names, from_array, read_table
from contrastive.errors import ContrastiveError, ContrastiveWarning


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".npy", ".npz"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, suffix):
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"device{suffix}").symlink_to("/dev/zero")
    (tmp_path / f"folder{suffix}").mkdir()
    (tmp_path / f"gone{suffix}").symlink_to(tmp_path / "nothing")
    for name, message in {"pipe": "a pipe or a device", "device": "a pipe", "folder": "a folder"}.items():
        refused(tmp_path / f"{name}{suffix}", message)
        with pytest.raises(ContrastiveError, match=message):
            column_names(tmp_path / f"{name}{suffix}")
    refused(tmp_path / f"gone{suffix}", "there is no file")


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("valid")
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 2)), columns=["a", "b"])
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet")
    np.save(folder / "t.npy", frame.to_numpy())
    np.savez_compressed(folder / "t.npz", x=frame.to_numpy())
    (folder / "t.csv.gz").write_bytes(gzip.compress((folder / "t.csv").read_bytes(), mtime=0))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@given(
    st.sampled_from(["t.csv", "t.parquet", "t.npy", "t.npz", "t.csv.gz"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
def test_a_damaged_file_is_read_or_refused_in_a_line(valid, tmp_path_factory, name, changes, kept):
    content = bytearray(valid[name])
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(content[: max(1, int(kept * len(content)))] if kept < 0.5 else content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ContrastiveWarning)
        try:
            check(read_table(path))
        except ContrastiveError as error:
            assert "\n" not in str(error)  # noqa: PT017 - what is asked is that nothing else is raised


@pytest.fixture
def frame():
    return pd.DataFrame({"a": [1.0, 2.0, 3.5], "b": [4, 5, 7], "c": [0.1, 0.2, 0.4]})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_of_every_format(tmp_path, frame, suffix):
    path = tmp_path / f"table{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    table = read_table(path)
    assert table.columns == ["a", "b", "c"]
    np.testing.assert_allclose(table.values, frame.to_numpy())
    picked = read_table(path, "c, a")
    np.testing.assert_allclose(picked.values, frame[["c", "a"]].to_numpy())


def test_arrays_of_every_format(tmp_path, frame):
    values = frame.to_numpy()
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_allclose(read_table(tmp_path / "x.npy").values, values)
    np.savez(tmp_path / "one.npz", rows=values)
    np.testing.assert_allclose(read_table(tmp_path / "one.npz").values, values)
    np.savez(tmp_path / "two.npz", rows=values, other=values)
    np.testing.assert_allclose(read_table(tmp_path / "two.npz", "rows").values, values)
    with pytest.raises(ContrastiveError, match="rows, other: pick one"):
        read_table(tmp_path / "two.npz")
    assert from_array([1.0, 2.0]).values.shape == (2, 1)


def broken(path):
    path.write_bytes(path.read_bytes()[:40])
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".parquet"])
def test_truncated_files_are_refused_in_a_sentence(tmp_path, frame, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".npy":
        np.save(path, frame.to_numpy())
    else:
        np.savez(path, rows=frame.to_numpy())
    with pytest.raises(ContrastiveError, match="cannot read"):
        read_table(broken(path))


def test_bad_tables_are_refused_in_a_sentence(tmp_path, frame):
    cases = {
        "there is no file": tmp_path / "absent.csv",
        "expected one of": tmp_path / "table.xlsx",
        "not numeric: name": tmp_path / "text.csv",
        "it holds Python objects, expected numbers": tmp_path / "objects.npy",
        "objects.npz: it holds Python objects": tmp_path / "objects.npz",
        "text.npy: it is damaged, or no file that numpy.save has written": tmp_path / "text.npy",
        "empty.npz: it is damaged, or no file that numpy.savez has written": tmp_path / "empty.npz",
    }
    frame.assign(name="x").to_csv(cases["not numeric: name"], index=False)
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, {}]))
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "empty.npz").touch()
    for message, path in cases.items():
        with pytest.raises(ContrastiveError, match=message):
            read_table(path)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ContrastiveError, match=r"no column 'aa'; did you mean 'a'"):
        read_table(tmp_path / "t.csv", "aa")
