"""Pixels as real numbers, their units, and the stream of training images."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest
from torch.distributions import Independent, Normal, Uniform

from contrastive import ContrastiveError, ContrastiveEstimator
from contrastive.data.images import ImageSet, ImageSource, PixelScaling, dequantize, quantize
from contrastive.data.images.arrays import channels_first, from_array
from contrastive.data.images.options import ImageOptions
from contrastive.data.images.resizing import adapted
from contrastive.metrics import bits_per_dim, evaluate

DOUBLE = torch.float64
SCALINGS = [(8, None), (8, 0.05), (5, None), (3, 0.01), (1, None)]


def images(n=20, shape=(3, 4, 6), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# Pixels -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(1, 9))
def test_quantising_undoes_dequantising(bits):
    every = torch.arange(256, dtype=torch.uint8)
    x = dequantize(every, bits, torch.Generator().manual_seed(bits))
    assert torch.equal(x.floor().to(torch.uint8), every >> (8 - bits))
    assert float(x.min()) >= 0
    assert float(x.max()) < 2**bits
    again = quantize(x, bits)
    assert torch.equal(again >> (8 - bits), every >> (8 - bits))
    assert {int(again.min()), int(again.max())} == {0, 255}
    if bits == 8:
        assert torch.equal(again, every)


def test_values_out_of_range_become_black_and_white():
    assert quantize(torch.tensor([-7.0, 300.0])).tolist() == [0, 255]


def test_dequantisation_is_uniform_and_never_twice_the_same():
    """Kolmogorov-Smirnov at a false-alarm rate of 1e-3; u has 65,536 values, which moves the statistic by 1.5e-5."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.full((40_000,), 200, dtype=torch.uint8)
    first, second = dequantize(pixels, 8, generator), dequantize(pixels, 8, generator)
    assert kstest(first.double().numpy() - 200, "uniform").pvalue > 1e-3
    assert float((first == second).double().mean()) < 0.001
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 4.5 / math.sqrt(40_000)


@pytest.mark.parametrize(("bits", "logit"), SCALINGS)
def test_scaling_and_its_inverse(bits, logit):
    scaling = PixelScaling((3, 4, 6), bits=bits, logit=logit)
    x = dequantize(torch.from_numpy(images()), bits).double()
    z = scaling(x, DOUBLE)
    torch.testing.assert_close(scaling.inverse(z), x, rtol=0, atol=1e-9)
    assert scaling(x).dtype == torch.float32
    if logit is None:
        assert torch.equal(scaling(x).double(), z), "every dequantised value is exact in float32"
        assert float(z.min()) >= -1
        assert float(z.max()) < 1


@pytest.mark.parametrize(("bits", "logit"), SCALINGS)
def test_log_determinant_is_autograds(bits, logit):
    scaling = PixelScaling((1, 2, 2), bits=bits, logit=logit)
    x = 2**bits * torch.rand(3, 1, 2, 2, dtype=DOUBLE)
    given = scaling.log_det(x).expand(3)
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda p: scaling(p, DOUBLE), x[i].flatten())
        torch.testing.assert_close(given[i], jacobian.slogdet()[1])


@pytest.mark.parametrize(("bits", "logit"), SCALINGS)
def test_a_density_over_pixel_values_integrates_to_one(bits, logit):
    """One pixel, noise N(m, s) over z: its density over x, by quadrature over all x that z reaches."""
    scaling = PixelScaling((1, 1, 1), bits=bits, logit=logit)
    noise = Independent(Normal(torch.full((1, 1, 1), 0.2, dtype=DOUBLE), 0.4), 3)
    estimator = ContrastiveEstimator(torch.nn.Flatten(0), noise, scaling=scaling).double()

    def density(x):
        return float(estimator.noise_log_prob(torch.full((1, 1, 1, 1), x, dtype=DOUBLE)).exp())

    # With the logit, z reaches all of the line a little outside of [0, 2^bits).
    margin = 3.0 * 2**bits if logit is None else logit / (1 - 2 * logit) * 2**bits * (1 - 1e-12)
    total = quad(density, -margin, 2**bits + margin, points=[0.5 * 2**bits, 2**bits], limit=400)[0]
    assert total == pytest.approx(1, abs=1e-6)


def test_scalings_stay_in_float64_and_come_back_from_their_buffers():
    scaling = PixelScaling((3, 4, 6), bits=5, logit=0.05).to(torch.float32)
    again = PixelScaling.restored(**scaling.state_dict())
    assert (again.event_shape, again.bits, again.logit) == ((3, 4, 6), 5, 0.05)
    assert PixelScaling.restored(**PixelScaling((1, 2, 2)).state_dict()).logit is None


