"""Weights of rows on their way into a fit: their column, their checks, and what becomes of them."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from contrastive.config import configure
from contrastive.data.preparation import prepare, read_rows, read_weights
from contrastive.data.sources import ArraySource, row_stream
from contrastive.errors import ContrastiveError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)) * [1.0, 5.0] + [0.0, 30.0]
W = RNG.integers(1, 5, 200).astype(float)
FRAME = pd.DataFrame({"a": X[:, 0], "w": W, "b": X[:, 1]})


def written(path, kind):
    if kind == "csv":
        FRAME.to_csv(path, index=False)
    elif kind == "parquet":
        FRAME.to_parquet(path)
    else:
        np.savez(path, x=X, w=W)
    return str(path)


def weights_by_row(prepared):
    """Every row with its weight, whichever part it is in, in units of the largest."""
    parts = [(prepared.scaling.inverse(prepared.fitting), prepared.fitting_weight)]
    parts += [(prepared.validation, prepared.validation_weight), (prepared.test, prepared.test_weight)]
    x, weight = (torch.cat(part) for part in zip(*parts))
    return {round(float(row[0]), 5): float(w) for row, w in zip(x, weight)}


def as_given(weights=W):
    return {round(float(row), 5): weight / weights.max() for row, weight in zip(X[:, 0], weights)}


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_the_column_is_read_and_is_no_part_of_the_event(kind, tmp_path):
    path = written(tmp_path / f"table.{kind}", kind)
    prepared = prepare(path, configure(weight_column="w"))
    assert prepared.columns == (["x0", "x1"] if kind == "npz" else ["a", "b"])
    assert weights_by_row(prepared) == pytest.approx(as_given())


def test_a_column_of_a_frame_and_numbers_beside_an_array_do_the_same():
    of_column = prepare(FRAME, configure(weight_column="w"))
    beside = prepare(X, configure(), sample_weight=W)
    as_list = prepare(FRAME[["b", "a"]], configure(columns=["a", "b"]), sample_weight=list(3 * W))
    for other in (beside, as_list):
        torch.testing.assert_close(of_column.fitting, other.fitting)
        torch.testing.assert_close(of_column.fitting_weight, other.fitting_weight)
    assert weights_by_row(beside) == pytest.approx(as_given())


def test_the_scaling_is_that_of_repeated_rows():
    prepared = prepare(X, configure(), sample_weight=W)
    rows = prepared.scaling.inverse(prepared.fitting)
    repeated = rows.repeat_interleave((prepared.fitting_weight * W.max()).round().long(), 0)
    torch.testing.assert_close(prepared.scaling.shift, repeated.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(prepared.scaling.scale, repeated.std(0, correction=0), rtol=1e-6, atol=1e-6)


def test_rows_are_split_as_without_weights():
    plain, weighted = prepare(X, configure()), prepare(X, configure(), sample_weight=W)
    assert torch.equal(plain.test, weighted.test)
    assert torch.equal(plain.validation, weighted.validation)


def test_equal_weights_are_none():
    assert prepare(X, configure(), sample_weight=np.full(200, 0.3)).fitting_weight is None


def test_rows_of_weight_0_are_left_out_with_their_labels():
    weights, labels = W.copy(), (X[:, 0] > 0).astype(int)
    weights[::4] = 0
    prepared = prepare(X, configure(), labels, sample_weight=weights)
    assert prepared.zero_weights == 50
    kept = weights > 0
    alone = prepare(X[kept], configure(), labels[kept], sample_weight=weights[kept])
    assert torch.equal(prepared.fitting, alone.fitting)
    assert torch.equal(prepared.labels, alone.labels)


def test_a_gap_in_a_row_of_weight_0_is_named_by_its_own_number():
    x, weights = X.copy(), W.copy()
    weights[:3], x[2, 1] = 0, np.nan
    with pytest.raises(ContrastiveError, match="row 3"):
        prepare(x, configure(), sample_weight=weights)


def test_labelled_rows_are_drawn_by_weight():
    """Rows of the first class weigh three times as much; an epoch has each class by its share of the weights."""
    y = np.arange(400) % 2
    prepared = prepare(X.repeat(2, 0), configure({"labels.batch_size": 50}), y, sample_weight=np.where(y, 1.0, 3.0))
    of_first, of_second = (float((prepared.labels == k).sum()) for k in (0, 1))
    batches = itertools.islice(prepared.source.batches(50, 0, 0), len(prepared.labels) // 50)
    drawn = torch.cat([batch.labelled.y for batch in batches])
    assert float((drawn == 0).float().mean()) == pytest.approx(3 * of_first / (3 * of_first + of_second), abs=0.05)


def test_new_rows_find_the_column_by_name_and_go_without_where_there_is_none(tmp_path):
    config, path = configure(weight_column="w"), tmp_path / "new.csv"
    FRAME.to_csv(path, index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # not ignored: it is known
        x, _ = read_rows(str(path), config, (2,), columns=("b", "a"))
    np.testing.assert_allclose(x, X[:, ::-1])
    np.testing.assert_allclose(read_weights(str(path), config, 200), W)
    FRAME[["a", "b"]].to_csv(path, index=False)
    assert read_weights(str(path), config, 200) is None


@pytest.mark.parametrize(
    ("data", "settings", "weights", "said"),
    [
        (X, {}, W[:-1], r"weights of shape \(199,\) for 200 rows"),
        (X, {}, -W, "200 of 200 weights are negative"),
        (X, {}, 0 * W, "all 200 weights are 0"),
        (FRAME.assign(w=-1.0), {"weight_column": "w"}, None, "column 'w': 200 of 200 weights are negative"),
        (FRAME.assign(w=np.nan), {"weight_column": "w"}, None, "column 'w': 200 of 200 weights are negative, NaN"),
        (FRAME, {"weight_column": "v"}, None, "no column of numbers 'v'"),
        (FRAME, {"weight_column": "w"}, W, "not from both"),
        (
            FRAME,
            {"weight_column": "w", "columns": ["a", "w"]},
            None,
            "'w' holds the weights: leave it out of --columns",
        ),
        (FRAME[["w"]], {"weight_column": "w"}, None, "no other column"),
        (X, {"weight_column": "w"}, None, "no columns with names"),
        ("moons", {}, W, "weights are for the rows of a table"),
        ("moons", {"weight_column": "w"}, None, "weights are for the rows of a table"),
        (TensorDataset(torch.tensor(X)), {}, W, "a Dataset is read item by item"),
        (np.zeros((20, 4, 4), np.uint8), {}, np.arange(20.0), "images have none"),
    ],
)
def test_weights_that_make_no_sense_are_refused_in_one_line(data, settings, weights, said):
    with pytest.raises(ContrastiveError, match=said) as caught:
        prepare(data, configure(settings), sample_weight=weights)
    assert "\n" not in str(caught.value)


def test_a_column_of_weights_and_labels_at_once_is_refused(tmp_path):
    path = written(tmp_path / "table.csv", "csv")
    with pytest.raises(ContrastiveError, match="cannot hold both weights and labels"):
        prepare(path, configure(weight_column="w", label_column="w"))
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(ContrastiveError, match=r"save an \.npz with x and w"):
        prepare(str(tmp_path / "x.npy"), configure(weight_column="w"))


# The stream ----------------------------------------------------------------------------------------------------------


def test_every_epoch_draws_each_row_as_often_as_its_weight_says_and_the_stream_can_start_anywhere():
    n, weights = 50, torch.rand(50, dtype=torch.float64) + 0.05
    whole = torch.cat(list(itertools.islice(row_stream(n, 7, 3, 0, weights), 100)))
    expected = n * weights / weights.sum()
    epochs = whole[: len(whole) // n * n].split(n)
    for epoch in epochs:
        assert ((torch.bincount(epoch, minlength=n) - expected).abs() < 1).all()
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == len(epochs)
    late = torch.cat(list(itertools.islice(row_stream(n, 7, 3, 11, weights), 20)))
    assert torch.equal(late, whole[77 : 77 + 140])


def test_the_mean_over_the_stream_is_the_weighted_mean():
    """400 epochs, each with a variance of at most 1/4 a row's count; false-alarm rate 1e-6 over 50 rows."""
    n, weights = 50, torch.rand(50, dtype=torch.float64)
    source = ArraySource(torch.arange(50.0)[:, None], sample_weight=weights)
    rows = torch.cat([batch.z for batch in itertools.islice(source.batches(n, 0, 0), 400)]).long().flatten()
    times = torch.bincount(rows, minlength=n) / 400
    assert (times - n * weights / weights.sum()).abs().max() < 5.7 * (0.25 / 400) ** 0.5


def test_of_very_unequal_weights_a_batch_still_holds_many_rows():
    """The one heavy row takes half of the batch; weights in the loss would leave it one row that counts, or none."""
    weights = torch.ones(1000, dtype=torch.float64)
    weights[0] = 1000.0
    source = ArraySource(torch.arange(1000.0)[:, None], sample_weight=weights)
    batch = next(source.batches(1000, 0, 0)).z.flatten()
    assert 499 <= int((batch == 0).sum()) <= 501
    assert len(batch.unique()) > 490
