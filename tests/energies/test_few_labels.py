"""`conv-small` and `conv-large`: their layers counted by hand, dropout, weight normalisation."""

import pytest
import torch
from torch import nn

from contrastive import ContrastiveError
from contrastive.energies.few_labels import conv_large, conv_small

#: (in, out, kernel) of each convolution, then the top: in x out x kernel^2 directions, out norms, out biases.
LAYERS = {
    conv_small: [
        (3, 64, 3), (64, 64, 3), (64, 64, 3),
        (64, 128, 3), (128, 128, 3), (128, 128, 3),
        (128, 128, 3), (128, 128, 1), (128, 128, 1),
        (128, 10, 1),
    ],
    conv_large: [
        (3, 128, 3), (128, 128, 3), (128, 128, 3),
        (128, 256, 3), (256, 256, 3), (256, 256, 3),
        (256, 512, 3), (512, 256, 1), (256, 128, 1),
        (128, 10, 1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("make", LAYERS)
def test_parameters_layer_by_layer(make):
    energy = make((3, 32, 32), num_classes=10)
    weighted = [module for module in energy.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    expected = [a * b * k * k + 2 * b for a, b, k in LAYERS[make]]
    assert [sum(p.numel() for p in layer.parameters()) for layer in weighted] == expected
    assert sum(p.numel() for p in energy.parameters()) == sum(expected)


def test_totals_by_hand():
    """Summed on paper, a convolution at a time."""
    small = 1_856 + 2 * 36_992 + 73_984 + 3 * 147_712 + 2 * 16_640 + 1_300
    large = 3_712 + 2 * 147_712 + 295_424 + 2 * 590_336 + 1_180_672 + 131_584 + 33_024 + 1_300
    for make, total in {conv_small: small, conv_large: large}.items():
        assert sum(p.numel() for p in make((3, 32, 32), num_classes=10).parameters()) == total
    assert (small, large) == (627_540, 3_121_812)


@pytest.mark.parametrize(
    ("make", "shapes"),
    [(conv_small, [32, 32, 16, 16, 16, 8, 6, 6, 6]), (conv_large, [32, 32, 32, 16, 16, 16, 6, 6, 6])],
)
def test_sizes_of_the_maps(make, shapes):
    energy, sides = make((3, 32, 32), num_classes=10), []
    for layer in energy.layers:
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda *call: sides.append(call[-1].shape[-1]))
    assert energy(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert sides == shapes


@pytest.mark.parametrize("make", LAYERS)
def test_every_layer_has_weight_normalisation_and_slope_one_fifth(make):
    energy = make((1, 28, 28))
    layers = [module for module in energy.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        norms = layer.weight.flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, layer.parametrizations.weight.original0.flatten())
    activations = [module for module in energy.modules() if isinstance(module, nn.LeakyReLU)]
    assert [activation.negative_slope for activation in activations] == [0.2] * 9


@pytest.mark.parametrize("make", LAYERS)
def test_dropout_is_random_in_training_alone_and_f_has_a_scale(make):
    """At the start f varies over images: it is neither 0 nor huge."""
    energy, x = make((3, 32, 32)), torch.randn(8, 3, 32, 32)
    assert energy(x).shape == (8,)
    assert not torch.equal(energy(x), energy(x))
    energy.eval()
    assert torch.equal(energy(x), energy(x))
    assert 1e-3 < float(energy(x).std()) < 10


def test_the_pool_is_a_maximum():
    """An image of the strongest place alone gives the features' maximum: against a pool by hand."""
    energy, x = conv_small((1, 16, 16), widths=(4, 6), num_classes=2).eval(), torch.randn(3, 1, 16, 16)
    maps = energy.layers(x)
    by_hand = torch.stack([maps[:, :, i, j] for i in range(maps.shape[2]) for j in range(maps.shape[3])]).max(0).values
    torch.testing.assert_close(energy(x), energy.top(by_hand))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2,), {}, "for images"),
        ((3, 8, 8), {}, "12 x 12"),
        ((3, 32, 32), {"widths": (64,)}, "2 positive widths"),
        ((3, 32, 32), {"widths": (0, 64)}, "positive"),
        ((3, 32, 32), {"num_classes": 0}, "positive"),
        ((3, 32, 32), {"dropout": 1.0}, r"\[0, 1\)"),
    ],
)
def test_what_cannot_be_is_refused(shape, options, message):
    with pytest.raises(ContrastiveError, match=message):
        conv_small(shape, **options)
