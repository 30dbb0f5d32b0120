"""What the image flow promises beside its density: a start from data, sizes, precision, memory, pictures, errors."""

import copy
import math

import pytest
import torch
from contrastive_glow import Glow, ImageGlow
from contrastive_glow.image_glow import PRESETS
from contrastive_glow.layers import ActNorm
from contrastive_glow.networks import ZeroConvolution
from helpers.flow_checks import randomize

from contrastive import ContrastiveError, make_noise


def small(shape=(1, 4, 4), scale=0.2, **options):
    """A small flow, far from its start."""
    glow = ImageGlow(shape, **{"blocks": 2, "width": 8, **options})
    glow.initialize(2 * torch.randn(100, *shape) + 1)
    return randomize(glow, scale)


def test_it_refuses_to_work_before_it_has_seen_data():
    glow = ImageGlow((1, 4, 4), blocks=1, width=4)
    image = torch.zeros(3, 1, 4, 4)
    for call in (lambda: glow.sample((3,)), lambda: glow.log_prob(image), lambda: glow.sample_at_temperature((3,), 1)):
        with pytest.raises(ContrastiveError, match="initialize"):
            call()


def test_initialisation_gives_each_channel_mean_0_and_deviation_1():
    glow = ImageGlow((3, 8, 8), blocks=3, width=8)
    seen = []
    for module in glow.modules():
        if isinstance(module, ActNorm):
            module.inverse = _recording(module, seen)
    x = torch.randn(200, 3, 8, 8).cumsum(-1) * torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1) + 5
    glow.initialize(x)
    seen.clear()
    glow.to_latent(x)
    assert len(seen) == 9
    for y in seen:
        torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(y.shape[1]), atol=1e-3, rtol=0)
        torch.testing.assert_close(y.std((0, 2, 3), correction=0), torch.ones(y.shape[1]), atol=1e-3, rtol=0)


def _recording(norm, seen):
    inverse = norm.inverse

    def record(x):
        y, log_det = inverse(x)
        seen.append(y.detach())
        return y, log_det

    return record


@pytest.mark.parametrize("image", [torch.randn(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)])
def test_one_image_is_enough_to_start_from(image):
    """At 1 x 1 it has one value a channel; scales of 1e6 a step would send any other image to infinity."""
    glow = ImageGlow((1, 4, 4), blocks=8, width=8)
    glow.initialize(image)
    z, log_det = glow.to_latent(torch.randn(50, 1, 4, 4))
    assert z.abs().max() < 1e3
    assert log_det.abs().max() < 1e3
    assert torch.isfinite(glow.sample((50,))).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_the_sizes_of_the_paper(preset):
    with torch.device("meta"):
        glow = make_noise("glow", event_shape=(3, 32, 32), preset=preset)
    width, blocks = 512, {"svhn": 8, "celeba": 16, "cifar10": 32}[preset]
    expected = 0
    for channels in (12, 24, 48):
        half = channels // 2
        hidden = (9 * half + 1) * width + (width + 1) * width
        norm_and_lu = 2 * channels + 2 * channels**2 + channels
        expected += blocks * (norm_and_lu + hidden + (9 * width + 2) * half)  # weight, and bias and scale a channel
        expected += (9 * half + 2) * channels if channels < 48 else 0  # the split prior
    assert sum(parameter.numel() for parameter in glow.parameters()) == expected


def test_options_that_are_given_prevail_over_a_preset():
    glow = ImageGlow((3, 32, 32), preset="cifar10", blocks=1, width=4, coupling="affine")
    same = ImageGlow((3, 32, 32), levels=3, blocks=1, width=4)
    assert _shapes(glow) == _shapes(same)
    assert _shapes(ImageGlow((3, 32, 32), preset="svhn", blocks=1, width=4)) != _shapes(same)


def _shapes(module):
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(("shape", "levels"), [((1, 28, 28), 2), ((3, 32, 32), 3), ((1, 2, 6), 1), ((2, 8, 12), 2)])
def test_there_are_as_many_levels_as_sides_can_be_halved_and_at_most_3(shape, levels):
    assert _shapes(ImageGlow(shape, blocks=1, width=4)) == _shapes(ImageGlow(shape, levels=levels, blocks=1, width=4))


def test_mnist_sized_images_are_drawn_and_scored():
    glow = small((1, 28, 28), 0.05)
    x, log_q = glow.rsample_and_log_prob((2, 3))
    assert x.shape == (2, 3, 1, 28, 28)
    torch.testing.assert_close(glow.log_prob(x), log_q, rtol=1e-4, atol=1e-2)
    assert glow.sample().shape == (1, 28, 28)


def test_temperature_scales_the_latents_and_nothing_else():
    glow = small()
    torch.manual_seed(1)
    x = glow.sample((6,))
    for temperature in (0.0, 0.5, 1.0, 2.0):
        torch.manual_seed(1)
        picture = glow.sample_at_temperature((6,), temperature)
        expected = glow.from_latent(temperature * glow.to_latent(x)[0])[0]
        torch.testing.assert_close(picture, expected, rtol=1e-3, atol=1e-3)
        assert not picture.requires_grad
    torch.manual_seed(1)
    assert torch.equal(glow.sample((6,)), x), "a temperature was remembered"
    for temperature in (-0.1, math.nan, math.inf):
        with pytest.raises(ContrastiveError, match="temperature"):
            glow.sample_at_temperature((1,), temperature)


