"""Columns that a density is conditional on."""

import numpy as np
import pytest
import torch

from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.data import tables
from contrastive.data.preparation import prepare
from contrastive.data.preparation.given import joined

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(200, 3)) * [1.0, 10.0, 100.0]


def table(columns=("a", "b", "c"), values=VALUES):
    return tables.Table(values, list(columns), named=True)


def prepared(given, **settings):
    return prepare(table(), configure({"data": "table", "given": given, **settings}))


def test_given_columns_stand_last_in_the_order_in_which_they_are_named():
    assert prepared("b,a").columns == ["c", "b", "a"]
    assert prepared(["b"]).columns == ["a", "c", "b"]
    assert prepared("b").num_given == 1


def test_given_columns_are_scaled_and_count_in_no_log_determinant():
    data = prepared("b")
    z = data.fitting
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)
    scale = data.scaling.scale
    assert float(data.scaling.log_det(data.test)) == pytest.approx(-float(scale[:2].log().sum()))


def test_given_columns_are_not_spread_over_their_rounding_step():
    rounded = np.c_[VALUES[:, :2], VALUES[:, 1].round(-1)]
    config = configure({"data": "table", "given": "c", "dequantize": True})
    data = prepare(tables.Table(rounded, ["a", "b", "c"], named=True), config)
    assert "c" not in data.rounding_steps
    assert np.isin(data.test[:, 2].numpy(), rounded[:, 2]).all()


def test_columns_that_are_asked_for_come_with_those_that_are_given(tmp_path):
    path = tmp_path / "t.csv"
    np.savetxt(path, VALUES, delimiter=",", header="a,b,c", comments="")
    config = configure({"data": str(path), "columns": "c", "given": "a"})
    assert prepare(str(path), config).columns == ["c", "a"]


@pytest.mark.parametrize(
    ("given", "settings", "message"),
    [
        ("a,b,c", {}, "--given names every column"),
        ("d", {}, "'d', which is no column"),
        ("a,a", {}, "names 'a' twice"),
        ("a", {"label_column": "a"}, "both given and the column of the labels"),
    ],
)
def test_what_cannot_be_given_is_refused(given, settings, message):
    with pytest.raises(ContrastiveError, match=message):
        prepared(given, **settings)


def test_a_constant_given_column_is_refused():
    constant = np.c_[VALUES[:, :2], np.ones(200)]
    with pytest.raises(ContrastiveError, match="'c' has one value in all rows"):
        prepare(tables.Table(constant, ["a", "b", "c"], named=True), configure({"data": "t", "given": "c"}))


@pytest.mark.parametrize("data", ["8gaussians", np.zeros((50, 8, 8), np.uint8)])
def test_data_without_columns_have_none_to_be_given(data):
    with pytest.raises(ContrastiveError, match="--given is for the columns of a table"):
        prepare(data, configure({"data": str(data)[:10], "given": "x0"}))


def test_contexts_beside_the_data():
    both, names = joined(torch.zeros(4, 2), np.arange(4.0))
    assert both.columns == ["x0", "x1", "y0"]
    assert names == ["y0"]
    assert both.values[:, 2].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((4, 2)), np.zeros((3, 1)), "4 rows and 3 contexts"),
        ("8gaussians", np.zeros((3, 1)), "goes with x as values"),
        (np.zeros((4, 2, 2)), np.zeros(4), "are of vectors"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(x, y, message):
    with pytest.raises(ContrastiveError, match=message):
        joined(x, y)
