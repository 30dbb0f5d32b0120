"""Files of tables, written by each test."""

import pytest


@pytest.fixture
def written(tmp_path):
    """A function that writes text or bytes to a file of a name."""

    def write(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write
