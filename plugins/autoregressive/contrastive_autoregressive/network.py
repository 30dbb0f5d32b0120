"""The gated network: whole images in one pass, or pixel by pixel with what is known kept."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from contrastive_autoregressive.gated import GatedLayer


class GatedNetwork(nn.Module):
    """Numbers for every pixel from the pixels before it, in raster order.

    Args:
        channels: channels of the image.
        start: the numbers a pixel that a fresh network is near.
        width: channels of the hidden layers.
        layers: how many of them.
        reach: rows above and columns left that each layer takes in.
    """

    def __init__(self, channels: int, start: Float[Tensor, " numbers"], width: int, layers: int, reach: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            GatedLayer(width if depth else channels, width, reach, strict=not depth) for depth in range(layers)
        )
        self.head = nn.Sequential(nn.SiLU(), nn.Conv2d(width, len(start), 1))
        with torch.no_grad():
            self.head[1].bias.add_(start)  # type: ignore[operator]

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n h w numbers"]:
        """The numbers of every pixel, from images in [-1, 1]."""
        vertical = horizontal = image
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal)
        return self.head(horizontal).movedim(1, -1)


class PixelByPixel:
    """The network along a growing image: one row of the vertical stack a row, one column of the horizontal a pixel.

    Call `begin_row(i)`, and for each j in turn `numbers(j)` and then `put(i, j, pixel)`. The features of the rows above
    and of the pixels to the left are kept, behind a margin of zeros, which is the padding of the whole pass.

    Args:
        network: the network.
        image_shape: `(n, C, H, W)` of the images to come.
        like: a tensor of their dtype and device.
    """

    def __init__(self, network: GatedNetwork, image_shape: tuple[int, int, int, int], like: Tensor) -> None:
        n, _, height, width = image_shape
        self.network = network
        self.layers: list[Any] = list(network.layers)
        self._links: list[Tensor] = []
        self._above = [like.new_zeros(n, o.inputs, height + o.margin, width) for o in self.layers]
        self._left = [like.new_zeros(n, o.inputs, 1, width + o.margin) for o in self.layers]

    def begin_row(self, i: int) -> None:
        """Compute the vertical stack of row i from the rows above."""
        self._links = []
        for depth, layer in enumerate(self.layers):
            features, link = layer.look_up(self._above[depth][:, :, i : i + layer.reach + 1])
            self._links.append(link)
            if depth + 1 < len(self.layers):
                following = self.layers[depth + 1]
                self._above[depth + 1][:, :, i + following.margin] = features[:, :, 0]

    def numbers(self, j: int) -> Float[Tensor, "n numbers"]:
        """The numbers of pixel j of the row, from the pixels put so far."""
        features = self._left[0]
        for depth, layer in enumerate(self.layers):
            if depth:
                self._left[depth][..., j + layer.margin] = features[..., 0]
            window = self._left[depth][..., j : j + layer.reach + 1]
            features = layer.look_left(window, self._links[depth][..., j : j + 1])
        return self.network.head(features)[..., 0, 0]

    def put(self, i: int, j: int, pixel: Float[Tensor, "n c"]) -> None:
        """Set pixel (i, j), in [-1, 1]."""
        margin = self.layers[0].margin
        self._above[0][:, :, i + margin, j] = pixel
        self._left[0][:, :, 0, j + margin] = pixel