@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_checkpointed_activations_give_the_same_gradients(coupling):
    plain = small((2, 4, 4), coupling=coupling)
    saving = ImageGlow((2, 4, 4), blocks=2, width=8, coupling=coupling, checkpoint_activations=True)
    saving.load_state_dict(plain.state_dict())

    def gradients(glow):
        torch.manual_seed(1)
        x, log_q = glow.rsample_and_log_prob((5,))
        point = x.detach().requires_grad_()
        value = x.square().mean() + log_q.mean() + glow.log_prob(point).mean()
        return torch.autograd.grad(value, [point, *glow.parameters()])

    torch.testing.assert_close(gradients(saving), gradients(plain), rtol=0, atol=0)


def test_checkpointed_activations_are_not_kept():
    def kept(glow):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            glow.log_prob(torch.randn(16, 1, 8, 8))
        return sum(sizes)

    assert kept(small((1, 8, 8), checkpoint_activations=True)) < kept(small((1, 8, 8))) / 4


def test_state_and_copies_remember_everything():
    glow = small()
    x = torch.randn(6, 1, 4, 4)
    twin = ImageGlow((1, 4, 4), blocks=2, width=8)
    twin.load_state_dict(glow.state_dict())
    for other in (twin, copy.deepcopy(glow)):
        assert other.is_initialized
        torch.testing.assert_close(other.log_prob(x), glow.log_prob(x), rtol=0, atol=0)


@pytest.mark.parametrize("convolution", ["lu", "plain"])
@pytest.mark.parametrize("coupling", ["affine", "additive"])
def test_autocast_reaches_the_networks_alone(coupling, convolution):
    """Where it reaches the maps too, log q is 0.7 to 1.1 nats off, and one pass and two disagree by 1.3 to 2.1."""
    glow = small((3, 8, 8), 0.03, coupling=coupling, convolution=convolution)
    x = torch.randn(20, 3, 8, 8)
    exact = glow.log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = glow.log_prob(x)
        drawn, log_q = glow.rsample_and_log_prob((20,))
        scored = glow.log_prob(drawn)
    assert rounded.dtype == drawn.dtype == log_q.dtype == torch.float32
    assert not torch.equal(rounded, exact), "the networks did not run in bfloat16"
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.1)
    torch.testing.assert_close(log_q, scored, rtol=0, atol=0.02)


@pytest.mark.parametrize("flow", [Glow((4,), depth=3, width=8), ImageGlow((1, 4, 4), blocks=2, width=8)])
def test_a_flow_whose_networks_give_zeros_is_the_same_under_autocast(flow):
    flow.initialize(torch.randn(50, *flow.event_shape) + 1)
    x = torch.randn(20, *flow.event_shape)
    exact = flow.log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(flow.log_prob(x), exact, rtol=0, atol=0)
        x, log_q = flow.rsample_and_log_prob((20,))
    torch.testing.assert_close(flow.log_prob(x), log_q, rtol=1e-5, atol=1e-4)


def test_a_zero_convolution_learns_its_scale_three_times_as_fast():
    network = ZeroConvolution(2, 3, scaled=True)
    x = torch.randn(4, 2, 5, 5)
    assert torch.equal(network(x), torch.zeros(4, 3, 5, 5))
    randomize(network, 0.5)
    plain = ZeroConvolution(2, 3, scaled=False)
    plain.load_state_dict({name: value for name, value in network.state_dict().items() if name != "logs"})
    torch.testing.assert_close(network(x), plain(x) * (3 * network.logs).exp())


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 2), {}, r"vectors \(d,\) or images"),
        ((3, 27, 28), {}, "27 x 28 images cannot be: pad or crop"),
        ((1, 28, 28), {"levels": 3}, r"levels=3 halves 28 x 28 images 3 times, .* take --noise.levels 2"),
        ((1, 28, 28), {"preset": "svhn"}, "take --noise.levels 2"),
        ((0, 4, 4), {}, "needs images"),
        ((1, 4, 4), {"blocks": 0}, "at least 1"),
        ((1, 4, 4), {"levels": 0}, "at least 1"),
        ((1, 4, 4), {"preset": "shvn"}, "did you mean 'svhn'"),
        ((1, 4, 4), {"convolution": "lv"}, "did you mean 'lu'"),
        ((1, 4, 4), {"coupling": "afine"}, "did you mean 'affine'"),
        ((1, 4, 4), {"activation": "rel"}, "did you mean 'relu'"),
        ((1, 4, 4), {"bound": 0}, "positive bound"),
        ((1, 4, 4), {"blcks": 2}, "no option 'blcks' for images; did you mean 'blocks'"),
        ((1, 4, 4), {"depth": 2}, "no option 'depth' for images; that is for vectors"),
        ((4,), {"blocks": 2}, "no option 'blocks' for vectors; that is for images"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(shape, options, message):
    with pytest.raises(ContrastiveError, match=message):
        make_noise("glow", event_shape=shape, **options)
