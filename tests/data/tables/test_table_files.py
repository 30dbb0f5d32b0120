"""Files of tables: read rightly, or refused in one line that says what and where; what is doubtful is said."""

import gzip
import io
import os
import re
import warnings
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastive.data.labels import encode
from contrastive.data.tables import Table, check, column_names, from_array, is_table, read_table
from contrastive.errors import ContrastiveError, ContrastiveWarning

HEIGHTS, INCOMES = [101.89, 98.02, 109.61, 7.0], [46072, 39472, 65654, 1234567]
TRUE = np.column_stack([HEIGHTS, INCOMES])


@pytest.fixture
def written(tmp_path):
    """A function that writes text or bytes to a file of a name."""

    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def quietly(path, *words):
    """The table, read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_table(path, *words)


def refused(path, match, *words):
    """A `ContrastiveError` of one line."""
    with pytest.raises(ContrastiveError, match=match) as caught:
        read_table(path, *words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def said(path, match, *words):
    """The table, and one warning of one line."""
    with pytest.warns(ContrastiveWarning, match=match) as caught:
        table = read_table(path, *words)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    assert column_names(path) == table.columns or words
    return table


def rows(separator=",", decimal=".", thousands="", quote=""):
    lines = [f"height{separator}income"]
    for height, income in zip(HEIGHTS, INCOMES):
        grouped = f"{income:,}".replace(",", thousands)
        lines.append(f"{quote}{height}{quote}".replace(".", decimal) + f"{separator}{quote}{grouped}{quote}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n0,1,2\n1,2,3\n", "line 2: 3 fields, but the header has 2; a name may be missing"),
        ("a,b\n1,2\n\n1,2\n3,4,5\n", "line 5: 3 fields"),
        ('a,b\n"1\n",2\n3,4,5\n', "line 4: 3 fields"),
        ("a,b\n170,0,60,0\n171,1,61,3\n", "line 2: 4 fields, but the header has 2; twice as many.*decimal mark"),
        ("a\n1,5\n2,5\n", "line 2: 2 fields, but the header has 1; twice as many"),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "line 3: 2 fields, but the header has 3; fill the row up"),
        ("a,b,c\n1,2,x\n4,5\n6,7,y\n", "line 3: 2 fields"),
        ('a,b\n1,2\n3,"4\n5,6\n7,8\n', "line 3: a quote that opens there is not closed"),
        ("a;b\n1;2\n1;2;3\n", "line 3: 3 fields"),
        ("# made by hand\na,b\n1,2\n", "line 2: 2 fields, .* remove the lines above the header"),
        ("a,b\n1,2,x y\n", "line 2: 3 fields.*double quotes"),
    ],
)
def test_a_row_of_more_or_fewer_fields_than_the_header_is_refused_with_its_line(written, content, message):
    refused(written(content), message)
    if "x\n" in content:
        refused(written(content), message, None, "c")


def test_a_short_row_far_down_is_found(written):
    lines = ["a,b", *(f"{i % 7}.5,{i}" for i in range(5000))]
    lines[4000] = "3.5"
    refused(written("\n".join(lines)), "line 4001: 1 fields")
    lines[4000] = "3.5,1,2"
    refused(written("\n".join(lines)), "line 4001: 3 fields")


def test_quoted_separators_and_line_ends_count_right(written):
    path = written('a,"b, c",note\r\n1,2,"x, y"\r\n3,4,"two\r\nlines"\r\n5,7.5,"a ""q"""\r\n')
    assert column_names(path) == ["a", "b, c", "note"]
    assert refused(path, "not numeric: note; line 2 has 'x, y'")
    np.testing.assert_array_equal(quietly(path, "a").values[:, 0], [1, 3, 5])


@pytest.mark.parametrize(
    "content", ["1.5,2\n3,4\n5,6\n", "1,5;2\n2,5;3\n", "5.1,3.5,setosa\n4.9,3.0,setosa\n", "7\n8\n"]
)
def test_a_first_line_of_numbers_is_no_header(written, content):
    refused(written(content), "no header: its first line holds numbers .*; put a line with a name")


