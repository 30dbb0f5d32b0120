"""The convolutional energy: beside its layers by hand."""

import pytest
import torch
from torch import nn

from contrastive import (
    ContrastiveError,
    make_energy,
)


def test_the_convolutional_energy_is_the_papers_at_32_by_32():
    """Table 5, right column: 4x4 convolutions of 64, 128, 256 channels, stride 2, leaky ReLU 0.2, then 4x4 to one."""
    energy = make_energy("conv", event_shape=(3, 32, 32))
    lines = [nn.Conv2d(3, 64, 4, 2, 1), nn.Conv2d(64, 128, 4, 2, 1), nn.Conv2d(128, 256, 4, 2, 1), nn.Conv2d(256, 1, 4)]
    by_hand = nn.Sequential(*[m for line in lines[:-1] for m in (line, nn.LeakyReLU(0.2))], lines[-1], nn.Flatten(0))
    by_hand.load_state_dict({key.replace("layers.", ""): value for key, value in energy.state_dict().items()})
    x = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(energy(x), by_hand(x))


@pytest.mark.parametrize("normalization", ["none", "spectral", "weight"])
def test_the_convolutional_energy_of_classes_fits_other_sizes(normalization):
    energy = make_energy("conv", event_shape=(1, 28, 28), widths=(8, 8), normalization=normalization, num_classes=4)
    assert energy(torch.randn(2, 1, 28, 28)).shape == (2, 4)


def test_detail_is_what_a_pixel_has_over_the_mean_of_those_around_it():
    energy, seen = make_energy("conv", event_shape=(2, 4, 4), widths=(8,), detail=3.0), []
    energy.layers[0].register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    x = torch.randn(5, 2, 4, 4)
    energy(x)
    by_hand = torch.empty_like(x)
    for i in range(4):
        for j in range(4):
            around = x[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            by_hand[:, :, i, j] = torch.tanh(3 * (x[:, :, i, j] - around.mean((2, 3))))
    torch.testing.assert_close(seen[0], torch.cat([x, by_hand], 1))


def test_spectral_normalisation_bounds_every_layer():
    """As the matrix that torch's parametrisation normalises, filters by their entries: largest singular value 1."""
    torch.manual_seed(0)
    energy = make_energy("conv", event_shape=(3, 8, 8), widths=(16,), normalization="spectral")
    for _ in range(50):
        energy(torch.randn(2, 3, 8, 8))  # power iterations
    for layer in energy.layers:
        if isinstance(layer, nn.Conv2d):
            assert float(torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2,), {}, "is for images"),
        ((3, 28, 28), {}, "fewer --energy.widths"),
        ((3, 32, 32), {"normalization": "batch"}, "none, spectral or weight"),
        ((3, 32, 32), {"activation": "relux"}, "unknown activation"),
        ((3, 32, 32), {"widths": (0,)}, "must be positive"),
        ((3, 32, 32), {"detail": -1.0}, "gain of the detail must be finite"),
    ],
)
def test_images_that_the_convolutions_cannot_halve_are_refused(shape, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_energy("conv", event_shape=shape, **options)
