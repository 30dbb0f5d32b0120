"""From images to a run's parts: what is an image, splits, and what is refused."""

import numpy as np
import pytest
import torch
from helpers.images import blobs, write_blobs
from helpers.runs import refused

from contrastive import ContrastiveError
from contrastive.config import configure
from contrastive.data.preparation import prepare


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """120 PNGs."""
    return write_blobs(tmp_path_factory.mktemp("pictures"))


def test_arrays_of_uint8_are_images_and_floats_are_not():
    config = configure(energy="conv")
    data = prepare(torch.from_numpy(blobs(100)), config)
    assert data.are_images
    assert data.batch_size == 64
    assert data.labels is None
    floats = prepare(blobs(100).astype(np.float32), config)
    assert not floats.are_images


def test_constant_pixels_have_a_density():
    x = blobs(100)
    x[:, :, 0] = 0
    data = prepare(x, configure(energy="conv"))
    assert float(data.fitting[:, :, 0].std()) > 0


def test_the_split_is_the_same_for_every_seed_and_its_parts_are_disjoint():
    one, other = (prepare(blobs(100), configure(seed=seed)) for seed in (0, 1))
    assert torch.equal(one.test, other.test)
    assert torch.equal(one.source.rows, other.source.rows)
    shown = [x.floor().flatten(1) for x in (one.test, one.validation, one.source.pixels(torch.arange(80)).float())]
    together = {tuple(row) for x in shown for row in x.tolist()}
    assert len(together) == 100
    assert len(prepare(blobs(100), configure(test_rows=3)).test) == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--noise glow", "--energy tilted, or conv"),
        ("--energy conv --standardize true", "leave out --standardize"),
        ("--energy conv --batch-size 500", "96 training rows are fewer than a batch of 500"),
        ("--energy conv --bits 9", "bits must be 1 to 8"),
        ("--energy conv --logit 0.7", "logit must be in [0, 0.5)"),
        ("--energy conv --image-size -1", "image_size must be at least 0"),
        ("--energy conv --crop middle", "--crop"),
        ("--energy conv --image-size 10", "take fewer --energy.widths"),
    ],
)
def test_bad_inputs_are_one_line(pictures, tmp_path, capsys, arguments, expected):
    assert expected in refused(capsys, *f"fit --data {pictures} {arguments} --out {tmp_path / 'run'}".split())
    assert not (tmp_path / "run").exists()


def test_options_of_images_are_refused_for_other_data(tmp_path, capsys):
    errors = refused(capsys, *f"fit --data moons --image-size 8 --flip true --out {tmp_path / 'run'}".split())
    assert "--image-size, --data.images.flip is for images" in errors


def test_early_stopping_without_validation_images_is_refused():
    with pytest.raises(ContrastiveError, match="leave none to train, validate or test with"):
        prepare(blobs(100), configure(validation=0.0, early_stopping=3))
    assert len(prepare(blobs(100), configure(validation=0.0)).source.rows) == 90