@pytest.mark.parametrize("settings", [{"bits": 9}, {"bits": 0}, {"logit": 0.5}, {"logit": -0.1}])
def test_impossible_scalings_are_refused(settings):
    with pytest.raises(ContrastiveError, match="must be"):
        PixelScaling((1, 2, 2), **settings)


def test_whole_numbers_have_no_density():
    with pytest.raises(ContrastiveError, match="have no density: make real numbers of them first"):
        PixelScaling((1, 2, 2))(torch.zeros(1, 1, 2, 2, dtype=torch.uint8))


# Bits per dimension -------------------------------------------------------------------------------------------------


def test_bits_per_dim_by_hand():
    """The uniform density over 8-bit values needs 8 bits a value, and 3 nats on 6 numbers are 3 / (6 log 2)."""
    assert bits_per_dim(-12 * math.log(256), 12) == pytest.approx(8)
    assert bits_per_dim(-3.0, 6) == pytest.approx(0.7213475)


@pytest.mark.parametrize("bits", [8, 5])
def test_a_model_of_known_density_has_its_bits(bits):
    """Uniform over z in [-1, 1)^D is uniform over the pixel values: `bits` a dimension.

    With c = 1 nat on 12 numbers, the energy f = log q gives 1 / (12 log 2) bits more.
    """
    noise = Independent(Uniform(-torch.ones(3, 2, 2), torch.ones(3, 2, 2), validate_args=False), 3)

    class LogNoise(torch.nn.Module):
        def forward(self, z):
            return noise.log_prob(z)

    estimator = ContrastiveEstimator(LogNoise(), noise, scaling=PixelScaling((3, 2, 2), bits=bits))
    with torch.no_grad():
        estimator.log_normalizer.fill_(1.0)
    x = dequantize(torch.from_numpy(images(50, (3, 2, 2))), bits)
    metrics = evaluate(estimator, x)
    assert metrics["bits_per_dim_noise"] == pytest.approx(bits, abs=1e-5)
    assert metrics["bits_per_dim_energy"] == pytest.approx(bits + 1 / (12 * math.log(2)), abs=1e-5)


def test_a_gaussians_bits_by_hand_with_the_logit():
    """log p(x) = log N(z) + sum log dz/dx, each written out."""
    alpha, x = 0.05, torch.tensor([10.0, 128.0, 250.0, 0.5]).reshape(1, 1, 2, 2)
    noise = Independent(Normal(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)), 3)
    estimator = ContrastiveEstimator(torch.nn.Flatten(0), noise, scaling=PixelScaling((1, 2, 2), logit=alpha))
    expected = 0.0
    for value in x.flatten().tolist():
        p = alpha + (1 - 2 * alpha) * value / 256
        z = math.log(p / (1 - p))
        expected += -0.5 * z * z - 0.5 * math.log(2 * math.pi) + math.log((1 - 2 * alpha) / 256 / (p * (1 - p)))
    assert float(estimator.noise_log_prob(x)) == pytest.approx(expected, rel=1e-5)


# The stream ---------------------------------------------------------------------------------------------------------


def source(**settings):
    labels = np.arange(20) % 3
    return ImageSource(ImageSet(images(), labels), PixelScaling((3, 4, 6)), **settings)


def test_the_stream_starts_anywhere_to_the_same_numbers():
    whole = list(itertools.islice(source(flip=True).batches(6, 5, 0), 12))
    late = list(itertools.islice(source(flip=True).batches(6, 5, 7), 5))
    for a, b in zip(whole[7:], late, strict=True):
        assert torch.equal(a.z, b.z)
        assert torch.equal(a.y, b.y)


def test_every_pass_shows_every_image_with_fresh_numbers():
    plain = source()
    passes = [torch.cat([b.z for b in itertools.islice(plain.batches(5, 3, 4 * i), 4)]) for i in range(2)]
    pixels = [quantize(plain.scaling.inverse(z)).flatten(1) for z in passes]
    for seen in pixels:
        assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, images().reshape(20, -1).tolist()))
    order = [sorted(range(20), key=lambda i: tuple(seen[i].tolist())) for seen in pixels]
    same = passes[0][order[0]] == passes[1][order[1]]
    assert float(same.double().mean()) < 0.01


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_images_become_real_numbers_on_the_device_they_are_for(device, monkeypatch):
    seen = []

    def watched(pixels, bits, generator):
        seen.append((pixels.dtype, pixels.device.type, generator.device.type))
        return dequantize(pixels, bits, generator)

    monkeypatch.setattr("contrastive.data.images.source.dequantize", watched)
    a, b = (next(source(flip=True, device=device).batches(6, 5, 3)).z for _ in range(2))
    assert seen == [(torch.uint8, device, device)] * 2
    assert a.device.type == device
    assert torch.equal(a, b)


