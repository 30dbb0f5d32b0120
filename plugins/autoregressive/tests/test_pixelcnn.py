"""PixelCNN against enumeration of small images, autograd's view of who depends on whom, and naive sampling."""

import math
from functools import partial

import pytest
import torch
from contrastive_autoregressive import PixelCNN
from contrastive_autoregressive.discretized import PixelMixture
from contrastive_autoregressive.network import PixelByPixel
from hypothesis import given
from hypothesis import strategies as st

from contrastive import ContrastiveError, make_noise
from contrastive.protocols import AdaptiveNoise, NoiseModel, trainable_parameters
from contrastive.testing import parametrize_with_checks
from contrastive.testing.statistics import bernstein_radius

FALSE_ALARM = 1e-6
images = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
small = partial(PixelCNN, levels=4, width=8, layers=2, kernel_size=3, components=2)


def randomized(shape=(1, 2, 2), seed=0, dtype=torch.float64, **options):
    """A small model, far from its start."""
    torch.manual_seed(seed)
    noise = small(shape, **options)
    with torch.no_grad():
        for parameter in noise.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return noise.to(dtype)


def all_images(noise):
    d = noise.event_shape.numel()
    states = torch.cartesian_prod(*[torch.arange(noise.bins.levels, dtype=torch.float64)] * d)
    return states.reshape(-1, *noise.event_shape)


@parametrize_with_checks([small], event_shape=(1, 2, 2), rows=10_000)
def test_kit_on_grey_images(check):
    check()


@parametrize_with_checks([partial(small, low=-2.0, high=3.0)], event_shape=(3, 1, 2), rows=10_000)
def test_kit_on_coloured_images(check):
    check()


def test_it_is_what_it_claims():
    noise = make_noise("pixelcnn", event_shape=(1, 4, 4), width=8)
    assert isinstance(noise, NoiseModel)
    assert not isinstance(noise, AdaptiveNoise)
    assert trainable_parameters(noise)


@given(
    shape_and_levels=st.sampled_from(
        [((1, 1, 2), 4), ((1, 2, 2), 4), ((1, 2, 3), 3), ((2, 1, 2), 4), ((3, 1, 1), 5), ((3, 1, 2), 2)]
    ),
    layers=st.integers(1, 3),
    seed=st.integers(0, 10_000),
)
def test_masses_of_all_images_sum_to_one(shape_and_levels, layers, seed):
    shape, levels = shape_and_levels
    noise = randomized(shape, seed, levels=levels, layers=layers)
    with torch.no_grad():
        assert float(noise.log_mass(all_images(noise)).exp().sum()) == pytest.approx(1, abs=1e-9)


@given(low=st.floats(-3, 3), width=st.floats(0.1, 5), seed=st.integers(0, 10_000))
def test_density_integrates_to_one_over_the_box(low, width, seed):
    """The midpoints of a grid three times as fine as the bins: exact for a piecewise constant density."""
    noise = randomized((1, 1, 2), seed, low=low, high=low + width)
    cell = width / 12
    line = low + cell * (torch.arange(-6, 18, dtype=torch.float64) + 0.5)
    with torch.no_grad():
        log_q = noise.log_prob(torch.cartesian_prod(line, line).reshape(-1, 1, 1, 2))
    assert int((log_q > -math.inf).sum()) == 12**2
    assert float(log_q.exp().sum()) * cell**2 == pytest.approx(1, abs=1e-9)


@given(shape=images, kernel_size=st.sampled_from([3, 5]), seed=st.integers(0, 10_000))
def test_a_pixel_sees_every_pixel_before_it_and_no_other(shape, kernel_size, seed):
    """No leak and no blind spot: four layers span a 4x4 image."""
    channels, height, width = shape
    noise = randomized(shape, seed, layers=4, kernel_size=kernel_size)
    image = torch.rand(1, *shape, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: noise.network(x)[0].flatten(0, 1), image)
    seen = jacobian[:, :, 0].abs().amax(1).flatten(2)  # of a pixel, by channel and pixel
    before = torch.ones(height * width, height * width).tril(-1) > 0
    for c in range(channels):
        assert torch.equal(seen[:, c] > 0, before)


@given(shape=images, layers=st.integers(1, 3), kernel_size=st.sampled_from([3, 5]), seed=st.integers(0, 10_000))
def test_cached_features_are_those_of_the_whole_pass(shape, layers, kernel_size, seed):
    noise = randomized(shape, seed, layers=layers, kernel_size=kernel_size)
    image = 2 * torch.rand(3, *shape, dtype=torch.float64) - 1
    with torch.no_grad():
        expected = noise.network(image)
        growing = PixelByPixel(noise.network, tuple(image.shape), image)
        for i in range(shape[1]):
            growing.begin_row(i)
            for j in range(shape[2]):
                torch.testing.assert_close(growing.numbers(j), expected[:, i, j], rtol=1e-10, atol=1e-10)
                growing.put(i, j, image[:, :, i, j])


