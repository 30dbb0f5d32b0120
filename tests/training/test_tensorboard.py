"""Figures and grids of a run in TensorBoard."""

import json
import sys
import types
from typing import ClassVar

import pytest
from helpers.images import write_blobs
from helpers.runs import refused

from contrastive import ContrastiveError, fit
from contrastive.cli.main import main

MODELS = "--energy conv --energy.widths 8,8 --noise glow --noise.blocks 1 --noise.levels 2 --noise.width 8 --method fce"
SHORT = "--pretrain-steps 4 --steps 6 --batch-size 16 --evaluate-every 3 --log-partition-draws 1000"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """120 PNGs."""
    return write_blobs(tmp_path_factory.mktemp("pictures"))


class FakeWriter:
    """Stands for torch.utils.tensorboard.SummaryWriter, which is not installed here."""

    made: ClassVar[list["FakeWriter"]] = []

    def __init__(self, log_dir, purge_step=None):
        self.log_dir, self.purge_step, self.scalars, self.images = log_dir, purge_step, [], []
        FakeWriter.made.append(self)

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, image, step, dataformats):
        assert dataformats == "HWC"
        self.images.append((name, image.shape, step))

    def flush(self):
        pass


def test_tensorboard_gets_figures_and_grids(pictures, tmp_path, monkeypatch):
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    FakeWriter.made.clear()
    out = tmp_path / "run"
    assert main(f"fit --data {pictures} {MODELS} {SHORT} --tensorboard --quiet --no-report --out {out}".split()) == 0
    (writer,) = FakeWriter.made
    assert writer.log_dir == str(out / "tensorboard")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    written = [(value, step) for name, value, step in writer.scalars if name == "bits_per_dim_noise"]
    assert written == [(line["bits_per_dim_noise"], line["updates"]) for line in lines]
    assert [(name, step) for name, _, step in writer.images] == [("samples", step) for step in (3, 4, 7, 10)]


def test_tensorboard_that_is_not_installed_is_asked_for_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    out = tmp_path / "run"
    assert "pip install 'contrastive-estimation[tensorboard]'" in refused(
        capsys, *f"fit --data moons --tensorboard --out {out}".split()
    )
    assert not out.exists()
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = FakeWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with pytest.raises(ContrastiveError, match="needs a run that is kept"):
        fit("moons", steps=1, tensorboard=True, quiet=True)