def test_names_must_be_there_and_differ(written):
    refused(written("a,b,a\n1,2,3\n"), r"several columns called 'a' \(1, 3\)")
    refused(written("a, a \n1,2\n"), "several columns called 'a'")
    refused(written("a,,c\n1,2,3\n4,9,6\n"), "column 2 has no name")
    refused(written(",a\n1,2\n7,3\n"), "column 1 has no name in the header, and does not count the rows")
    assert quietly(written(" a , b\n1,2\n"), "b").columns == ["b"]
    assert quietly(written(",a\n1,2\n7,3\n"), "a").columns == ["a"]
    years = written("name,2019,2020\nx,1,2\ny,2,4\n")
    np.testing.assert_array_equal(quietly(years, "2019,2020").values, [[1, 2], [2, 4]])


@pytest.mark.parametrize("start", [0, 1])
def test_an_index_without_a_name_is_left_out_and_said(written, start):
    path = written(",a\n" + "".join(f"{i + start},{i * i}\n" for i in range(9)))
    table = said(path, "left out the first column, which has no name and counts the rows")
    np.testing.assert_array_equal(table.values[:, 0], np.arange(9) ** 2)


def test_columns_that_pandas_numbered_are_read_beside_its_index(written):
    table = said(written(pd.DataFrame(TRUE).to_csv()), "left out the first column")
    assert table.columns == ["0", "1"]
    np.testing.assert_array_equal(table.values, TRUE)


def test_an_empty_column_without_a_name_is_left_out_and_said(written):
    assert said(written("a,b,\n1,2,\n3,5,\n"), "column 3, which has no name and no values").columns == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows(";"), "read with ';' between columns"),
        (rows("\t"), "read with tabs between columns"),
        (rows("|"), r"read with '\|' between columns"),
        (rows(";", ","), "read with ';' between columns and ',' as the decimal mark"),
        (rows("\t", ","), "tabs between columns and ',' as the decimal mark"),
        (rows(",", ",", quote='"'), "read 'height' with ',' as the decimal mark|read with"),
        (rows(",", ".", ",", '"'), "read 'income' with ',' between thousands"),
        (rows(";", ".", ","), "';' between columns; read 'income' with ',' between thousands"),
        (rows(";", ",", "."), "',' as the decimal mark; read 'income' with '.' between thousands"),
        (rows(";", ",", " "), "read 'income' with spaces between thousands"),
        (rows(",", ".", "\u00a0"), "read 'income' with spaces between thousands"),
        (rows(",", ".", "'"), "read 'income' with spaces"),
    ],
)
def test_other_separators_and_marks_are_found_and_said_once(written, content, message):
    np.testing.assert_array_equal(said(written(content), message).values, TRUE)


def test_what_can_be_decimals_or_thousands_is_refused(written):
    refused(written("a;b\n1,234;1\n2,345;2\n"), "'1,234' in column 'a' can be a whole number .*, or a fraction")
    refused(written("a;b\n46.072;1\n950;2\n"), "'46.072' in column 'a' can be")
    refused(written('a,b\n"0,5",46.072\n"1,5",950\n'), "'46.072' in column 'b' can be")
    refused(written('a,b\n"46,072",1.5\n46072,2\n'), "not numeric: a; line 2 has '46,072'")
    refused(written('a,b\n"1 234",1\n"1,5",2.25\n'), "not numeric: a; line 2 has '1 234'")
    refused(written("a;b\n0,5;1.5\n1,5;2.25\n"), "not numeric: a; line 2 has '0,5'")
    assert quietly(written("a,b\n46.072,1\n950,2\n")).values[0, 0] == 46.072


