"""Parquet: numbers and labels of all kinds, and what is refused by name."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.tables import quietly, refused, said

from contrastive.data.labels import encode
from contrastive.data.tables import check, column_names
from contrastive.errors import ContrastiveError


def frame_of(**columns):
    return pa.table(columns)


def test_parquet_loses_no_column_to_an_index(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"a": [1.5, 2, 3], "b": [4, 5, 9]})
    frame.set_index("b").to_parquet(path)
    assert sorted(quietly(path).columns) == ["a", "b"] == sorted(column_names(path))
    frame.iloc[[0, 2, 1]].to_parquet(path)
    table = said(path, "left out the index without a name")
    np.testing.assert_array_equal(table.values, [[1.5, 4], [3, 9], [2, 5]])


def test_parquet_numbers_of_all_kinds_are_read(tmp_path):
    path = tmp_path / "t.parquet"
    decimals = pa.array([1, 2, 3]).cast(pa.decimal128(21, 2))
    pq.write_table(
        frame_of(
            a=pa.array([1, None, 3]),
            b=pa.array([True, False, None]),
            c=decimals,
            d=pa.array([1, 2, 1]).dictionary_encode(),
            e=pa.array([1.5, 2.5, None], pa.float16()),
            f=pa.array([1, 2, 3], pa.uint64()),
        ),
        path,
    )
    expected = [[1, 1, 1, 1, 1.5, 1], [np.nan, 0, 2, 2, 2.5, 2], [3, np.nan, 3, 1, np.nan, 3]]
    np.testing.assert_array_equal(quietly(path).values, expected)
    with pytest.raises(ContrastiveError, match=r"NaN .*'a', row 2"):
        check(quietly(path))


def test_parquet_labels_of_all_kinds_are_read(tmp_path):
    path = tmp_path / "t.parquet"
    kinds = {
        "words": (pa.array(["u", None, "NA"]).dictionary_encode(), ["NA", "u"]),
        "flags": (pa.array([True, None, False]), ["False", "True"]),
        "whole": (pa.array([3, None, 7]), [3, 7]),
        "floats": (pa.array([3.0, None, 7.0]), [3, 7]),
    }
    for name, (labels, classes) in kinds.items():
        pq.write_table(pa.table({"a": [1.0, 2, 3], name: labels}), path)
        numbers, names = encode(quietly(path, None, name).labels)
        assert (names, int(numbers[1])) == (classes, -1)


def test_parquet_without_numbers_is_refused_by_name(tmp_path):
    path = tmp_path / "t.parquet"
    for column, message in [
        (pa.array(["u", "v"]), "not numeric: x; for example 'u'"),
        (pa.array([[1], [2, 3]]), "not numeric: x"),
        (pa.array([{"k": 1}, {"k": 2}]), "not numeric: x"),
        (pa.array([0, 1], pa.timestamp("s")), "hold dates: x"),
        (pa.array([0, 1], pa.date32()), "hold dates: x"),
        (pa.array([b"u", b"v"]), "not numeric: x"),
    ]:
        pq.write_table(frame_of(x=column), path)
        refused(path, message)
    pq.write_table(frame_of(**{"x\ny": pa.array(["u\nv"])}), path)
    refused(path, "not numeric: x y")
    refused(path, "no column 'q'; known: x y", "q")
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"]), path)
    refused(path, "several columns called 'x'")
    pq.write_table(frame_of(x=pa.array([], pa.float64())), path)
    refused(path, "no rows")
    pq.write_table(frame_of(x=pa.array([2**60, 2**60 + 1])), path)
    refused(path, "'x' has whole numbers beyond")
    path.write_bytes(path.read_bytes()[:100])
    refused(path, "cannot read")
