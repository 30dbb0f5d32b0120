"""`conv-small` and `conv-large`: the networks with which the field learns images from few labels, as energies.

Gao et al. (2020) have the two in table 6, whose text was not at hand when this was written. What is from where:

* layers, widths and strides of `conv-small`: the discriminator of Dai et al. (2017), "Good semi-supervised learning
  that requires a bad GAN", in its authors' code (github.com/kimiyoung/ssl_bad_gan, model.py), with the widths for SVHN;
  it goes back to Salimans et al. (2016). On CIFAR-10 they take 96 and 192: `widths=(96, 192)`;
* layers of `conv-large`: the network of Miyato et al. (2018) in their code (github.com/takerum/vat_tf, cnn.py);
* from what this project's plan says of table 6: weight normalisation after every layer including the top (Dai et al.
  learn no norms below the top, Miyato et al. have batch normalisation), leaky ReLU with slope 0.2 (Miyato et al. 0.1),
  a global max pool (both average).

Uncertain: the dropout rates. Here 0.2 before the first layer of `conv-small` and 1/2 after each of the two halvings, as
in Salimans et al.; Dai et al.'s code drops whole channels, 0.15 of the input's on SVHN. Neither widths nor rates are
confirmed by the paper's text.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from contrastive.energies.base import Energy
from contrastive.energies.normalized import weight_norm
from contrastive.errors import ContrastiveError

_SLOPE = 0.2


class PooledConvolutional(Energy):
    """f(x) from 3 x 3 convolutions, a global max pool and one linear layer; high = likely.

    Every layer has weight normalisation. In training mode there is dropout, so f is random: call `eval()` for the
    density. A loaded or fitted estimator is in evaluation mode.

    Args:
        layers: the convolutions and what is between them, without the pool and the top.
        features: channels that the last of them gives.
        num_classes: None for one density, f of shape `(batch,)`; K for K densities, f of shape `(batch, K)`.
    """

    def __init__(self, layers: Sequence[nn.Module], features: int, num_classes: int | None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.layers = nn.Sequential(*layers)
        self.top = weight_norm(nn.Linear(features, num_classes or 1))

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch *classes"]:
        """f(x), shape `(batch,)`, or `(batch, K)` with `num_classes=K`."""
        out = self.top(self.layers(x).amax((2, 3)))
        return out.squeeze(-1) if self.num_classes is None else out


def conv_small(
    event_shape: tuple[int, ...],
    *,
    widths: Sequence[int] = (64, 128),
    input_dropout: float = 0.2,
    dropout: float = 0.5,
    num_classes: int | None = None,
) -> PooledConvolutional:
    """Nine convolutions, halved by strides: 3 of the first width, 3 of the second, then 3 x 3 valid and two 1 x 1.

    Args:
        event_shape: `(C, H, W)`.
        widths: channels of the first three convolutions, and of the other six.
        input_dropout: rate before the first layer.
        dropout: rate after each halving.
        num_classes: K for K densities.

    Raises:
        ContrastiveError: for events that are no images of 12 x 12 at least, or numbers out of range.
    """
    first, second = _checked("conv-small", event_shape, widths, 2, num_classes, (input_dropout, dropout))
    layers = [
        *([nn.Dropout(input_dropout)] if input_dropout else []),
        *_convolution(event_shape[0], first),
        *_convolution(first, first),
        *_convolution(first, first, stride=2),
        nn.Dropout(dropout),
        *_convolution(first, second),
        *_convolution(second, second),
        *_convolution(second, second, stride=2),
        nn.Dropout(dropout),
        *_convolution(second, second, padding=0),
        *_convolution(second, second, kernel=1, padding=0),
        *_convolution(second, second, kernel=1, padding=0),
    ]
    return PooledConvolutional(layers, second, num_classes)


def conv_large(
    event_shape: tuple[int, ...],
    *,
    widths: Sequence[int] = (128, 256, 512, 256, 128),
    input_dropout: float = 0.0,
    dropout: float = 0.5,
    num_classes: int | None = None,
) -> PooledConvolutional:
    """Nine convolutions, halved by 2 x 2 max pools: 3 of the first width, 3 of the second, then the other three widths.

    Args:
        event_shape: `(C, H, W)`.
        widths: channels: of layers 1 to 3, of 4 to 6, of 7 (3 x 3, valid), 8 and 9 (1 x 1).
        input_dropout: rate before the first layer.
        dropout: rate after each halving.
        num_classes: K for K densities.

    Raises:
        ContrastiveError: as `conv_small`.
    """
    first, second, *last = _checked("conv-large", event_shape, widths, 5, num_classes, (input_dropout, dropout))
    layers = [
        *([nn.Dropout(input_dropout)] if input_dropout else []),
        *_convolution(event_shape[0], first),
        *_convolution(first, first),
        *_convolution(first, first),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
        *_convolution(first, second),
        *_convolution(second, second),
        *_convolution(second, second),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
        *_convolution(second, last[0], padding=0),
        *_convolution(last[0], last[1], kernel=1, padding=0),
        *_convolution(last[1], last[2], kernel=1, padding=0),
    ]
    return PooledConvolutional(layers, last[2], num_classes)


def _convolution(channels: int, out: int, *, kernel: int = 3, stride: int = 1, padding: int = 1) -> list[nn.Module]:
    layer = nn.Conv2d(channels, out, kernel, stride, padding)
    nn.init.kaiming_normal_(layer.weight, _SLOPE)  # nine layers: torch's own start would shrink f to nothing
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return [weight_norm(layer), nn.LeakyReLU(_SLOPE)]


def _checked(
    name: str,
    event_shape: tuple[int, ...],
    widths: Sequence[int],
    count: int,
    num_classes: int | None,
    rates: tuple[float, float],
) -> list[int]:
    widths = [widths] if isinstance(widths, int) else list(widths)
    if len(event_shape) != 3 or min(event_shape[1:]) < 12:
        raise ContrastiveError(
            f"the energy {name!r} is for images (C, H, W) of 12 x 12 and more, not for events {tuple(event_shape)}"
        )
    if len(widths) != count or min(widths) < 1 or (num_classes is not None and num_classes < 1):
        raise ContrastiveError(f"{name} takes {count} positive widths and classes, got {widths} and {num_classes}")
    if not all(0 <= rate < 1 for rate in rates):
        raise ContrastiveError(f"dropout must be in [0, 1), got {rates[0]:g} and {rates[1]:g}")
    return widths
