"""Delimited text: read rightly, or refused in one line that says what and where; what is doubtful is said."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers.tables import quietly, refused, said
from hypothesis import given
from hypothesis import strategies as st

from contrastive.data.tables import check, column_names, from_array, is_table, read_table
from contrastive.errors import ContrastiveError, ContrastiveWarning

HEIGHTS, INCOMES = [101.89, 98.02, 109.61, 7.0], [46072, 39472, 65654, 1234567]

TRUE = np.column_stack([HEIGHTS, INCOMES])


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