@given(shape=images, seed=st.integers(0, 10_000))
def test_cached_draws_are_those_of_a_whole_pass_for_every_pixel(shape, seed):
    noise = randomized(shape, seed, layers=3)
    torch.manual_seed(seed)
    x = noise.sample((5,))
    torch.manual_seed(seed)
    levels = torch.zeros(5, *shape, dtype=torch.float64)
    with torch.no_grad():
        for i in range(shape[1]):
            for j in range(shape[2]):
                mixture = PixelMixture(*(field[:, i, j] for field in noise.conditionals(levels)))
                levels[:, :, i, j] = mixture.sample(noise.bins)
    torch.testing.assert_close(noise.bins.dequantize(levels), x, rtol=0, atol=0)


@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((2, 1, 2), 3)])
def test_draws_have_the_masses_of_log_prob(shape, levels):
    """Empirical Bernstein over all images, false-alarm rate 1e-6; drawn in several blocks."""
    noise, n = randomized(shape, seed=2, levels=levels), 20_000
    noise._rows_per_block = 7_000
    x = noise.sample((n,))
    states = all_images(noise)
    place = levels ** torch.arange(shape[0] * shape[1] * shape[2] - 1, -1, -1)
    index = (noise.bins.level(x).flatten(1) * place).sum(1).long()
    drawn = torch.nn.functional.one_hot(index, len(states)).double()
    mean, radius = bernstein_radius(drawn, width=1.0, false_alarm=FALSE_ALARM)
    with torch.no_grad():
        masses = noise.log_prob(noise.bins.dequantize(states)).exp() * noise.bins.width ** len(place)
    assert ((mean - masses).abs() <= radius).all()


def test_gradients_are_in_the_parameters_and_not_in_the_points():
    noise = randomized((3, 3, 3))
    x = noise.sample((6,)).requires_grad_()
    (in_x,) = torch.autograd.grad(noise.log_prob(x).sum(), x)
    assert (in_x == 0).all()
    for gradient in torch.autograd.grad(noise.log_prob(x).sum(), list(noise.network.layers[0].parameters())):
        assert gradient.abs().max() > 0


def test_points_outside_the_box_have_no_density_and_no_gradient():
    noise = randomized((1, 2, 2), dtype=torch.float32)
    x = noise.sample((5,))
    x[0, 0, 0, 0], x[1, 0, 1, 1], x[2, 0, 0, 1], x[3, 0, 0, 0] = -1e-6, 1 + 1e-6, math.nan, math.inf
    log_q = noise.log_prob(x)
    assert (log_q[:4] == -math.inf).all()
    assert torch.isfinite(log_q[4])
    for gradient in torch.autograd.grad(log_q[4] - log_q[:4].sum(), list(noise.parameters()), allow_unused=True):
        assert gradient is None or torch.isfinite(gradient).all()
    corners = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    assert torch.isfinite(noise.log_prob(corners)).all()


@given(st.sampled_from([(), (0,), (1,), (5,), (2, 3)]))
def test_batches_of_every_shape(batch):
    noise = randomized((2, 2, 3), dtype=torch.float32)
    x = noise.sample(torch.Size(batch))
    assert x.shape == (*batch, 2, 2, 3)
    assert x.dtype == torch.float32
    assert noise.log_prob(x).shape == batch


class Terminal:
    """A standard error that claims to be a terminal."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "patience", "shown"), [(True, 0.0, True), (True, 60.0, False), (False, 0.0, False)]
)
def test_a_bar_is_shown_for_long_draws_on_a_terminal(monkeypatch, progress, patience, shown):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("contrastive_autoregressive.pixelcnn._PATIENCE", patience)
    randomized(progress=progress).sample((3,))
    assert ("pixelcnn draws" in terminal.text) == shown


def test_no_bar_where_standard_error_is_no_terminal(monkeypatch, capfd):
    monkeypatch.setattr("contrastive_autoregressive.pixelcnn._PATIENCE", 0.0)
    randomized().sample((3,))
    assert capfd.readouterr() == ("", "")


def test_maximum_likelihood_learns_what_independent_pixels_cannot():
    """Images of one grey level, with one pixel in ten replaced at random."""
    torch.manual_seed(0)

    def draw(n):
        image = torch.randint(6, (n, 1, 1, 1)).expand(n, 1, 4, 4).float()
        return torch.where(torch.rand(n, 1, 4, 4) < 0.1, torch.randint(6, (n, 1, 4, 4)).float(), image)

    noise = PixelCNN((1, 4, 4), levels=6, width=16, layers=2)
    optimizer = torch.optim.Adam(noise.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        (-noise.log_prob(noise.bins.dequantize(draw(64))).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        assert noise.log_mass(draw(1000)).mean() > -0.6 * 16 * math.log(6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"event_shape": (8, 8)}, "channels, height, width"),
        ({"event_shape": (2,)}, "channels, height, width"),
        ({"event_shape": (1, 0, 8)}, "channels, height, width"),
        ({"levels": 1}, "at least 2 levels"),
        ({"low": 1.0}, "low < high"),
        ({"high": math.inf}, "low < high"),
        ({"layers": 0}, "at least 1"),
        ({"kernel_size": 4}, "odd kernel_size"),
        ({"kernel_size": 1}, "odd kernel_size"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(ContrastiveError, match=message):
        PixelCNN(**{"event_shape": (1, 4, 4), **arguments})