def test_a_separator_inside_names_or_words_is_none(written):
    table = said(written("height, cm;weight, kg\n1,5;2,5\n2,5;3,5\n"), "';' between")
    assert table.columns == ["height, cm", "weight, kg"]
    assert quietly(written("a;b,c\n1,2\n3,4\n")).columns == ["a;b", "c"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_and_utf8_are_read(written, encoding):
    assert quietly(written("größe,b\n1,2\n3,4\n".encode(encoding))).columns == ["größe", "b"]


def test_windows_1252_is_read_and_said_and_other_bytes_are_refused(written):
    assert said(written("größe,b\n1,2\n".encode("cp1252")), "not UTF-8, read as Windows-1252").columns[0] == "größe"
    far = b"a,b\n" + b"1,2\n" * 400_000 + "1,ö\n".encode("cp1252")
    with pytest.warns(ContrastiveWarning, match="Windows-1252"):
        assert len(read_table(written(far), None, "b").values) == 400_001
    refused(written("größe,b\n1,2\n".encode() + b"1,\xf6\n"), "UTF-8 but for the byte 0xf6")
    refused(written(b"a,b\n1,\x81\n"), "neither UTF-8 nor Windows-1252")
    refused(written(b"a,b\n1,\x00\n"), "no text")
    refused(written(b"a,b\n1,2\n" * 200_000 + b"1,\x00\n"), "NUL bytes")
    refused(written(b"a,b\n1,\x02\n"), "control characters")
    refused(written(bytes(range(256)) * 4), "no text")


def test_files_without_rows_are_refused(written):
    for content in ("", "\n\n", "a,b\n", "a,b", b"\xef\xbb\xbf"):
        refused(written(content), "no rows")


def test_blank_lines_shift_no_line_number(written):
    path = written("\n\na,b\n1,2\n\n  \n3,x\n\n")
    refused(path, "not numeric: b; line 7 has 'x'")
    with pytest.raises(ContrastiveError, match=r"'b', row 2 \(line 6\)"):
        check(quietly(written("a,b\n\n1,2\n\n\n3,NA\n")))
    with pytest.raises(ContrastiveError, match=r"'b', row 2 \(line 4\)"):
        check(quietly(written('"a\n",b\n1,2\n3,\n')))


def test_text_and_dates_are_named_with_a_value_and_its_line(written):
    refused(written("a,b\n1,2\n3,5%\n"), "not numeric: b; line 3 has '5%'")
    for day in ("2020-01-31", "2020-01-31 10:00:00", "31.1.2020", "01/31/20", "10:30"):
        refused(written(f"when,b\n{day},2\n{day},3\n"), f"hold dates: when; line 2 has '{day}'; .*days since")
    assert "'5%'" in refused(written("a,b,c\n1,2," + "x" * 200_000 + "\n3,5%,y\n"), "not numeric: b", "a,b")
    assert len(refused(written("a,b\n1," + "x" * 1000 + "\n2,y\n"), "not numeric")) < 300


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.bz2", ".csv.xz", ".tsv.gz"])
def test_compressed_tables_are_read_and_damaged_ones_refused(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    pd.DataFrame(TRUE, columns=["a", "b"]).to_csv(path, index=False, sep="\t" if "tsv" in suffix else ",")
    np.testing.assert_array_equal(quietly(path).values, TRUE)
    assert column_names(path) == ["a", "b"]
    assert is_table(path)
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, "cannot read")
    path.write_text("a,b\n1,2\n")
    refused(path, "cannot read")


def test_whole_numbers_beyond_2_to_the_53_are_refused_or_named(written):
    refused(written("".join(f"{x}\n" for x in ["id", *range(10**18, 10**18 + 9)])), "'id' has whole numbers beyond 2")
    refused(written(f"id,b\n{10**24},1\n{10**24 + 1},2\n"), "'id' has whole numbers beyond 2")
    said(written(f"id,b\n{10**18},1\n{10**17},2\n"), "lose their last digits in float64: 'id'")
    with pytest.raises(ContrastiveError, match="'x0' has whole numbers"):
        from_array(np.array([2**60, 2**60 + 1]))


@pytest.mark.parametrize(
    ("labels", "classes", "y"),
    [
        (["NA", "b", "NULL", "None"], ["NA", "NULL", "None", "b"], None),
        (["a", "", "b", "-1"], ["a", "b"], [0, -1, 1, -1]),
        (["3", "-1", "7", ""], [3, 7], [0, -1, 1, -1]),
        (["3.0", "", "7.0", "3"], [3, 7], [0, -1, 1, 0]),
        (["TRUE", "false", "", "True"], ["False", "True"], [1, 0, -1, 1]),
        (["1", "2", "NA", "1"], [1, 2], [0, 1, -1, 0]),
        ([str(10**20), "b", "", "b"], [str(10**20), "b"], [0, 1, -1, 1]),
    ],
)
def test_labels_are_text_and_only_an_empty_field_or_minus_one_is_unlabelled(written, labels, classes, y):
    path = written("a,kind\n" + "".join(f"{i}.5,{label}\n" for i, label in enumerate(labels)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContrastiveWarning)
        numbers, names = encode(read_table(path, None, "kind").labels)
    assert sorted(names, key=str) == sorted(classes, key=str)
    assert y is None or numbers.tolist() == y


def test_doubtful_labels_are_said_and_infinite_ones_refused(written):
    said(written("a,kind\n1,NA\n2,b\n"), "'NA' is taken as a class", None, "kind")
    said(written("a,kind\n1,NA\n2,0\n3,1\n"), "'NA' among them is taken as unlabelled", None, "kind")
    with pytest.raises(ContrastiveError, match="whole numbers or words, got inf"):
        encode(quietly(written("a,y\n1,inf\n2,0\n3,1\n"), None, "y").labels)
    refused(written('a,y\n1,"u\n2,v\n3,"\n'), "is a quote not closed", None, "y")


def test_labels_of_new_data_match_the_classes_however_they_are_spelt():
    assert encode(["3", "x"], ["3", "x"])[0].tolist() == [0, 1]
    assert encode([3, 3], ["3", "x"])[0].tolist() == [0, 0]
    assert encode(["3", ""], [3, 7])[0].tolist() == [0, -1]


N = 200


def column_pair(values):
    rng = np.random.default_rng(0)
    return Table(np.column_stack([rng.normal(170, 10, N), values]), ["height", "other"])


def warned(table):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(table)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (slice(3, 9, 2), -999.0, r"codes for missing .*'other' \(-999 in 3 rows\)"),
        (slice(3, 9, 2), 9999.0, r"\(9999 in 3 rows\)"),
        (slice(3, 4), -9999.0, r"\(-9999 in 1 rows\)"),
        (slice(3, 7), -9.0, r"\(-9 in 4 rows\)"),
        (slice(7, 8), 1e6, r"dominate the scaling.*'other' \(1e\+06 in row 8\)"),
    ],
)
def test_codes_for_missing_values_and_dominating_ones_are_said(place, value, message):
    values = np.random.default_rng(1).normal(50, 5, N)
    values[place] = value
    (warning,) = warned(column_pair(values))
    assert re.search(message, warning)


