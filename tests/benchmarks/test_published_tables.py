"""The published tables: which rows and columns stay, how they are scaled, and what is said of a missing file."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.lib.published_sets import SETS, read_set
from benchmarks.library.published_tables import PUBLISHED, table, write_small_sets
from contrastive.errors import ContrastiveError

COLUMNS = {"power": 6, "gas": 4, "hepmass": 3, "miniboone": 6, "bsds300": 7}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maf")
    write_small_sets(folder, rows=400)
    return folder


@pytest.mark.parametrize("name", SETS)
def test_shapes(root, name):
    splits = read_set(name, root)
    assert {part.shape[1] for part in splits} == {COLUMNS[name]}
    assert all(part.dtype == np.float64 for part in splits)
    if name in ("power", "gas", "miniboone"):
        assert [len(part) for part in splits] == [324, 36, 40]


@pytest.mark.parametrize("name", ["power", "gas", "hepmass", "miniboone"])
def test_splits_have_no_row_in_common(root, name):
    parts = [{tuple(row) for row in part} for part in read_set(name, root)]
    if name == "hepmass":  # its test file is drawn from the same rows here
        parts = parts[:2]
    assert len(set.union(*parts)) == sum(len(part) for part in parts)


@pytest.mark.parametrize(("name", "of"), [("power", 2), ("miniboone", 2), ("hepmass", 2), ("gas", 3)])
def test_columns_are_standardised_by_training_and_validation_rows_of_gas_by_all(root, name, of):
    rows = np.vstack(read_set(name, root)[:of])
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(rows.std(0, ddof=int(name in ("gas", "hepmass"))), 1, atol=1e-12)


def test_power_is_shuffled_loses_two_columns_and_gets_the_noise_of_its_rounding(tmp_path):
    (tmp_path / "power").mkdir()
    x = np.arange(8000.0).reshape(1000, 8) * 10
    np.save(tmp_path / "power" / "data.npy", x)
    train, validation, test = read_set("power", tmp_path)
    both = np.vstack([train, validation])
    time = np.concatenate([both, test])[:, 5]  # it gets no noise: its ranks are the rows
    order = np.argsort(np.argsort(time))
    expected = np.arange(1000)
    np.random.RandomState(42).shuffle(expected)
    np.testing.assert_array_equal(order, expected)
    raw = x[expected[:900]][:, [0, 2, 4, 5, 6, 7]]
    noise = both * raw.std(0) + raw.mean(0) - raw  # but for what the noise adds to mean and deviation
    widths = np.ptp(noise - noise.mean(0), axis=0)
    np.testing.assert_allclose(widths, [0.001, 0.01, 1, 1, 1, 0], rtol=0.05, atol=1e-3)


def test_gas_loses_the_first_of_two_correlated_sensors_and_all_that_is_no_sensor(root):
    table = pd.read_csv(root / "gas" / "ethylene_CO.csv")
    kept = table[["s1", "s2", "s3", "s4"]]
    expected = ((kept - kept.mean()) / kept.std()).to_numpy()
    np.testing.assert_allclose(np.vstack(read_set("gas", root)), expected)


def test_gas_is_the_same_from_npy(root, tmp_path):
    (tmp_path / "gas").mkdir()
    np.save(tmp_path / "gas" / "ethylene_CO.npy", pd.read_csv(root / "gas" / "ethylene_CO.csv").to_numpy())
    for a, b in zip(read_set("gas", tmp_path), read_set("gas", root)):
        np.testing.assert_allclose(a, b)


def test_hepmass_keeps_signal_and_columns_without_ties(root):
    train, validation, test = read_set("hepmass", root)
    signal = {
        part: frame[frame["# label"] == 1][["f0", "f1", "f3"]].to_numpy()
        for part in ("train", "test")
        for frame in [pd.read_csv(root / "hepmass" / f"1000_{part}.csv")]
    }
    shift, scale = signal["train"].mean(0), signal["train"].std(0, ddof=1)
    np.testing.assert_allclose(np.vstack([train, validation]), (signal["train"] - shift) / scale)
    np.testing.assert_allclose(test, (signal["test"] - shift) / scale)
    assert len(validation) == int(0.1 * len(signal["train"]))


def test_finished_splits_are_taken_as_they_are(tmp_path):
    (tmp_path / "miniboone").mkdir()
    for number, part in enumerate(("train", "validation", "test")):
        np.save(tmp_path / "miniboone" / f"{part}.npy", np.full((3, 2), float(number)))
    assert [part[0, 0] for part in read_set("miniboone", tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize("name", SETS)
def test_a_missing_file_is_one_line_that_says_where_the_data_are(tmp_path, name):
    with pytest.raises(ContrastiveError, match=r"is not there: it is one of the maf data, .*1161203") as caught:
        read_set(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_pickle_is_never_opened(tmp_path):
    (tmp_path / "gas").mkdir()
    (tmp_path / "gas" / "ethylene_CO.pickle").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ContrastiveError, match="is a pickle, which is not opened"):
        read_set("gas", tmp_path)


def test_hdf5_without_h5py_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "BSDS300").mkdir()
    (tmp_path / "BSDS300" / "BSDS300.hdf5").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ContrastiveError, match="pip install h5py"):
        read_set("bsds300", tmp_path)


def test_an_unknown_set_is_refused(tmp_path):
    with pytest.raises(ContrastiveError, match="no set 'boone'"):
        read_set("boone", tmp_path)


def test_the_published_figures_stand_beside_ours():
    row = {
        "set": "gas",
        "rows": [1000, 100, 100],
        "columns": 8,
        "default": (9.0, 0.1),
        "its_noise": (8.0, 0.1),
        "gain": (1.0, 0.05),
        "gaussian": -3.58,
        "log_partition_verdict": "doubtful because of tails",
        "seconds": 12.3,
    }
    line = table([row]).splitlines()[-1]
    assert "| -3.58 | 9.07 | 11.91 | 12.06 | doubtful | 12 |" in line
    assert all(set(figures) == set(SETS) for figures in PUBLISHED.values())
