"""PixelCNN as a normalised density of uniformly dequantised images."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from contrastive import Noise
from contrastive.errors import ContrastiveError
from contrastive_autoregressive.bins import Bins
from contrastive_autoregressive.discretized import PixelMixture, starting_numbers
from contrastive_autoregressive.network import GatedNetwork, PixelByPixel
from contrastive_autoregressive.options import require_positive

_MOST_NUMBERS = 1 << 24  # kept for a block of draws, as features of its pixels
_PATIENCE = 2.0  # seconds without a progress bar


class PixelCNN(Noise):
    """A gated PixelCNN with discretised logistic mixtures, as a density of uniformly dequantised images.

    Images live in the box [low, high]^(C H W), each grey level a bin of width w = (high - low) / levels. With P the
    probability of the levels, pixel after pixel in raster order and channel after channel,

        log q(x) = log P(level(x)) - C H W log w  in the box, -inf outside,

    which integrates to one. A point on an edge between bins belongs to the upper bin, `high` to the last one. The
    density is piecewise constant: its gradient in x is zero almost everywhere, and its draws have no pathwise
    gradient, so in FCE the noise learns by the score function. Fit with `standardize=False`, or tell the box that the
    standardised images live in.

    A score costs one pass. A draw goes pixel by pixel, but keeps the features of what is drawn: a row of the vertical
    stack is computed once, the horizontal stack one column at a time.

    Args:
        event_shape: `(C, H, W)`.
        levels: grey levels.
        low: lower edge of the box.
        high: upper edge of the box.
        width: channels of the hidden layers.
        layers: gated layers.
        kernel_size: odd; a layer takes in `kernel_size // 2` rows above and columns to both sides.
        components: mixture components of a pixel.
        progress: show a bar while long draws are made, on standard error if that is a terminal.

    Attributes:
        bins: the grey levels; `bins.dequantize(k)` makes data of whole numbers k from 0 to levels - 1.

    Raises:
        ContrastiveError: if the event is not an image, or an option is out of range.

    References: Salimans et al. (2017), "PixelCNN++"; van den Oord et al. (2016), "Conditional image generation with
    PixelCNN decoders"; dequantisation: Theis et al. (2016), "A note on the evaluation of generative models".

    Example:
        >>> import torch
        >>> noise = PixelCNN((1, 4, 4), levels=17, width=8)
        >>> x = noise.sample(torch.Size([5]))
        >>> x.shape, noise.log_prob(x).shape
        (torch.Size([5, 1, 4, 4]), torch.Size([5]))
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        levels: int = 256,
        low: float = 0.0,
        high: float = 1.0,
        width: int = 32,
        layers: int = 3,
        kernel_size: int = 5,
        components: int = 5,
        progress: bool = True,
    ) -> None:
        super().__init__(event_shape)
        if len(event_shape) != 3 or min(event_shape) < 1:
            raise ContrastiveError(f"pixelcnn needs images (channels, height, width), got {tuple(event_shape)}")
        require_positive("pixelcnn", width=width, layers=layers, components=components)
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ContrastiveError(f"pixelcnn needs an odd kernel_size of at least 3, got {kernel_size}")
        self.bins, self.progress = Bins(levels, low, high), progress
        channels = event_shape[0]
        start = starting_numbers(components, channels)
        self.network = GatedNetwork(channels, start, width, layers, kernel_size // 2)
        numbers = 3 * layers * width * math.prod(event_shape[1:])
        self._rows_per_block = max(1, _MOST_NUMBERS // numbers)

    def log_prob(self, value: Float[Tensor, "*shape"]) -> Float[Tensor, "*batch"]:
        """log q(value) in nats, for `value` of shape `(*batch, C, H, W)`; -inf outside the box."""
        x = value.reshape(-1, *self.event_shape)
        log_q = self.log_mass(self.bins.level(x)) - self.event_shape.numel() * math.log(self.bins.width)
        inside = self.bins.contain(x).flatten(1).all(1)
        return torch.where(inside, log_q, -torch.inf).reshape(value.shape[:-3])

    def log_mass(self, level: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
        """Log-probability of whole levels 0 to levels - 1, in nats."""
        per_pixel = self.conditionals(level).log_mass(level.movedim(1, -1), self.bins)
        return per_pixel.flatten(1).sum(1)

    def conditionals(self, level: Float[Tensor, "n c h w"]) -> PixelMixture:
        """The mixture of every pixel given those before it, fields of shape `(n, H, W, K, ...)`."""
        return PixelMixture.from_raw(self.network(self.bins.scale(level)), self.event_shape[0])

    @torch.no_grad()
    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*shape"]:
        """Draws of shape `(*sample_shape, C, H, W)`, pixel by pixel."""
        like = next(self.parameters())
        levels = like.new_zeros(math.prod(sample_shape), *self.event_shape)
        blocks = levels.split(self._rows_per_block)
        pixels = self.event_shape[1] * self.event_shape[2]
        with tqdm(
            total=len(blocks) * pixels,
            desc="pixelcnn draws",
            unit="pixel",
            delay=_PATIENCE,
            leave=False,
            disable=None if self.progress else True,  # None: where standard error is no terminal
        ) as bar:
            for block in blocks:
                self._draw(block, bar)
        return self.bins.dequantize(levels).reshape(*sample_shape, *self.event_shape)

    def extra_repr(self) -> str:
        """Shown by `print(noise)`."""
        return f"event_shape={tuple(self.event_shape)}, {self.bins}"

    def _draw(self, levels: Float[Tensor, "n c h w"], bar: "tqdm[Any]") -> None:
        """Fill `levels` with draws."""
        n, channels, height, width = levels.shape
        growing = PixelByPixel(self.network, (n, channels, height, width), levels)
        for i in range(height):
            growing.begin_row(i)
            for j in range(width):
                drawn = PixelMixture.from_raw(growing.numbers(j), channels).sample(self.bins)
                levels[:, :, i, j] = drawn
                growing.put(i, j, self.bins.scale(drawn))
                bar.update()