@pytest.mark.parametrize("seed", range(4))
def test_plain_columns_are_said_nothing_of(seed):
    rng = np.random.default_rng(seed)
    plain = [rng.normal(size=N), rng.exponential(size=N), rng.lognormal(size=N), rng.standard_t(3, N), rng.random(N)]
    plain += [rng.poisson(30, N), rng.choice([-1.0, 1.0], N), np.where(rng.random(N) < 0.9, 0, rng.normal(50, 9, N))]
    for values in plain:
        assert warned(column_pair(values)) == []


def test_row_numbers_and_columns_of_few_values_are_said():
    assert "count the rows" in warned(column_pair(np.arange(N) + 17.0))[0]
    rare = np.zeros(N)
    rare[0] = 1
    assert "'other' (2 values)" in warned(column_pair(rare))[0]
    many = from_array(np.random.default_rng(0).integers(0, 3, (N, 12)))
    (warning,) = warned(many)
    assert warning.endswith("'x4' (3 values) and 7 more")


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


def header(text):
    """The bytes of a .npy file with this header and 80 bytes of data."""
    padded = text.encode() + b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + bytes(80)


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (10,",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999, 3), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 10), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (10,), }",
        "{'descr': 'zzz', 'fortran_order': False, 'shape': (10,), }",
        "((((((((((",
        "{'descr': '<f8'}",
        "'''",
    ],
)
def test_headers_that_claim_too_much_or_are_damaged_are_refused(written, text):
    refused(written(header(text), "x.npy"), "cannot read")
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header(text))
    refused(written(bundle.getvalue(), "x.npz"), "cannot read")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3, dtype=[("a", "f8")]), "expected numbers"),
        (np.zeros(3, dtype=complex), "complex128, expected numbers"),
        (np.zeros(3, dtype="M8[D]"), "holds dates"),
        (np.array(["u", "v"]), "expected numbers"),
        (np.float64(3), "no rows"),
        (np.zeros((0, 3)), "no rows"),
        (np.zeros((10, 0)), "no columns"),
    ],
)
def test_arrays_that_are_no_rows_of_numbers_are_refused(tmp_path, array, message):
    with pytest.raises(ContrastiveError, match=message):
        from_array(array)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    refused(tmp_path / "x.npy", message)
    refused(tmp_path / "x.npz", message)


