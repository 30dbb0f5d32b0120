"""Arrays, in memory and in .npy and .npz: of every numeric kind, or refused in a line."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from helpers.tables import quietly, refused

from contrastive.data.tables import check, from_array
from contrastive.errors import ContrastiveError


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
