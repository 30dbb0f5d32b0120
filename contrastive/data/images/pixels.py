"""Pixel values as real numbers: dequantisation, and the map to the coordinates that the models see.

The original units of an image are its pixel values. A value k in {0, ..., 2^bits - 1} becomes x = k + u with u uniform
in [0, 1), so x is in [0, 2^bits). The density of x over a unit cell averages to the probability of k: by Jensen's
inequality E[log p(x)] <= log P(k), and -log p(x) / (D log 2) are bits per dimension (Theis, van den Oord & Bethge
2016, "A note on the evaluation of generative models", section 3.1).
"""

import math

import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from contrastive.data.scaling import Coordinates
from contrastive.errors import ContrastiveError

_STEPS = 2**16  # of u: k + u then has the 24 binary digits of a float32, and never rounds up to 2^bits


class PixelScaling(Coordinates):
    """From pixel values in [0, 2^bits) to model coordinates, with its log-determinant.

    z = x / 2^(bits - 1) - 1, in [-1, 1); or, with `logit`, z = logit(a + (1 - 2 a) x / 2^bits) with a = `logit`, which
    spreads the values over the whole line (Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP",
    section 4.1).

    Args:
        event_shape: `(C, H, W)`.
        bits: of a pixel value, 1 to 8.
        logit: a, in (0, 1/2); None leaves the logit out.

    Raises:
        ContrastiveError: if a number is out of range.

    Example:
        >>> scaling = PixelScaling((1, 2, 2))
        >>> scaling(torch.tensor([0.0, 128.0, 192.0]))
        tensor([-1.0000,  0.0000,  0.5000])
        >>> scaling.log_det(torch.zeros(5, 1, 2, 2))  # -4 log 128
        tensor(-19.4081, dtype=torch.float64)
    """

    layout: Tensor
    alpha: Tensor

    def __init__(self, event_shape: tuple[int, ...], *, bits: int = 8, logit: float | None = None) -> None:
        super().__init__()
        check_bits(bits)
        if logit is not None and not 0 < logit < 0.5:
            raise ContrastiveError(f"logit must be in (0, 0.5), or left out, got {logit:g}")
        # Buffers, so that a run's tensors tell what its coordinates are.
        self.register_buffer("layout", torch.tensor([*event_shape, bits]))
        self.register_buffer("alpha", torch.tensor(logit or 0.0, dtype=torch.float64))
        self._event_shape = tuple(event_shape)
        self.bits, self.logit = bits, logit

    @classmethod
    def restored(cls, layout: Tensor, alpha: Tensor) -> "PixelScaling":
        """The scaling with these buffers."""
        *event_shape, bits = layout.tolist()
        return cls(tuple(event_shape), bits=bits, logit=float(alpha) or None)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """`(C, H, W)`."""
        return self._event_shape

    def forward(self, x: Num[Tensor, "*shape"], dtype: torch.dtype | None = None) -> Float[Tensor, "*shape"]:
        """Model coordinates of `x`, in `dtype`, or the default one.

        Raises:
            ContrastiveError: for whole numbers, which have no density.
        """
        if not x.is_floating_point():
            raise ContrastiveError(
                f"pixels of {x.dtype} have no density: make real numbers of them first, with "
                "contrastive.data.images.dequantize(images, bits, generator)"
            )
        x = x.double()
        z = x / 2 ** (self.bits - 1) - 1 if self.logit is None else torch.logit(self._squeezed(x))
        return z.to(dtype or torch.get_default_dtype())

    def inverse(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Pixel values of `z`, in float64; outside [0, 2^bits) where a model puts mass there."""
        if self.logit is None:
            return (z.double() + 1) * 2 ** (self.bits - 1)
        return (torch.sigmoid(z.double()) - self.logit) / (1 - 2 * self.logit) * 2**self.bits

    def log_det(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "*n"]:
        """log |dz/dx|, to be added to a log-density over z to get one over x.

        Returns:
            Shape `()` without the logit, where it is the same everywhere, else `(n,)`; float64.
        """
        if self.logit is None:
            constant = -math.prod(self.event_shape) * (self.bits - 1) * math.log(2)
            return torch.tensor(constant, dtype=torch.float64, device=x.device)
        p = self._squeezed(x.double()).flatten(1)
        slope = math.log((1 - 2 * self.logit) / 2**self.bits)
        return (slope - p.log() - (-p).log1p()).sum(1)

    def _squeezed(self, x: Tensor) -> Tensor:
        assert self.logit is not None
        return self.logit + (1 - 2 * self.logit) * x / 2**self.bits


def dequantize(
    images: UInt8[Tensor, "*shape"], bits: int = 8, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    """x = k + u in [0, 2^bits), float32: k the top `bits` of each 8-bit value, u uniform in [0, 1).

    Args:
        images: values 0 to 255.
        bits: 1 to 8.
        generator: of u; torch's global one unless told.

    Raises:
        ContrastiveError: if `images` are not uint8 or `bits` is out of range.

    Example:
        >>> x = dequantize(torch.tensor([0, 7, 255], dtype=torch.uint8), bits=5)
        >>> x.floor()
        tensor([ 0.,  0., 31.])
    """
    check_bits(bits)
    if images.dtype != torch.uint8:
        raise ContrastiveError(f"expected images of uint8, got {images.dtype}")
    u = torch.randint(0, _STEPS, images.shape, dtype=torch.int32, device=images.device, generator=generator)
    return (images >> (8 - bits)).float() + u.float() / _STEPS


def quantize(x: Float[Tensor, "*shape"], bits: int = 8) -> UInt8[Tensor, "*shape"]:
    """Pixels to look at, 0 to 255: the whole part of `x`, at its nearest value in range, spread from black to white.

    `quantize(dequantize(images, bits), bits)` gives `images` back for 8 bits, and their top bits for fewer.

    Args:
        x: values in [0, 2^bits); a model's draws may lie outside.
        bits: 1 to 8.
    """
    check_bits(bits)
    top = 2**bits - 1
    return (x.floor().clamp(0, top) * 255 / top).round().to(torch.uint8)


def check_bits(bits: int) -> None:
    """Refuse what is no number of bits of an 8-bit pixel.

    Raises:
        ContrastiveError: if `bits` is not 1 to 8.
    """
    if not 1 <= bits <= 8:
        raise ContrastiveError(f"bits must be 1 to 8, got {bits}")
