"""Nearest training images, and their picture."""

import io

import numpy as np
import pytest
import torch

from contrastive.errors import ContrastiveError
from contrastive.metrics.images import nearest_neighbours, neighbours
from contrastive.plots import neighbours_figure


def pictures(n, uint8):
    return torch.randint(256, (n, 3, 4, 4), dtype=torch.uint8) if uint8 else torch.rand(n, 3, 4, 4)


@pytest.mark.parametrize("uint8", [True, False])
@pytest.mark.parametrize("k", [1, 5, 23])
def test_neighbours_are_those_of_brute_force_across_chunks(monkeypatch, uint8, k):
    monkeypatch.setattr(neighbours, "_ROWS", 7)
    samples, data = pictures(10, uint8), pictures(23, uint8)
    found = nearest_neighbours(samples, data, k)
    gaps = samples[:, None].double() - data[None].double()
    every = gaps.flatten(2).norm(dim=2)
    torch.testing.assert_close(found.distances, every.sort(1).values[:, :k], rtol=1e-12, atol=0)
    torch.testing.assert_close(every.gather(1, found.rows), found.distances, rtol=1e-12, atol=0)
    assert all(len(set(row.tolist())) == k for row in found.rows)


@pytest.mark.parametrize("uint8", [True, False])
def test_a_copied_training_image_is_at_distance_zero(uint8):
    data = pictures(30, uint8)
    found = nearest_neighbours(data[[4, 17]], data, k=2)
    assert found.rows[:, 0].tolist() == [4, 17]
    assert (found.distances[:, 0] == 0).all()
    assert (found.distances[:, 1] > 0).all()


def test_neighbours_of_what_is_on_another_scale_are_refused():
    with pytest.raises(ContrastiveError, match="both uint8, or both floating"):
        nearest_neighbours(pictures(2, True), pictures(3, False))
    with pytest.raises(ContrastiveError, match="one size"):
        nearest_neighbours(pictures(2, True), pictures(3, True)[..., :3])
    for k in (0, 4):
        with pytest.raises(ContrastiveError, match=r"k must be in 1\.\.3"):
            nearest_neighbours(pictures(2, True), pictures(3, True), k)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("uint8", [True, False])
def test_each_sample_is_drawn_before_its_neighbours(channels, uint8):
    shades = torch.tensor([[10, 20, 30], [40, 50, 60], [70, 80, 90]])
    images = shades[..., None, None, None].expand(-1, -1, channels, 6, 8)
    images = images.byte() if uint8 else images / 255
    figure = neighbours_figure(images[:, 0], images[:, 1:], columns=2)
    figure.savefig(io.BytesIO())
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    shown = [
        [round(255 * value) for value in np.unique(canvas[row, :, 0])] for row in (len(canvas) // 4, -len(canvas) // 4)
    ]
    assert shown == [[10, 20, 30, 40, 50, 60, 255], [70, 80, 90, 255]]
    first = canvas[len(canvas) // 4, :, 0]
    places = [int(np.argmax(np.isclose(first * 255, shade))) for shade in (10, 20, 30, 40, 50, 60)]
    assert places == sorted(places)
    assert (np.isclose(canvas[..., 0] * 255, 10)).sum() == 6 * 8, "every pixel of an image is there"
    assert places[1] - places[0] > places[2] - places[1], "a gap sets the sample off"


def test_pictures_that_do_not_fit_are_refused():
    with pytest.raises(ContrastiveError, match="expected images"):
        neighbours_figure(torch.rand(3, 2, 4, 4), torch.rand(3, 1, 2, 4, 4))
    with pytest.raises(ContrastiveError, match="expected neighbours"):
        neighbours_figure(torch.rand(3, 1, 4, 4), torch.rand(2, 1, 1, 4, 4))
