"""A layer of a gated PixelCNN: a stack that looks up, and one that looks left."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class GatedLayer(nn.Module):
    """Two stacks without a blind spot (van den Oord et al. 2016, gated PixelCNN).

    The vertical stack's feature of a row depends on the rows above, the horizontal stack's feature of a pixel on those
    and on the pixels to the left. Both work on windows, which hold `reach` rows above (columns left of) the wanted
    ones, one more if the layer is `strict`; the same code thus serves whole images and single rows and columns.

    Args:
        inputs: channels of the input.
        width: channels of the output.
        reach: rows above and columns left that a convolution takes in.
        strict: whether the row or pixel itself is left out, as the first layer must; it has no residual connection.
    """

    def __init__(self, inputs: int, width: int, reach: int, *, strict: bool) -> None:
        super().__init__()
        self.inputs, self.reach, self.strict = inputs, reach, strict
        self.vertical = nn.Conv2d(inputs, 2 * width, (reach + 1, 2 * reach + 1), padding=(0, reach))
        self.horizontal = nn.Conv2d(inputs, 2 * width, (1, reach + 1))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.mix = nn.Conv2d(width, width, 1)

    @property
    def margin(self) -> int:
        """How far a window begins before what it is for."""
        return self.reach + self.strict

    def look_up(self, window: Float[Tensor, "n i above w"]) -> tuple[Tensor, Tensor]:
        """Vertical features of the rows whose window this is, and what the horizontal stack takes over from them."""
        raw = self.vertical(window)
        features = _gate(raw)
        return features if self.strict else features + window[:, :, self.reach :], self.link(raw)

    def look_left(
        self, window: Float[Tensor, "n i h left"], link: Float[Tensor, "n l h w"]
    ) -> Float[Tensor, "n o h w"]:
        """Horizontal features of the columns whose window this is."""
        features = self.mix(_gate(self.horizontal(window) + link))
        return features if self.strict else features + window[..., self.reach :]

    def forward(
        self, vertical: Float[Tensor, "n i h w"], horizontal: Float[Tensor, "n i h w"]
    ) -> tuple[Tensor, Tensor]:
        """Both stacks on whole images."""
        vertical, link = self.look_up(F.pad(vertical, (0, 0, self.margin, -self.strict)))
        return vertical, self.look_left(F.pad(horizontal, (self.margin, -self.strict)), link)


def _gate(raw: Float[Tensor, "n doubled h w"]) -> Float[Tensor, "n width h w"]:
    content, gate = raw.chunk(2, 1)
    return torch.tanh(content) * torch.sigmoid(gate)