@pytest.mark.parametrize("kind", ["<f2", ">f4", ">f8", np.longdouble, "i1", ">u2", "?", "F"])
def test_arrays_of_every_numeric_kind_and_order_are_read(tmp_path, kind):
    expected = np.array([[1.0, 0], [0, 1], [1, 1]])
    array = np.asfortranarray(expected) if kind == "F" else expected.astype(kind)
    np.save(tmp_path / "x.npy", array)
    np.savez_compressed(tmp_path / "x.npz", x=array)
    for table in (quietly(tmp_path / "x.npy"), quietly(tmp_path / "x.npz"), from_array(array)):
        np.testing.assert_array_equal(table.values, expected)
        assert table.values.dtype == np.float64
        assert table.values.flags.writeable


def test_a_flipped_bit_in_an_npz_is_noticed(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=np.arange(40.0))
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    refused(path, "cannot read")


def test_python_objects_in_arrays_are_numbers_or_refused():
    expected = np.array([[1.0], [2.5]])
    np.testing.assert_array_equal(from_array(np.array([1, 2.5], dtype=object)).values, expected)
    np.testing.assert_array_equal(from_array(pd.array([1, 2.5], dtype="Float64")).values, expected)
    np.testing.assert_array_equal(from_array(np.ma.array([1, 2.5], mask=[0, 0])).values, expected)
    with pytest.raises(ContrastiveError, match="'x0', row 2"):
        check(from_array(pd.array([1, None], dtype="Int64")))
    for array, message in [
        (np.ma.array([1.0, 2.0], mask=[0, 1]), "1 entries of the masked array are masked"),
        ([[1.0], [2.0, 3.0]], "rows of different lengths"),
        (np.array([1, "2"], dtype=object), "expected numbers: '2'"),
        (np.array([1, {}], dtype=object), "expected numbers"),
        (np.array([1, 10**400], dtype=object), "expected numbers"),
        (np.array([1, 2**60 + 1], dtype=object), "more digits"),
    ]:
        with pytest.raises(ContrastiveError, match=message) as caught:
            from_array(array)
        assert "\n" not in str(caught.value)


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


NUMBERS = st.lists(
    st.tuples(*[st.decimals(-9999, 99999, places=places, allow_nan=False) for places in (0, 2, 3)]),
    min_size=1,
    max_size=8,
)


@given(
    NUMBERS,
    st.sampled_from(",;\t|"),
    st.sampled_from(".,"),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_table_in_any_dialect_is_read_as_it_was_meant_or_refused(
    tmp_path_factory, numbers, separator, decimal, index, quotes, end
):
    path = tmp_path_factory.mktemp("dialects") / "t.csv"
    quote = '"' if quotes or decimal == separator else ""
    lines = [separator.join([""] * index + ["a", "b", "c"])]
    for i, row in enumerate(numbers):
        fields = [quote + str(number).replace(".", decimal) + quote for number in row]
        lines.append(separator.join([str(i)] * index + fields))
    path.write_text(end.join(lines) + end, newline="")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContrastiveWarning)
        try:
            table = read_table(path)
        except ContrastiveError as error:
            assert re.search("fraction|not numeric", str(error))  # noqa: PT017 - that it is refused is one of two right answers
            return
    np.testing.assert_allclose(table.values, np.array(numbers, dtype=float), rtol=1e-12)
    assert table.columns == column_names(path) == ["a", "b", "c"]


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
