"""Files that are whole or absent."""

import json

import pytest
import torch

from contrastive.errors import ContrastiveError
from contrastive.io.atomic import write_atomically
from contrastive.io.checkpoints import read_checkpoint, write_checkpoint, write_json, write_text

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "flag": torch.tensor(True)}


def test_checkpoint_round_trip(tmp_path):
    path = tmp_path / "deep" / "c.safetensors"
    write_checkpoint(path, TENSORS, {"step": 3, "nested": {"x": [1, 2]}})
    tensors, state = read_checkpoint(path)
    assert state == {"step": 3, "nested": {"x": [1, 2]}}
    torch.testing.assert_close(tensors, TENSORS)
    assert [p.name for p in path.parent.iterdir()] == ["c.safetensors"], "a part file was left"


@pytest.mark.parametrize("keep", [0, 1, 9, 60, -1])
def test_truncated_checkpoints_are_refused(tmp_path, keep):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ContrastiveError, match="damaged or not a checkpoint"):
        read_checkpoint(path)


def test_foreign_and_absent_checkpoints_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file(TENSORS, tmp_path / "foreign.safetensors")
    with pytest.raises(ContrastiveError, match="not a checkpoint of contrastive"):
        read_checkpoint(tmp_path / "foreign.safetensors")
    with pytest.raises(ContrastiveError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "absent.safetensors")


def test_a_good_checkpoint_is_not_replaced_by_a_bad_one(tmp_path):
    path = tmp_path / "c.safetensors"
    write_checkpoint(path, TENSORS, {"step": 1})
    with pytest.raises(ContrastiveError, match="a is not finite; the last good checkpoint is kept"):
        write_checkpoint(path, {"a": torch.tensor([1.0, float("nan")])}, {"step": 2})
    assert read_checkpoint(path)[1] == {"step": 1}


def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    """/dev/full answers every write with 'no space left on device'."""
    path = tmp_path / "summary.json"
    write_text(path, "good")

    def fill(part):
        part.symlink_to("/dev/full")
        with part.open("w") as handle:
            handle.write("x" * 100_000)

    with pytest.raises(ContrastiveError, match="No space left on device; the file that was there is kept"):
        write_atomically(path, fill)
    assert path.read_text() == "good"
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_json_is_strict(tmp_path):
    write_json(tmp_path / "s.json", {"a": float("nan"), "b": [1.5, float("-inf")], "c": "x"})
    assert json.loads((tmp_path / "s.json").read_text()) == {"a": None, "b": [1.5, None], "c": "x"}
