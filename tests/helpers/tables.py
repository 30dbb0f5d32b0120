"""Reading a table, and what is said or refused on the way."""

import warnings

import pytest

from contrastive.data.tables import column_names, read_table
from contrastive.errors import ContrastiveError, ContrastiveWarning


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