def test_another_seed_gives_other_numbers():
    a, b = (next(source().batches(20, seed, 0)).z for seed in (0, 1))
    assert not torch.equal(a.flatten().sort().values, b.flatten().sort().values)


def test_labels_are_those_of_the_images():
    plain = source(rows=torch.tensor([4, 9, 11, 2]))
    batch = next(plain.batches(4, 0, 0))
    for z, y in zip(batch.z, batch.y):
        row = next(i for i in range(20) if np.array_equal(images()[i], quantize(plain.scaling.inverse(z)).numpy()))
        assert row in (4, 9, 11, 2)
        assert int(y) == row % 3
    assert plain.labels.tolist() == [1, 0, 2, 2]
    assert next(ImageSource(ImageSet(images()), PixelScaling((3, 4, 6))).batches(4, 0, 0)).y is None


def test_flips_mirror_left_to_right_half_the_time():
    """2,000 images; the number of mirrored ones within 4.5 standard deviations: false-alarm rate 7e-6."""
    ramp = np.tile(np.arange(8, dtype=np.uint8) * 30, (2_000, 1, 4, 1))
    flipping = ImageSource(ImageSet(ramp), PixelScaling((1, 4, 8)), flip=True)
    seen = quantize(flipping.scaling.inverse(next(flipping.batches(2_000, 0, 0)).z)).numpy()
    mirrored = (seen[:, 0, 0, 0] == 210).sum()
    assert abs(mirrored - 1_000) < 4.5 * math.sqrt(500)
    for image in seen[:50]:
        assert np.array_equal(image, ramp[0]) or np.array_equal(image, ramp[0][:, :, ::-1])


# Arrays -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 3, 8, 6), (5, 3, 8, 6)),
        ((5, 8, 6, 3), (5, 3, 8, 6)),
        ((5, 1, 8, 6), (5, 1, 8, 6)),
        ((5, 8, 6, 1), (5, 1, 8, 6)),
        ((5, 8, 6), (5, 1, 8, 6)),
    ],
)
def test_layouts(shape, expected):
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    found = channels_first(pixels)
    assert found.shape == expected
    if shape[-1] == 3:
        assert np.array_equal(found[2, 1], pixels[2, :, :, 1])


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((5, 3, 8, 3), "both ends"),
        ((5, 8, 8, 4), "neither end"),
        ((40, 60, 3), "one colour image"),
        ((0, 8, 8), "no images"),
    ],
)
def test_unclear_layouts_are_refused(shape, reason):
    with pytest.raises(ContrastiveError, match=reason):
        channels_first(np.zeros(shape, np.uint8))


def test_arrays_are_framed_shrunk_cropped_and_grayed():
    pixels = images(3, (3, 28, 28))
    framed = adapted(pixels, size=32)
    assert np.array_equal(framed[:, :, 2:30, 2:30], pixels)
    assert framed[:, :, :2].max() == 0
    shrunk = adapted(np.full((3, 1, 20, 30), 77, np.uint8), size=10)
    assert shrunk.shape == (3, 1, 10, 10)
    assert (shrunk == 77).all()
    wide = np.zeros((1, 1, 8, 16), np.uint8)
    wide[..., 4:12] = 255
    assert (adapted(wide, size=8) == 255).all(), "the centred square"
    assert adapted(wide, size=8, crop="none")[0, 0, 0].tolist() != [255] * 8
    gray = adapted(np.array([255, 0, 0], np.uint8).reshape(1, 3, 1, 1), color="gray")
    assert gray.tolist() == [[[[76]]]]  # 0.299 of 255
    assert adapted(images(2, (1, 4, 4)), color="rgb").shape == (2, 3, 4, 4)


def test_shrinking_is_pillows():
    """Antialiased bilinear, within one gray level."""
    from PIL import Image

    pixels = images(1, (1, 24, 24))
    expected = np.asarray(Image.fromarray(pixels[0, 0]).resize((10, 10), Image.Resampling.BILINEAR))
    assert np.abs(adapted(pixels, size=10)[0, 0].astype(int) - expected).max() <= 1


def test_labels_must_be_one_whole_number_an_image():
    with pytest.raises(ContrastiveError, match="expected one whole number an image"):
        from_array(images(), ImageOptions(), np.arange(7))
    with pytest.raises(ContrastiveError, match="labels must be whole numbers"):
        from_array(images(), ImageOptions(), np.ones(20) / 2)
