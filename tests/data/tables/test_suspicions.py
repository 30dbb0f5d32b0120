"""Columns that may be other than they seem: codes for missing values, row numbers, few values."""

import re
import warnings

import numpy as np
import pytest

from contrastive.data.tables import Table, check, from_array

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
