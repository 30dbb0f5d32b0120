"""Tables in blocks: the same numbers, warnings and errors as of a table that is read whole."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers.tables import refused

from contrastive.data.tables import delimited, open_table, read_table
from contrastive.errors import ContrastiveError, ContrastiveWarning

WAYS = {
    "plain": "a,b\n" + "".join(f"{i / 4},{i * i}\n" for i in range(20)),
    "missing": "a,b\n1.5,\nNA,2\n" + "3,4\n" * 9,
    "decimal commas": "a;b\n" + "".join(f"{i},5;{i}\n" for i in range(20)),
    "decimal commas in quotes": 'a,b\n"1,5",1\n"1234,5",2\n' + '"2,25",3\n' * 9,
    "thousands at the end": "a;b\n" + "0.5;7\n" * 15 + "1.5;1,234\n",
    "thousands by dots": "a;b\n" + "1,5;7\n" * 7 + "1,5;1.234\n" * 7,
    "spaces between thousands": "a;b\n1.5;1\n" + "0.5;12 345\n" * 9,
    "a column that counts the rows": ",a\n" + "".join(f"{i},{i % 3}.5\n" for i in range(20)),
    "an empty column": "a,,b\n" + "1.5,,2\n" * 12,
    "blank lines": "a,b\n1,2\n\n2.5,3\n\n\n" + "3.5,4\n\n" * 8,
    "quotes over lines": '"a\nlong name",b\n' + '"1.5","2"\n' * 12,
    "infinities": "a,b\n1,inf\n" + "2,3\n" * 9,
    "truths": "a,b\nTrue,1.5\n" + "False,2\n" * 9,
    "large whole numbers": f"a,b\n{2**53 + 2},1.5\n" + "4,2\n" * 9,
}


def read_both_ways(path, rows, *words):
    """What is read whole and in blocks, and what was said on the way."""
    with warnings.catch_warnings(record=True) as said_whole:
        warnings.simplefilter("always", ContrastiveWarning)
        table = read_table(path, *words)
    with warnings.catch_warnings(record=True) as said_in_blocks:
        warnings.simplefilter("always", ContrastiveWarning)
        stream = open_table(path, *words)
        blocks = list(stream.blocks(rows))
    assert [str(each.message) for each in said_in_blocks] == [str(each.message) for each in said_whole]
    return table, stream, blocks


@pytest.mark.parametrize("rows", [1, 4, 1000])
@pytest.mark.parametrize("way", WAYS)
def test_a_text_file_in_blocks_is_the_same_table(written, monkeypatch, way, rows):
    monkeypatch.setattr(delimited, "_BLOCK", rows)
    table, stream, blocks = read_both_ways(written(WAYS[way]), rows)
    assert all(len(block) == rows for block in blocks[:-1])
    np.testing.assert_array_equal(np.concatenate(blocks), table.values)
    assert (stream.columns, stream.named, stream.others) == (table.columns, table.named, table.others)
    assert (stream.rows, stream.event_shape) == (len(table.values), table.values.shape[1:])


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "parquet", "npy", "npz"])
def test_files_of_every_kind_can_be_read_in_blocks(tmp_path, suffix):
    x = np.random.default_rng(0).normal(size=(50, 3))
    x[7, 1] = np.nan
    frame, path = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind="word"), tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path, row_group_size=20)
    elif suffix == "npy":
        np.save(path, x)
    elif suffix == "npz":
        np.savez(path, x)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    words = () if suffix == "npz" else (["x2", "x0"],) if suffix == "npy" else (["c", "b"],)
    table, stream, blocks = read_both_ways(path, 16, *words)
    assert [len(block) for block in blocks] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), table.values)
    assert (stream.columns, stream.others) == (table.columns, table.others)
    assert np.array_equal(np.concatenate(list(stream.blocks(7))), table.values, equal_nan=True)  # and again


def test_events_of_any_shape_come_in_blocks(tmp_path):
    x = np.arange(48).reshape(6, 2, 4)
    np.save(tmp_path / "t.npy", x)
    stream = open_table(tmp_path / "t.npy")
    assert (stream.event_shape, stream.rows) == ((2, 4), 6)
    np.testing.assert_array_equal(np.concatenate(list(stream.blocks(4))), x)
    with pytest.raises(ContrastiveError, match="no columns to pick"):
        open_table(tmp_path / "t.npy", "x0")


def test_truths_that_become_numbers_are_refused_in_blocks_as_well(written, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK", 10)
    path = written("a,b\n" + "True,1\n" * 20 + "1.5,2\n" * 20)
    with pytest.raises(ContrastiveError) as caught:
        open_table(path)
    assert str(caught.value) == refused(path, "line 2 has 'True'")


@pytest.mark.parametrize("end", ["1,2,3\n", "1\n", "1,word\n", "1,2020-01-31\n"])
def test_what_is_wrong_at_the_end_is_found_before_the_first_block(written, monkeypatch, end):
    monkeypatch.setattr(delimited, "_BLOCK", 10)
    path = written("a,b\n" + "0.5,1\n" * 100 + end)
    with pytest.raises(ContrastiveError) as caught:
        open_table(path)
    assert str(caught.value) == refused(path, "line 102")


def test_a_damaged_archive_is_refused(tmp_path):
    whole = gzip.compress(b"a,b\n" + b"0.5,1\n" * 10_000)
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ContrastiveError, match="cannot read"):
        open_table(tmp_path / "t.csv.gz")


def test_words_and_dates_of_a_parquet_file_are_refused_by_an_example(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0], "b": [None, "word"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ContrastiveError) as caught:
        open_table(tmp_path / "t.parquet")
    assert str(caught.value) == refused(tmp_path / "t.parquet", "for example 'word'")


@pytest.mark.parametrize("suffix", ["npy", "csv", "parquet"])
def test_lost_digits_are_said_once_whatever_the_blocks(tmp_path, suffix):
    x, path = (np.arange(40).reshape(20, 2) + 2**52) * 8, tmp_path / f"t.{suffix}"
    frame = pd.DataFrame(x, columns=["x0", "x1"])
    if suffix == "npy":
        np.save(path, x)
    elif suffix == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    with pytest.warns(ContrastiveWarning, match="lose their last digits") as caught:
        blocks = list(open_table(path).blocks(3))
    assert len(caught) == 1
    np.testing.assert_array_equal(np.concatenate(blocks), x.astype(np.float64))
