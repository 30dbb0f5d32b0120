"""Values that no density can be estimated from."""

import numpy as np
import pytest

from contrastive import ContrastiveError
from contrastive.data.tables import check, from_array


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
