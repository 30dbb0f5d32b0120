"""Scaling, sources and files."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from contrastive import ContrastiveError, fit, make_noise
from contrastive.config import configure
from contrastive.data.preparation import prepare
from contrastive.data.scaling import Scaling
from contrastive.data.sources import ArraySource, DatasetSource, row_stream
from contrastive.data.tables import check, from_array, read_table

CONFIG = configure()


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 50))
def test_every_epoch_holds_every_row_once_and_the_stream_can_start_anywhere(n, batch_size, start):
    batch_size = min(n, batch_size)
    whole = torch.cat(list(itertools.islice(row_stream(n, batch_size, 7, 0), start + n + 3)))
    for epoch in whole[: len(whole) // n * n].split(n):
        assert epoch.sort().values.tolist() == list(range(n))
    late = torch.cat(list(itertools.islice(row_stream(n, batch_size, 7, start), n + 3)))
    assert torch.equal(late, whole[start * batch_size :])


def test_a_held_noise_scores_rows_once():
    z, noise = torch.randn(20, 2), make_noise("gaussian", event_shape=(2,))
    source = ArraySource(z)
    source.cache_log_prob(noise)
    batch = next(source.batches(8, 0, 3))
    torch.testing.assert_close(batch.log_q, noise.log_prob(batch.z))


def test_a_dataset_streams_the_rows_of_the_array():
    z = torch.randn(20, 2)
    identity = Scaling.identity((2,))
    from_array_ = itertools.islice(ArraySource(z).batches(6, 5, 2), 8)
    from_dataset = itertools.islice(DatasetSource(TensorDataset(z), identity, torch.device("cpu")).batches(6, 5, 2), 8)
    for a, b in zip(from_array_, from_dataset):
        torch.testing.assert_close(a.z, b.z)


def test_a_run_works_from_a_dataset():
    estimator = fit(TensorDataset(torch.randn(500, 2) * 3 + 1), steps=20, batch_size=50, quiet=True)
    assert torch.isfinite(estimator.log_prob(torch.zeros(4, 2))).all()
    torch.testing.assert_close(estimator.scaling.scale, torch.tensor([3.0, 3.0]).double(), rtol=0.2, atol=0)


def test_workers_change_no_figure():
    data, settings = TensorDataset(torch.randn(200, 2)), {"steps": 5, "batch_size": 50, "log_partition_draws": 0}
    alone, helped = (fit(data, **settings, **{"data.workers": workers}, quiet=True) for workers in (0, 1))
    for name, value in alone.state_dict().items():
        assert torch.equal(value, helped.state_dict()[name]), name


def test_scaling_survives_large_offsets_in_float64():
    x = 1e7 + torch.randn(1000, 2, dtype=torch.float64)
    scaling = Scaling.standardize(x)
    assert scaling(x).dtype == torch.float32
    torch.testing.assert_close(scaling(x).std(0, correction=0), torch.ones(2))
    torch.testing.assert_close(scaling.inverse(scaling(x)), x, rtol=0, atol=1e-6)
    assert scaling.to(torch.float32).shift.dtype == torch.float64


def test_scalings_log_det_is_autograds():
    scaling = Scaling(torch.tensor([1.0, 2.0]), torch.tensor([0.1, 30.0]))
    jacobian = torch.autograd.functional.jacobian(scaling, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(jacobian.double().slogdet()[1], scaling.log_det(torch.zeros(1, 2)))


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


def test_non_finite_values_are_counted_and_placed():
    values = np.ones((10, 3)) * np.arange(10)[:, None]
    values[4, 1] = np.nan
    values[7, 2] = np.inf
    values[8, 2] = -np.inf
    with pytest.raises(ContrastiveError, match=r"3 NaN or infinite values in 2 columns.*'x1', row 5"):
        check(from_array(values))


def test_constant_columns_are_named():
    values = np.stack([np.arange(5.0), np.full(5, 3.0)], 1)
    with pytest.raises(ContrastiveError, match="constant columns have no density: 'x1'"):
        check(from_array(values))


def test_splits_are_disjoint_and_cover():
    x = torch.arange(1000.0)[:, None]
    data = prepare(x, CONFIG)
    train = data.scaling.inverse(data.source.z)
    together = torch.cat([train, data.validation, data.test]).flatten().sort().values
    torch.testing.assert_close(together, x.flatten().double(), rtol=0, atol=1e-3)
    assert (len(data.validation), len(data.test)) == (100, 100)


def test_fewer_rows_than_a_batch_are_refused():
    config = configure(batch_size=100)
    with pytest.raises(ContrastiveError, match="70 training rows are fewer than a batch of 100"):
        prepare(torch.randn(100, 2), config)


def test_unknown_data_names_the_near_densities():
    expected = "'8gausians' is neither a density nor a set of images, a file or a folder; did you mean '8gaussians'"
    with pytest.raises(ContrastiveError, match=expected):
        prepare("8gausians", CONFIG)


@pytest.mark.parametrize(
    ("rows", "share", "expected"),
    [(50, None, 10), (150, None, 30), (250, None, 40), (900, None, 90), (120_000, None, 10_000), (150, 0.1, 15)],
)
def test_a_small_table_holds_out_more_than_a_handful(rows, share, expected):
    data = prepare(torch.randn(rows, 2), configure(validation=share))
    assert len(data.validation) == expected
    assert len(data.test) == round(0.1 * rows)
